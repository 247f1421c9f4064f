"""Sends mail through the district's own mail server (a relay or submission host), over a few connections kept open."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPAuthenticationError, SMTPException, SMTPResponseException, SMTPSenderRefused
from pydantic import AfterValidator, Field

from channels._check_smtp import check_relay
from channels._failures import failure, is_too_large
from channels._forward import compose, is_address
from channels._oauth import OAuthSettings, Tokens, sign_in_faults
from channels._smtp import Link, Patience
from router.aside import aside
from router.errors import DeliveryError, Permanent, Retryable
from router.interfaces import Channel, Context
from router.records import DeliveryKind
from router.remarked import Remarked
from router.secrets import WithPassword
from router.settings import Duration, Host, Port, Rate, is_loopback, parse_duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from datetime import datetime

    from router.records import Forward

_MAILS_PER_CONNECTION = 100  # common relays cut off a connection that never ends
_NOT_AUTHENTIC = 535  # RFC 4954 section 6
_LONGEST_QUEUE_S = 30  # with pacing: no more attempts at once than leave within this time, so that leases hold


def check_address(to: str) -> str:
    """Return a sentence if `to` isn't one plain e-mail address, else ""."""
    return "" if is_address(to) else "must be one e-mail address such as office@example.org"


def _check_mailbox(value: str) -> str:
    if not is_address(value):
        raise ValueError("must be one e-mail address such as contact@example.org")
    return value


class SmtpSettings(WithPassword):
    """A mail server that takes our mail and delivers it."""

    host: Host = Field(description="Host name of the mail server.")
    port: Port = Field(587, description="Its port: 587 with starttls, 465 with implicit, 25 within one machine.")
    tls: Literal["implicit", "starttls", "none"] = Field(
        "starttls",
        description="implicit: encrypted from the first byte. starttls: encrypted after a greeting. none: on this "
        "machine only. The server's certificate is always verified.",
    )
    ca_file: str = Field("", description="A PEM file of further certificate authorities, for a server of your own.")
    username: str = Field("", description="User name to sign in with; left out, there is no sign-in.")
    auth: Literal["password", "xoauth2"] = Field(
        "password", description="password: with `password_env` or `password_file`. xoauth2: with `oauth`."
    )
    oauth: OAuthSettings | None = Field(None, description="Where access tokens come from (`auth: xoauth2`).")
    from_address: Annotated[str, AfterValidator(_check_mailbox)] = Field(
        alias="from",
        description="The district's own address the mail comes from. Some channel should read it: replies and bounces "
        "come back to it.",
    )
    hostname: str = Field(
        "",
        pattern=r"^[A-Za-z0-9.\-\[\]:]*$",
        description="What this machine calls itself to the server; left out, the domain of `from`.",
    )
    rate: Rate | None = Field(
        None, description="Pacing, such as 30/min: mails leave evenly, nothing is lost. Alerts leave at once."
    )
    connections: int = Field(
        4,
        ge=1,
        le=50,
        description="How many connections may be open at once; one more for an alert that would have to wait.",
    )
    idle: Duration = Field(parse_duration("30s"), description="How long an unused connection stays open.")
    connect_timeout: Duration = Field(parse_duration("30s"), description="How long connecting may take.")
    greeting_timeout: Duration = Field(
        parse_duration("5m"), description="How long the greeting may take: a busy server takes its time."
    )
    command_timeout: Duration = Field(parse_duration("5m"), description="How long an answer to a command may take.")
    transfer_timeout: Duration = Field(
        parse_duration("3m"),
        description="How long the server may take no more of a mail. The whole of it may take longer.",
    )
    data_timeout: Duration = Field(
        parse_duration("10m"),
        description="How long the confirmation of a mail may take (RFC 5321 section 4.5.3.2.6); sooner makes copies.",
    )

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """No secret leaves this machine in the clear, and a user name comes with a password or tokens."""
        if given["tls"] == "none" and isinstance(host := given.get("host"), str) and not is_loopback(host):
            yield "tls", "none is for a server on this machine only (localhost): use starttls or implicit"
        yield from sign_in_faults(given)
        if given["auth"] == "xoauth2" and not given["username"]:
            yield "username", "is missing (auth: xoauth2)"
        if given["auth"] == "password" and bool(given["username"]) != bool(
            given["password_env"] or given["password_file"]
        ):
            yield "username", "username and password_env (or password_file) belong together"


class Turns:
    """Lets attempts through one by one, `interval_s` apart; there is no burst, so that no window holds too many."""

    def __init__(
        self, interval_s: float, now: Callable[[], float], sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._interval_s = interval_s
        self._now = now
        self._sleep = sleep
        self._next = float("-inf")

    async def mine(self) -> None:
        """Return when it is the caller's turn, in the order of the calls."""
        now = self._now()
        at = max(now, self._next)
        self._next = at + self._interval_s
        if at > now:
            await self._sleep(at - now)


class SmtpSink:
    """A pool of connections to one mail server; one serves a mail at a time and is dropped after an error."""

    def __init__(self, settings: SmtpSettings, context: Context) -> None:
        self.concurrency = _attempts_at_once(settings)
        self._settings = settings
        self._context = context
        self._tokens = _tokens(settings, context)
        self._slots = asyncio.Semaphore(settings.connections)
        self._spare_slot = asyncio.Semaphore(1)  # for alerts, while mails that hang have all others
        self._idle: list[Link] = []
        self._timers: dict[Link, asyncio.TimerHandle] = {}
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._turns: Turns | None = None
        self._tls: ssl.SSLContext | None = None

    @property
    def token_expires_at(self) -> datetime | None:
        """When the access token expires; None without one."""
        return self._tokens.expires_at if self._tokens else None

    def expiries(self) -> list[tuple[str, datetime]]:
        """Return what a person has to renew, and when: the application's secret."""
        return self._tokens.expiries() if self._tokens else []

    async def send(self, forward: Forward) -> str:
        """Send one mail and return the server's id for it; raise a `DeliveryError`."""
        to = forward.delivery.to
        if not is_address(to):
            raise Permanent("the destination is no e-mail address")
        mail = await self._compose(forward)
        alert = forward.delivery.kind is DeliveryKind.ALERT
        if not alert:
            await self._await_turn()  # without a slot: an alert may need it meanwhile
        async with self._spare_slot if alert and self._slots.locked() else self._slots:
            try:
                return await self._deliver(self._reverse_path(forward), to, mail)
            except Exception as error:
                if not (forward.original and is_too_large(error)):
                    raise _failure(error) from error
                why = f"it would have {len(mail):,} octets, and {failure(error)}"
            return await self._send_without_original(forward, why)

    async def aclose(self) -> None:
        """Say goodbye on every connection."""
        for link in list(self._timers):
            self._retire(link)
        await asyncio.gather(*self._goodbyes)

    async def _compose(self, forward: Forward, left_out: str = "") -> bytes:
        sender = self._settings.from_address
        return await aside(lambda _original: compose(forward, sender=sender, left_out=left_out), forward.original)

    async def _send_without_original(self, forward: Forward, why: str) -> str:
        """Send what can be said of a mail that no attempt could bring: its size is no reason not to hear of it."""
        mail = await self._compose(forward, left_out=why)
        try:
            remote_id = await self._deliver(self._reverse_path(forward), forward.delivery.to, mail)
        except Exception as error:
            raise _failure(error) from error
        return Remarked(remote_id, f"without its original, which is too large: {why}")

    async def _await_turn(self) -> None:
        if self._settings.rate is None:
            return
        if self._turns is None:
            self._turns = Turns(1 / self._settings.rate.per_second, asyncio.get_running_loop().time)
        await self._turns.mine()

    def _reverse_path(self, forward: Forward) -> str:
        """Return where reports go: nowhere, if the mail is an automatic answer (RFC 3834, section 3.3)."""
        return "" if forward.delivery.kind is DeliveryKind.ANSWER else self._settings.from_address

    async def _deliver(self, sender: str, to: str, mail: bytes) -> str:
        link = await self._addressed(sender, to, len(mail))
        try:
            remote_id = await link.transmit(mail)
        except BaseException:
            link.close()
            raise
        self._keep(link)
        return remote_id

    async def _addressed(self, sender: str, to: str, size: int) -> Link:
        """Return a connection that has taken the envelope; one that died while idle is replaced once."""
        link = self._reuse()
        if link is not None:
            try:
                return await self._address(link, sender, to, size)
            except (SMTPException, OSError) as error:
                if isinstance(error, SMTPResponseException) and error.code != 421:  # 421: closing, RFC 5321
                    raise
        return await self._address(await self.connect(), sender, to, size)

    async def _address(self, link: Link, sender: str, to: str, size: int) -> Link:
        try:
            await link.address(sender, to, size)
        except BaseException:
            link.close()
            raise
        return link

    async def connect(self) -> Link:
        """Connect, encrypt and sign in; raise what aiosmtplib or the token server raises, or `SecretMissing`."""
        if self._tokens is None:
            secret = self._settings.secret("password")
            return await self._open(password=None if secret is None else await asyncio.to_thread(secret.read))
        had_one, token = self._tokens.expires_at is not None, await self._tokens.current()
        try:
            return await self._open(token=token)
        except SMTPAuthenticationError as error:
            self._tokens.forget(token)
            if error.code != _NOT_AUTHENTIC or not had_one:
                raise
        return await self._open(token=await self._tokens.current())  # the old one may have been withdrawn

    async def _open(self, *, password: str | None = None, token: str = "") -> Link:
        settings = self._settings
        client = SMTP(
            hostname=settings.host,
            port=settings.port,
            username=settings.username or None,
            password=password,
            oauth_token_generator=partial(_given, token) if token else None,
            local_hostname=settings.hostname or settings.from_address.rpartition("@")[2],
            timeout=settings.command_timeout.total_seconds(),
            use_tls=settings.tls == "implicit",
            start_tls=settings.tls == "starttls",
            tls_context=None if settings.tls == "none" else await self._tls_context(),
        )
        link = await Link.open(client, _patience(settings))
        self._context.on_proof()
        return link

    async def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = await asyncio.to_thread(self.tls_context)
        return self._tls

    def tls_context(self) -> ssl.SSLContext:
        """Return what the server's certificate is verified by; raise OSError for a bad `ca_file`."""
        context = ssl.create_default_context()
        if self._settings.ca_file:
            context.load_verify_locations((self._context.base_dir or Path()) / self._settings.ca_file)
        return context

    def _reuse(self) -> Link | None:
        while self._idle:
            link = self._idle.pop()
            self._timers.pop(link).cancel()
            if link.alive:
                return link
        return None

    def _keep(self, link: Link) -> None:
        self._idle.append(link)
        wait_s = 0 if link.mails >= _MAILS_PER_CONNECTION else self._settings.idle.total_seconds()
        self._timers[link] = asyncio.get_running_loop().call_later(wait_s, self._retire, link)

    def _retire(self, link: Link) -> None:
        self._idle.remove(link)
        self._timers.pop(link).cancel()
        goodbye = asyncio.create_task(link.quit())
        self._goodbyes.add(goodbye)
        goodbye.add_done_callback(self._goodbyes.discard)


async def _given(token: str) -> str:
    return token


def _patience(settings: SmtpSettings) -> Patience:
    return Patience(
        connect_s=settings.connect_timeout.total_seconds(),
        greeting_s=settings.greeting_timeout.total_seconds(),
        piece_s=settings.transfer_timeout.total_seconds(),
        dot_s=settings.data_timeout.total_seconds(),
    )


def _tokens(settings: SmtpSettings, context: Context) -> Tokens | None:
    if settings.oauth is None:
        return None
    cursor = context.cursor("oauth")
    return Tokens(settings.oauth, settings.username, clock=context.clock, cursor=cursor, base_dir=context.base_dir)


def _failure(error: Exception) -> DeliveryError:
    return _sender_refused(error) if isinstance(error, SMTPSenderRefused) else failure(error)


def _sender_refused(error: SMTPSenderRefused) -> DeliveryError:
    """Return what it means that a server doesn't take our reverse path; an empty one is our answers' alone."""
    found = failure(error)
    if error.sender:
        return found
    if error.code >= 500:
        return Permanent(f"the server takes no mail with an empty sender, as automatic answers have it: {found}")
    return Retryable(str(found), host=False)


def _attempts_at_once(settings: SmtpSettings) -> int:
    if settings.rate is None:
        return settings.connections
    return max(1, min(settings.connections, int(settings.rate.per_second * _LONGEST_QUEUE_S)))


CHANNEL = Channel(
    summary="Sends mail through a mail server (SMTP).",
    settings=SmtpSettings,
    sink=SmtpSink,
    check_address=check_address,
    check=lambda settings, context: check_relay(settings, context, SmtpSink),
)
