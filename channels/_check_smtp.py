"""What `signpost check --connect` does with a relay: connect, sign in, name sender and recipients, send nothing."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPReadTimeoutError,
    SMTPResponseException,
)

from channels import _failures_mending as mending
from channels._check_line import Place, clocks, encrypted, looked_at, patience, said_time, why_not
from channels._failures import Phase
from router.errors import SourceRejected, SourceUnavailable
from router.findings import Checking, Finding, failed, fine, remark
from router.secrets import SecretMissing

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    from channels._smtp import Link
    from channels.smtp import SmtpSettings
    from router.interfaces import CheckContext

_MOST_RECIPIENTS = 25  # a server that is asked about too many shuts the door
_RESERVED = (
    ".example",
    ".invalid",
    ".test",
    ".localhost",
    ".local",
    ".lan",
    ".internal",
    ".home.arpa",
)  # RFC 2606, 6761
_RESERVED_NAMES = ("example.com", "example.org", "example.net", "localhost")


class Sink(Protocol):
    """As much of the sink as a check needs."""

    async def connect(self) -> Link:
        """Connect, encrypt and sign in."""
        ...

    def tls_context(self) -> ssl.SSLContext:
        """Return what certificates are verified by."""
        ...


async def check_relay(
    settings: SmtpSettings, context: CheckContext, make: Callable[[SmtpSettings, CheckContext], Sink]
) -> Checking:
    """Yield what is fine and what isn't. `make` builds the sink."""
    limit = patience(settings.connect_timeout, context.within_s)
    answers = timedelta(seconds=context.within_s * 0.6)  # so that it can be told which answer didn't come
    limits = {
        "connect_timeout": limit,
        "greeting_timeout": min(settings.greeting_timeout, limit),
        "command_timeout": min(settings.command_timeout, answers),
    }
    sink = make(settings.model_copy(update=limits), context)
    place = Place(
        host=settings.host,
        port=settings.port,
        tls=settings.tls,
        protocol="smtp",
        trust=sink.tls_context,
        patience_s=limit.total_seconds() / 2,
    )
    for found in _odd_domain(settings.from_address):
        yield found
    if settings.tls != "none":
        try:
            await asyncio.to_thread(sink.tls_context)
        except OSError as error:  # SSLError is one
            yield failed(f"ca_file can't be used: {mending.told(error)}.", "name a PEM file with certificates in it")
            return
    yield f"connecting to {place}" + (f" and signing in as {settings.username}" if settings.username else "")
    try:
        link = await sink.connect()
    except Exception as error:
        yield await _no_link(settings, place, error)
        return
    try:
        yield encrypted(place, link.certificate, context.clock.now())
        if settings.username:
            yield fine(f"Signed in as {settings.username}.")
        for found in clocks(said_time(link.greeting), context.clock.now(), settings.host):
            yield found
        yield "asking whether our sender and the recipients are taken"
        for found in await _envelope(settings, context, link):
            yield found
        for found in _sizes(link, context):
            yield found
    except (SMTPException, OSError) as error:
        yield failed(
            f"The conversation with {place} broke off: {mending.told(error)}.",
            "check again; if it stays so, look there",
        )
    finally:
        await link.quit()


async def _no_link(settings: SmtpSettings, place: Place, error: Exception) -> Finding:
    refused = _not_signed_in(settings, error)
    if refused is not None:
        return refused
    if isinstance(error, SMTPResponseException) and error.code > 0:  # -1: what it said is no reply
        return mending.turned_away(str(place), error.code, error.message)
    if "AUTH" in str(error) and "not supported" in str(error):
        return failed(
            f"{place} offers no sign-in (AUTH).",
            "use the submission port (587 with tls: starttls, or 465 with tls: implicit), or leave username out",
        )
    return await why_not(place, error)


def _not_signed_in(settings: SmtpSettings, error: Exception) -> Finding | None:
    match error:
        case SecretMissing():
            return failed(f"There is no password: {error}.", "put the secret where the settings say")
        case SourceRejected() | SourceUnavailable():  # from the token server
            return mending.token(str(error))
        case SMTPAuthenticationError():
            by_token = getattr(settings, "auth", "") == "xoauth2"
            found = mending.sign_in(f"{error.code} {error.message}", host=settings.host, by_token=by_token)
            return found if by_token else looked_at(found, settings.secret("password"))
        case SMTPReadTimeoutError():
            what = f"{settings.host} takes the connection, and then doesn't answer in time."
            mend = (
                "see whether the password is right, and check again with --within 60s: some answer late to a wrong one"
            )
            return looked_at(failed(what, mend), settings.secret("password"))
    return None


async def _envelope(settings: SmtpSettings, context: CheckContext, link: Link) -> list[Finding]:
    recipients = list(dict.fromkeys(context.destinations))[:_MOST_RECIPIENTS]
    sender, *answers = await link.ask(settings.from_address, recipients)
    if sender.code >= 400:
        return [mending.refused_envelope(sender.code, sender.message, Phase.SENDER, settings.from_address)]
    refused: dict[tuple[int, str], list[str]] = {}  # by the reply, without the recipient that it repeats
    for recipient, answer in zip(recipients, answers, strict=True):
        if answer.code >= 400:
            refused.setdefault((answer.code, answer.message.replace(recipient, "…")), []).append(recipient)
    found = [
        mending.refused_envelope(code, text, Phase.RECIPIENT, mending.joined(whom))
        for (code, text), whom in refused.items()
    ]
    taken = len(recipients) - sum(map(len, refused.values()))
    if taken or not recipients:
        to = "" if not recipients else f" to {_destinations(taken, len(set(context.destinations)))}"
        found.append(fine(f"It takes mail from {settings.from_address}{to}; nothing was sent."))
    return found


def _destinations(taken: int, there_are: int) -> str:
    return "each of our destinations" if taken == there_are else f"{taken} of our {there_are} destinations"


def _sizes(link: Link, context: CheckContext) -> Iterator[Finding]:
    largest = link.largest
    if largest is not None and largest < context.max_message_bytes:
        ours = _megabytes(context.max_message_bytes)
        yield remark(
            f"The server takes mails up to {_megabytes(largest)}, Signpost up to {ours}: what lies between is "
            "announced by a short mail that says where the original is.",
            "have the server's limit raised (36 MB has room for everything)",
        )


def _megabytes(octets: int) -> str:
    return f"{octets / 1_000_000:.0f} MB"


def _odd_domain(address: str) -> Iterator[Finding]:
    domain = address.rpartition("@")[2].lower()
    if "." not in domain or domain.endswith(_RESERVED) or domain.endswith(_RESERVED_NAMES) or domain.startswith("["):
        yield remark(
            f"No mail can come back to {address}: {domain} is no domain of the Internet.",
            "set from to an address of your district that some channel reads",
        )
