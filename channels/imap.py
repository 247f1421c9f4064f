"""Takes mail in from a mailbox on a mail server (IMAP4rev1): everything new, once, however long we were away.

A sweep by UID finds what waits; IDLE is only a hint to sweep sooner. A mail is flagged as seen after it is on disk.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import structlog
from pydantic import AfterValidator, Field

from channels._certificates import ends_at, is_long_lived
from channels._check_imap import check_mailbox, port_of
from channels._imap_batches import Doubts
from channels._imap_connection import Connection, Line, Refusal
from channels._imap_position import Position, account_of, first_criteria, key_of_name
from channels._imap_sweep import Sweep
from channels._oauth import OAuthSettings, Tokens, sign_in_faults
from router.acknowledging import Acknowledging
from router.errors import SourceRejected, SourceUnavailable, StoreBusy
from router.interfaces import Accept, Channel, Context
from router.secrets import SecretMissing, WithPassword
from router.settings import Duration, Host, Port, is_loopback, parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from channels._imap_connection import Mailbox

_DONE_S = 10.0  # for the answer to DONE, which costs a server nothing
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 60.0
# RFC 5530: what is over by itself. Anything else at a sign-in is about us, and so is a text without a code.
_PASSING = frozenset({"UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"})
_BUSY_WORDS = ("too many", "try again", "temporar", "not connected", "throttl", "unavailable")  # Exchange, Gmail


def _check_name(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be one line of text")
    return value


Name = Annotated[str, AfterValidator(_check_name)]


class ImapSettings(Acknowledging, WithPassword):
    """A mailbox on a mail server."""

    host: Host = Field(description="Host name of the mail server.")
    port: Port | None = Field(None, description="Its port; left out, 993 with implicit, else 143.")
    tls: Literal["implicit", "starttls", "none"] = Field(
        "implicit",
        description="implicit: encrypted from the first byte. starttls: encrypted after a greeting. none: on this "
        "machine only. The server's certificate is always verified.",
    )
    ca_file: str = Field("", description="A PEM file of further certificate authorities, for a server of your own.")
    username: Name = Field(min_length=1, description="User name to sign in with: mostly the mailbox's address.")
    auth: Literal["password", "xoauth2"] = Field(
        "password", description="password: with `password_env` or `password_file`. xoauth2: with `oauth`."
    )
    oauth: OAuthSettings | None = Field(None, description="Where access tokens come from (`auth: xoauth2`).")
    mailbox: Name = Field("INBOX", min_length=1, description="The mailbox (folder) to read.")
    start: Literal["new", "unseen", "all"] = Field(
        "new",
        description="What the first connection takes. new: only what comes from then on. unseen: also what is unread. "
        "all: everything. Later ones take whatever came since, read or not.",
    )
    move_to: Name = Field(
        "", description="Another mailbox of the server that taken mails are moved to; made if missing."
    )
    idle: Duration = Field(
        parse_duration("4m"),
        description="How long to wait for the server's notification before looking all the same; a dead line is "
        "noticed then.",
    )
    keepalive: Duration = Field(parse_duration("1m"), description="How often a silent connection is probed (TCP).")
    timeout: Duration = Field(parse_duration("1m"), description="How long the server may be silent in an answer.")
    connect_timeout: Duration = Field(parse_duration("30s"), description="How long connecting may take.")

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """No secret leaves this machine in the clear, signing in is complete, and mail moves to another mailbox."""
        if given["tls"] == "none" and isinstance(host := given.get("host"), str) and not is_loopback(host):
            yield "tls", "none is for a server on this machine only (localhost): use implicit or starttls"
        yield from sign_in_faults(given)
        if given["auth"] == "password" and not (given["password_env"] or given["password_file"]):
            yield "password_env", "is missing, or password_file (auth: password)"
        if given["move_to"] == given["mailbox"]:
            yield "move_to", "must be another mailbox than the one that is read"


class ImapSource:
    """Reads one mailbox. It outlives its connections: `run` is called again after each."""

    def __init__(self, settings: ImapSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self._account = account_of(settings.host, settings.username)
        self._cursor = context.cursor(f"mailbox:{key_of_name(settings.mailbox)}")
        self._tokens = _tokens(settings, context)
        self._doubts = Doubts()
        self._certificate: Mapping[str, Any] | None = None  # the server's
        self._log = structlog.get_logger().bind(channel=context.name)

    @property
    def token_expires_at(self) -> datetime | None:
        """When the access token expires; None without one."""
        return self._tokens.expires_at if self._tokens else None

    def expiries(self) -> list[tuple[str, datetime]]:
        """Return what a person has to renew, and when: the application's secret, the server's certificate."""
        found = self._tokens.expiries() if self._tokens else []
        if self._certificate and is_long_lived(self._certificate):
            found.append((f"the certificate of {self._settings.host}", ends_at(self._certificate)))
        return found

    async def run(self, accept: Accept) -> None:
        """Take mail in until cancelled.

        Raises `SourceUnavailable` when the connection ends, `SourceRejected` when a person has to mend something: the
        credentials, the certificate, the name of the mailbox.
        """
        # What it logs at lower levels holds tokens and whole mails.
        logging.getLogger("aioimaplib.aioimaplib").setLevel(logging.WARNING)
        connection = await self.connect()
        self._certificate = connection.certificate
        try:
            await self.sign_in(connection)
            await self._read(connection, accept)
        finally:
            await connection.aclose()

    # --- getting in ---------------------------------------------------------------------------------------------------

    async def connect(self) -> Connection:
        """Connect and encrypt; raise `SourceUnavailable` or `SourceRejected`."""
        settings = self._settings
        return await Connection.open(
            Line(
                host=settings.host,
                port=port_of(settings.port, settings.tls),
                tls=None if settings.tls == "none" else await asyncio.to_thread(self.tls_context),
                starttls=settings.tls == "starttls",
                connect_s=settings.connect_timeout.total_seconds(),
                silence_s=settings.timeout.total_seconds(),
                done_s=min(_DONE_S, settings.timeout.total_seconds()),
                keepalive_s=settings.keepalive.total_seconds(),
                longest_literal=self._context.max_message_bytes + 1,  # one more tells that a mail is too large
            )
        )

    def tls_context(self) -> ssl.SSLContext:
        """Return what the server's certificate is verified by; raise `SourceRejected`."""
        context = ssl.create_default_context()
        if self._settings.ca_file:
            try:
                context.load_verify_locations((self._context.base_dir or Path()) / self._settings.ca_file)
            except OSError as error:  # SSLError is one
                raise SourceRejected(f"ca_file can't be used: {error.strerror or 'no certificates'}") from error
        return context

    async def sign_in(self, connection: Connection) -> None:
        """Sign in by password or token; raise `SourceUnavailable` or `SourceRejected`."""
        try:
            if self._tokens is None:
                await connection.log_in(self._settings.username, await asyncio.to_thread(self._password))
            else:
                await self._sign_in_by_token(connection, self._tokens)
        except Refusal as refusal:
            raise _sign_in_failure(refusal) from refusal
        await connection.ask_capabilities()

    async def _sign_in_by_token(self, connection: Connection, tokens: Tokens) -> None:
        had_one = tokens.expires_at is not None
        try:
            await self._authenticate(connection, await tokens.current())
        except Refusal:
            tokens.forget()
            if not had_one:
                raise
            await self._authenticate(connection, await tokens.current())  # the old one may have been withdrawn

    async def _authenticate(self, connection: Connection, token: str) -> None:
        # https://developers.google.com/gmail/imap/xoauth2-protocol, the same at Microsoft
        response = f"user={self._settings.username}\1auth=Bearer {token}\1\1"
        await connection.authenticate("XOAUTH2", response.encode())

    def _password(self) -> str:
        secret = self._settings.secret("password")
        try:
            return secret.read() if secret else ""
        except SecretMissing as error:
            raise SourceRejected(str(error)) from error

    async def _select(self, connection: Connection) -> Mailbox:
        try:
            return await connection.select(self._settings.mailbox)
        except Refusal as refusal:
            if _is_passing(refusal):  # Exchange says so here while it moves a mailbox
                raise
            why = f"the mailbox {self._settings.mailbox} can't be opened: {refusal.said or refusal.code}"
            raise SourceRejected(why) from refusal

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _read(self, connection: Connection, accept: Accept) -> None:
        mailbox = await self._select(connection)
        self._doubts.interrupted(self._context.clock.now())
        sweep = Sweep(
            connection,
            accept,
            self._context,
            cursor=self._cursor,
            mailbox=self._settings.mailbox,
            username=self._settings.username,
            move_to=self._settings.move_to,
            position=await self._position(connection, mailbox),
            doubts=self._doubts,
        )
        if mailbox.read_only:
            self._log.warning("mailbox_not_changed", why="it can only be read")
        retry_s = _FIRST_RETRY_S
        while True:
            connection.expect_news()
            complete = await sweep.run()
            self._context.on_proof()
            await self._renew_token()
            complete = complete and not self._is_told_nothing(connection, sweep)
            idle_s = self._settings.idle.total_seconds()
            await connection.idle(idle_s if complete else min(retry_s, idle_s))
            retry_s = _FIRST_RETRY_S if complete else min(2 * retry_s, _LONGEST_RETRY_S)

    def _is_told_nothing(self, connection: Connection, sweep: Sweep) -> bool:
        """Return whether the server announces mail again and again where there is none: then its word isn't taken.

        Once is no proof: a mail may have come after the search.
        """
        told = sweep.in_vain > 1 and connection.has_news
        if told:
            connection.expect_news()
        return told

    async def _position(self, connection: Connection, mailbox: Mailbox) -> Position:
        """Return where to go on: where we were, or as `start` says if UIDs mean nothing known."""
        former = await self._former()
        if former is not None and former.fits(self._account, mailbox):
            return former
        self._doubts.forget(list(self._doubts.tries))
        if former is not None:
            self._log.warning("mailbox_renumbered", uid_validity=mailbox.uid_validity)
        last, left = await self._start(connection, mailbox, former)
        position = Position(
            account=self._account,
            uid_validity=mailbox.uid_validity,
            last=last,
            seen_on=self._context.clock.now().date(),
            left=frozenset(left),
        )
        try:
            await self._cursor.set(position.to_json())  # now: what comes while we are away is new
        except StoreBusy as error:
            raise SourceUnavailable("the store is busy") from error
        return position

    async def _start(self, connection: Connection, mailbox: Mailbox, former: Position | None) -> tuple[int, list[int]]:
        """Return the UID to begin after, and which of the mails before it are taken all the same."""
        if self._settings.start == "all":
            return 0, []
        criteria = first_criteria(self._settings.start, former)
        found = await connection.search(criteria) if criteria else []
        last = mailbox.uid_next - 1 if mailbox.uid_next else max(await connection.search("ALL"), default=0)
        return last, [uid for uid in found if uid <= last]

    async def _former(self) -> Position | None:
        try:
            kept = await self._cursor.get()
        except StoreBusy as error:
            raise SourceUnavailable("the store is busy") from error
        return Position.from_json(kept) if kept else None

    async def _renew_token(self) -> None:
        """Ask for the next token well ahead, so that a person hears of a withdrawn consent before mail stops."""
        if self._tokens is not None:
            try:
                await self._tokens.current()
            except SourceUnavailable as error:
                self._log.warning("token_not_renewed", why=str(error))


def _tokens(settings: ImapSettings, context: Context) -> Tokens | None:
    if settings.oauth is None:
        return None
    return Tokens(
        settings.oauth,
        settings.username,
        clock=context.clock,
        cursor=context.cursor("oauth"),
        base_dir=context.base_dir,
    )


def _sign_in_failure(refusal: Refusal) -> Exception:
    """Tell a server that can't now from one that won't: only the second needs a person."""
    if _is_passing(refusal):
        return SourceUnavailable(str(refusal))
    return SourceRejected(f"the mail server refused the sign-in: {refusal.said or refusal.code or 'no reason given'}")


def _is_passing(refusal: Refusal) -> bool:
    said = refusal.said.lower() if refusal.code in {"", "ALERT"} else ""
    return refusal.code in _PASSING or any(word in said for word in _BUSY_WORDS)


def _reads(settings: ImapSettings, address: str) -> bool:
    """Tell whether mail to this address arrives here; a user name that is no address tells nothing."""
    return "@" not in settings.username or settings.username.lower() == address.lower()


CHANNEL = Channel(
    summary="A mailbox on a mail server (IMAP), to take mail from; Microsoft 365 and Google by OAuth.",
    settings=ImapSettings,
    source=ImapSource,
    reads=_reads,
    check=lambda settings, context: check_mailbox(settings, context, ImapSource),
    polls=lambda settings: settings.idle + settings.timeout,
)
