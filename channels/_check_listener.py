"""What `signpost check --connect` does with the SMTP listener: is its port free or ours, is its certificate good."""

from __future__ import annotations

import asyncio
import errno
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from channels._certificates import presented
from channels._check_line import encrypted_until, names_in
from channels._check_port import near, why_not_bound
from router.errors import SourceUnavailable
from router.findings import Checking, Finding, failed, fine, remark
from router.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from channels.smtp_server import SmtpServerSettings
    from router.interfaces import CheckContext
    from router.settings import Address

_GREETING_S = 3.0


async def check_listener(
    settings: SmtpServerSettings, context: CheckContext, tls: Callable[[], ssl.SSLContext | None], hostname: str
) -> Checking:
    """Yield what is fine and what isn't. `tls` reads the certificate; `hostname` is what the greeting says."""
    yield f"looking at {settings.listen}"
    problem = await asyncio.to_thread(why_not_bound, settings.listen)
    if problem is None:
        yield fine(f"{settings.listen} is free to listen on.")
    elif problem.errno == errno.EADDRINUSE:
        yield await _taken(settings.listen, context)
    else:
        yield _not_bound(settings.listen, problem)
    try:
        server_side = await asyncio.to_thread(tls)
    except SourceUnavailable as error:
        what = str(error)
        yield failed(
            f"{what[:1].upper()}{what[1:]}.", "correct tls_cert and tls_key; this user must be able to read both"
        )
        return
    if server_side is not None:
        chain = (context.base_dir or Path()) / settings.tls_cert
        yield await asyncio.to_thread(_certificate, server_side, chain, hostname, context)
    for found in _open_to_all(settings):
        yield found


def _not_bound(address: Address, error: OSError) -> Finding:
    what = f"Nobody may listen on {address} here: {(error.strerror or str(error)).lower()}."
    if error.errno in {errno.EACCES, errno.EPERM}:
        mend = "choose a port above 1023, or let the service bind this one (AmbientCapabilities=CAP_NET_BIND_SERVICE)"
    else:
        mend = "set listen to an address of this machine; 0.0.0.0 stands for all of them"
    return failed(what, mend)


async def _taken(address: Address, context: CheckContext) -> Finding:
    greeting = await _greeting(address)
    if "Signpost" in greeting:
        if context.daemon_runs:
            return fine(f"The running daemon listens on {address}.")
        return failed(f"Another Signpost listens on {address}, not the one of this file.", "stop it, or change listen")
    said = f' (it says "{greeting}")' if greeting else ""
    return failed(f"Another program listens on {address}{said}.", "stop it, or set listen to another port")


async def _greeting(address: Address) -> str:
    with suppress(OSError, TimeoutError, ValueError):
        async with asyncio.timeout(_GREETING_S):
            here = near(address)
            reader, writer = await asyncio.open_connection(here.host, here.port)
            try:
                line = (await reader.readline()).decode("utf-8", "replace")
                return " ".join("".join(c if c.isprintable() else " " for c in line).split())[:120]
            finally:
                writer.transport.abort()
    return ""


def _certificate(server_side: ssl.SSLContext, chain: Path, hostname: str, context: CheckContext) -> Finding:
    try:
        certificate = presented(server_side, chain)
    except ssl.SSLCertVerificationError as error:
        return failed(f"The certificate in tls_cert isn't good: {error.verify_message}.", "renew it")
    except OSError as error:  # SSLError is one
        return failed(f"The certificate in tls_cert can't be used: {error.strerror or error}.", "correct tls_cert")
    found = encrypted_until("STARTTLS is offered; the certificate is", certificate, context.clock.now())
    names = list(names_in(certificate))
    if hostname not in names and f"*.{hostname.partition('.')[2]}" not in names:
        return remark(
            f"STARTTLS is offered with a certificate for {', '.join(names[:5])}, and the greeting says {hostname}.",
            "set hostname to the certificate's name, which senders should have in their MX record or relay setting",
        )
    return found


def _open_to_all(settings: SmtpServerSettings) -> Iterator[Finding]:
    if is_loopback(settings.listen.host):
        return
    if not settings.tls_cert:
        yield remark(
            f"Mail comes in to {settings.listen} unencrypted, and not from this machine only.",
            "set tls_cert and tls_key (and require_tls), or listen on 127.0.0.1 behind your mail server",
        )
    if not settings.recipients:
        yield remark(
            "Mail to any address is taken, from anybody who reaches this port.",
            "name the addresses or domains that are yours in recipients",
        )
