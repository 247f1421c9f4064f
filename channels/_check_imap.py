"""What `signpost check --connect` does with a mailbox: connect, sign in, open it for reading only, look what waits."""

from __future__ import annotations

from contextlib import aclosing
from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol

from channels import _failures_mending as mending
from channels._check_line import Place, encrypted, looked_at, patience, why_not
from channels._imap_connection import Refusal
from channels._imap_position import Position, account_of, key_of_name
from router.errors import SourceRejected, SourceUnavailable
from router.findings import Checking, Finding, failed, fine, remark
from router.secrets import SecretMissing

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from channels._imap_connection import Connection, Mailbox
    from channels.imap import ImapSettings
    from router.interfaces import CheckContext

_PORTS = {"implicit": 993, "starttls": 143, "none": 143}
_MOST_NAMES = 8


class Source(Protocol):
    """As much of the source as a check needs."""

    @property
    def token_expires_at(self) -> datetime | None:
        """When the access token ends; None without one."""
        ...

    async def connect(self) -> Connection:
        """Connect and encrypt."""
        ...

    async def sign_in(self, connection: Connection) -> None:
        """Sign in."""
        ...

    def tls_context(self) -> ssl.SSLContext:
        """Return what certificates are verified by."""
        ...


def port_of(port: int | None, tls: str) -> int:
    """Return the port, or what is usual for this kind of encryption."""
    return port or _PORTS[tls]


async def check_mailbox(
    settings: ImapSettings, context: CheckContext, make: Callable[[ImapSettings, CheckContext], Source]
) -> Checking:
    """Yield what is fine and what isn't; nothing in the mailbox changes. `make` builds the source."""
    limit = patience(settings.connect_timeout, context.within_s)
    source = make(settings.model_copy(update={"connect_timeout": limit}), context)
    place = Place(
        host=settings.host,
        port=port_of(settings.port, settings.tls),
        tls=settings.tls,
        protocol="imap",
        trust=source.tls_context,
        patience_s=limit.total_seconds() / 2,
    )
    yield f"connecting to {place}"
    try:
        connection = await source.connect()
    except (SourceUnavailable, SourceRejected) as error:
        yield _no_ca_file(error) or await why_not(place, error)
        return
    try:
        yield encrypted(place, connection.certificate, context.clock.now())
        async with aclosing(_signed_in(settings, context, source, connection)) as steps:
            async for step in steps:
                yield step
    except (SourceUnavailable, SourceRejected) as error:
        yield failed(f"The conversation with {place} broke off: {error}.", "check again; if it stays so, look there")
    finally:
        await connection.aclose()


def _no_ca_file(error: Exception) -> Finding | None:
    if isinstance(error, SourceRejected) and str(error).startswith("ca_file"):
        return failed(f"{error}.", "name a PEM file with the authority's certificate that this user can read")
    return None


async def _signed_in(settings: ImapSettings, context: CheckContext, source: Source, connection: Connection) -> Checking:
    yield f"signing in to {settings.host}"
    try:
        await source.sign_in(connection)
    except (SourceUnavailable, SourceRejected) as error:
        yield _refused(settings, error)
        return
    until = source.token_expires_at
    how = f"by an access token that is good until {until:%H:%M} UTC" if until else "with the password"
    yield fine(f"Signed in as {settings.username} {how}.")
    yield f"opening {settings.mailbox}"
    try:
        mailbox = await connection.select(settings.mailbox, read_only=True)
    except Refusal as refusal:
        yield _no_mailbox(settings.mailbox, refusal, await connection.mailboxes())
        return
    yield await _waiting(settings, context, connection, mailbox)
    for remark_ in _abilities(settings, connection.capabilities):
        yield remark_
    if settings.move_to and not await connection.mailboxes(settings.move_to):
        yield remark(f"There is no mailbox {settings.move_to} yet: it is made when the first mail is moved to it.")


def _refused(settings: ImapSettings, error: Exception) -> Finding:
    for cause in mending.causes(error):
        if isinstance(cause, Refusal):
            said = " ".join(filter(None, (cause.code, cause.said)))
            by_token = settings.auth == "xoauth2"
            found = mending.sign_in(said, host=settings.host, by_token=by_token)
            return found if by_token else looked_at(found, settings.secret("password"))
        if isinstance(cause, SecretMissing):
            return failed(f"There is no password: {cause}.", "put the secret where the settings say")
    if settings.auth == "xoauth2":
        return mending.token(str(error))
    return mending.sign_in(str(error), host=settings.host, by_token=False)


def _no_mailbox(name: str, refusal: Refusal, names: list[str]) -> Finding:
    known = {each.lower(): each for each in names}
    near = [known[each] for each in get_close_matches(name.lower(), known, n=3, cutoff=0.5)]
    near = near or [each for each in names if name.lower() in each.lower()]
    listed = ", ".join(sorted(names)[:_MOST_NAMES]) + (" …" if len(names) > _MOST_NAMES else "")
    mend = f"set mailbox to {mending.joined(near).replace(' and ', ' or ')}" if near else "correct mailbox"
    said = f" ({refusal.said})" if refusal.said else ""
    return failed(f"The mailbox {name} can't be opened{said}.", f"{mend}; there are: {listed}")


async def _waiting(settings: ImapSettings, context: CheckContext, connection: Connection, mailbox: Mailbox) -> Finding:
    unread = await connection.search("UNSEEN")
    counted = f"{settings.mailbox} is open: {_mails(mailbox.mails)}, {len(unread)} of them unread"
    kept = await context.cursor(f"mailbox:{key_of_name(settings.mailbox)}").get()
    position = Position.from_json(kept) if kept else None
    if position is not None and position.fits(account_of(settings.host, settings.username), mailbox):
        newer = await connection.search(f"UID {position.last + 1}:*")  # names the last mail, too, if there is no newer
        waits = sum(uid > position.last for uid in newer) + len(position.left)
        return fine(f"{counted}; {waits or 'none'} of them {'waits' if waits == 1 else 'wait'} to be taken in.")
    first = {"new": 0, "unseen": len(unread), "all": mailbox.mails}[settings.start] or "none"
    later = "and whatever comes from then on"
    return fine(f"{counted}; with start: {settings.start} the first run takes in {first} of them, {later}.")


def _mails(count: int) -> str:
    return f"{count} {'mail' if count == 1 else 'mails'}"


def _abilities(settings: ImapSettings, capabilities: frozenset[str]) -> Iterator[Finding]:
    if "IDLE" not in capabilities:
        yield remark("The server can't tell of new mail (IDLE): it is asked every 30 seconds.")
    if settings.move_to and "MOVE" not in capabilities and "UIDPLUS" not in capabilities:
        yield remark(
            "The server can neither move mails (MOVE) nor remove single ones (UIDPLUS): those that are copied to "
            f"{settings.move_to} stay in {settings.mailbox}, marked as deleted.",
            "leave move_to out, or let somebody empty the mailbox now and then",
        )
