"""The line to a mail server, looked at closely: why no connection comes about, whose certificate it has, its clock."""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from channels import _failures_mending as mending
from router.findings import Finding, failed, fine, remark
from router.secrets import SecretMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from router.secrets import Secret

_LONGEST_LINE = 65_536
_SOON = timedelta(days=21)  # a certificate that is renewed by itself has been renewed by then
_CLOCKS_DIFFER = timedelta(minutes=5)  # beyond it signatures and access tokens fail
_KINDS = {b"* ": "imap", b"220": "smtp", b"+OK": "pop3"}  # of mail servers, by how they greet
_DATE = re.compile(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} [+-]\d{4}")  # RFC 5322 section 3.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A mail server to be reached. `trust` builds a TLS context (slow); `patience_s` bounds each look."""

    host: str
    port: int
    tls: str  # implicit, starttls or none
    protocol: str  # imap or smtp
    trust: Callable[[], ssl.SSLContext]
    patience_s: float = 4.0

    def __str__(self) -> str:
        return f"{self.host}, port {self.port}"


def patience(limit: timedelta, within_s: float) -> timedelta:
    """Return how long connecting may take in a check, so that there is time left to find out why it fails."""
    return min(limit, timedelta(seconds=within_s * 0.4))


async def why_not(place: Place, error: BaseException) -> Finding:
    """Tell why no connection came about, looking closer where the error alone doesn't say."""
    for cause in mending.causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return mending.certificate(cause, place.host, await _names(place))
        if isinstance(cause, ssl.SSLError):
            return await _no_tls(place, cause)
        if isinstance(cause, TimeoutError):
            return await _silent(place, cause)
    if not any(isinstance(cause, OSError) for cause in mending.causes(error)) and (other := await _other(place)):
        return other
    if _says_no_starttls(error):
        return failed(
            f"{place} offers no encryption (STARTTLS).",
            f"set tls: implicit with port {_implicit_port(place)}, or switch TLS on at the server",
        )
    return mending.connection(error, place.host, place.port)


async def _other(place: Place) -> Finding | None:
    """Tell a mail server of another kind than ours by its greeting, None if it is none."""
    greeting = await _greeting(place, encrypted=place.tls == "implicit")
    kind = next((kind for start, kind in _KINDS.items() if greeting.startswith(start)), "")
    if not kind or kind == place.protocol:
        return None
    mend = f"set port {_implicit_port(place)} with tls: implicit, or {_starttls_port(place)} with tls: starttls"
    return failed(f"{place} speaks {kind.upper()}, not {place.protocol.upper()}.", mend)


async def _no_tls(place: Place, error: ssl.SSLError) -> Finding:
    if place.tls == "implicit" and (await _greeting(place)).startswith(tuple(_KINDS)):
        return failed(
            f"{place} doesn't speak TLS at once: it greets unencrypted.",
            f"set tls: starttls for this port, or set port {_implicit_port(place)} for tls: implicit",
        )
    return failed(
        f"Encryption with {place} failed ({mending.told(error)}).",
        "see whether the port belongs to this tls setting, and whether the server speaks TLS 1.2 or newer",
    )


async def _silent(place: Place, error: BaseException) -> Finding:
    """Tell an unreachable server from one that waits for TLS, and from one that is no mail server."""
    if place.tls != "implicit" and await _speaks_tls(place):
        return failed(
            f"{place} speaks TLS at once.", f"set tls: implicit for this port, or the port for tls: {place.tls}"
        )
    if await _stands(place):
        return failed(
            f"{place} takes the connection and then says nothing.",
            f"correct the port (is a mail server behind it, and is tls: {place.tls} right for it?), or look at the "
            "server and at what stands before it",
        )
    return mending.connection(error, place.host, place.port)


def _says_no_starttls(error: BaseException) -> bool:
    return any("STARTTLS" in str(cause) for cause in mending.causes(error))


def _implicit_port(place: Place) -> int:
    return 993 if place.protocol == "imap" else 465


def _starttls_port(place: Place) -> int:
    return 143 if place.protocol == "imap" else 587


# --- secrets that can't be meant so -----------------------------------------------------------------------------------


def looked_at(found: Finding, secret: Secret | None) -> Finding:
    """Return the finding that a secret was refused, with the reason that can be seen by looking at it, if there is."""
    if secret is None:
        return found
    with suppress(SecretMissing):
        value, where = secret.read(), secret.env or secret.file
        if value != value.strip():
            return replace(found, mend=f"take away the blank or line end around what {where} holds; else {found.mend}")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
            return replace(found, mend=f"take away the quotation marks around what {where} holds; else {found.mend}")
    return found


# --- closer looks: each on a connection of its own --------------------------------------------------------------------


async def _stands(place: Place) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(place.patience_s):
            _, writer = await asyncio.open_connection(place.host, place.port)
            writer.transport.abort()
            return True
    return False


async def _greeting(place: Place, *, encrypted: bool = False) -> bytes:
    """Return the line that the server greets with, b"" if it doesn't."""
    with suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(place.patience_s):
            tls = _unverified() if encrypted else None
            reader, writer = await asyncio.open_connection(place.host, place.port, limit=_LONGEST_LINE, ssl=tls)
            try:
                return await reader.readline()
            finally:
                writer.transport.abort()
    return b""


def _unverified() -> ssl.SSLContext:
    """Return a context that trusts everybody: nothing is told to whom it leads."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _speaks_tls(place: Place) -> bool:
    """Return whether the server shakes hands at once; whose certificate it has doesn't matter here."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(place.patience_s):
            _, writer = await asyncio.open_connection(place.host, place.port, ssl=_unverified())
            writer.transport.abort()
            return True
    return False


async def _names(place: Place) -> tuple[str, ...]:
    """Return the names of a certificate whose issuer is trusted, () if they can't be had."""
    with suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(place.patience_s):
            context = await asyncio.to_thread(place.trust)
            context.check_hostname = False
            now = context if place.tls == "implicit" else None
            reader, writer = await asyncio.open_connection(place.host, place.port, ssl=now, limit=_LONGEST_LINE)
            try:
                if now is None:
                    await _ask_for_tls(place, reader, writer)
                    await writer.start_tls(context)
                return tuple(names_in(writer.get_extra_info("peercert") or {}))
            finally:
                writer.transport.abort()
    return ()


async def _ask_for_tls(place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _line(reader)
    for command in ["a STARTTLS"] if place.protocol == "imap" else ["EHLO [127.0.0.1]", "STARTTLS"]:
        writer.write(f"{command}\r\n".encode())
        await _line(reader)


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Return the last line of a reply: SMTP's other lines have a hyphen behind the code, IMAP's begin with a star."""
    while (line := await reader.readline()) and (line[3:4] == b"-" or line.startswith(b"* CAP")):
        pass
    return line


# --- what a good line tells -------------------------------------------------------------------------------------------


def encrypted(place: Place, certificate: Mapping[str, Any] | None, now: datetime) -> Finding:
    """Tell what stands between us and the server, and until when; `certificate` as `ssl.SSLSocket.getpeercert`."""
    if not certificate:
        return fine(f"Connected to {place}, unencrypted, on this machine.")
    return encrypted_until(f"Connected to {place}, encrypted; the certificate is for this name and", certificate, now)


def encrypted_until(what: str, certificate: Mapping[str, Any], now: datetime) -> Finding:
    """Complete a sentence by how long a certificate is good."""
    ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    what = f"{what} good until {ends_at:%Y-%m-%d}"
    if ends_at - now < _SOON:
        days = max((ends_at - now).days, 0)
        return remark(
            f"{what}, which is in {days} {'day' if days == 1 else 'days'}.",
            "have it renewed before then: afterwards nothing goes through",
        )
    return fine(f"{what}.")


def names_in(certificate: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that a certificate is for."""
    for _kind, name in certificate.get("subjectAltName", ()):
        yield str(name)


def said_time(text: str) -> datetime | None:
    """Return the time that stands in a greeting or a Date header, None if there is none."""
    match = _DATE.search(text.replace(" GMT", " +0000"))
    return parsedate_to_datetime(match[0]) if match else None


def clocks(theirs: datetime | None, ours: datetime, whose: str) -> Iterator[Finding]:
    """Yield a finding if our clock and that of somebody who should know differ too much."""
    if theirs is not None and abs(theirs - ours) > _CLOCKS_DIFFER:
        minutes = round(abs(theirs - ours).total_seconds() / 60)
        yield failed(
            f"This machine's clock is {minutes} minutes {'behind' if theirs > ours else 'ahead of'} that of {whose}.",
            "set it right (timedatectl set-ntp true keeps it so): signatures and access tokens fail like this",
        )
