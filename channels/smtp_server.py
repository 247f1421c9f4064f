"""A listener for incoming mail: another mail server, or a form mailer, hands its mail over by SMTP.

It takes mail for one district and relays nothing: what it accepts goes to the desks and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import structlog
from pydantic import AfterValidator, Field, WithJsonSchema

from channels._certificates import Served
from channels._check_listener import check_listener
from channels._door import Door, why_shut
from channels._mime_fields import one_line
from channels._room import Room
from channels._smtp_session import Session
from router.acknowledging import Acknowledging
from router.errors import Refused, SourceUnavailable, StoreBusy, TooLarge
from router.interfaces import Accept, Channel, Context, mail_domain
from router.records import Inbound, Medium
from router.secrets import secret_path
from router.settings import Duration, ListenAddress, check_host, parse_duration, parse_listen

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from aiosmtpd.smtp import Envelope
    from aiosmtpd.smtp import Session as Peer

    from router.findings import Checking
    from router.interfaces import CheckContext

_GRACE_S = 10.0  # for mails that are being sent when we stop
_RECIPIENT_WORDS = "one address such as contact@example.org, or one host name such as example.org"


def _check_recipient(entry: str) -> str:
    local, _, host = entry.rpartition("@")
    try:
        check_host(host)
    except ValueError:
        raise ValueError(f"must be {_RECIPIENT_WORDS}") from None
    if re.search(r"[\s@,;<>]", local):
        raise ValueError(f"must be {_RECIPIENT_WORDS}")
    return entry


_Recipient = Annotated[
    str, AfterValidator(_check_recipient), WithJsonSchema({"type": "string", "x-type": _RECIPIENT_WORDS})
]


class SmtpServerSettings(Acknowledging):
    """Settings of the listener for incoming mail."""

    listen: ListenAddress = Field(parse_listen("127.0.0.1:2525"), description="Address and port to listen on.")
    hostname: str = Field("", description="Name in the greeting; left out: the host of `organization.public_url`.")
    recipients: list[_Recipient] = Field(
        [], description="Addresses, and domains with or without @, that mail is taken for; left out: any."
    )
    max_message_bytes: int = Field(26_214_400, ge=1_000, description="Larger mails are refused (552).")
    max_receiving_bytes: int = Field(
        104_857_600,
        ge=1,
        description="Bytes of mails that may be on their way in at once, from all senders together; beyond that they "
        "are asked to come back later (452). One mail always fits.",
    )
    max_connections: int = Field(50, ge=1, description="Further connections are told to come back later (421).")
    idle_timeout: Duration = Field(
        parse_duration("5m"), description="A silent connection is closed after this time (RFC 5321 wants five minutes)."
    )
    tls_cert: str = Field("", description="File with the certificate chain (PEM); with it STARTTLS is offered.")
    tls_key: str = Field("", description="File with the certificate's key (PEM).")
    require_tls: bool = Field(default=False, description="Take mail only after STARTTLS.")

    @classmethod
    def faults(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A certificate comes with its key, and TLS with a certificate."""
        if bool(given["tls_cert"]) != bool(given["tls_key"]):
            yield "tls_key" if given["tls_cert"] else "tls_cert", "is missing: tls_cert and tls_key go together"
        elif given["require_tls"] is True and not given["tls_cert"]:
            yield "require_tls", "needs tls_cert and tls_key"


class SmtpServer:
    """The listener. As aiosmtpd's handler it also answers for recipients and mails."""

    def __init__(self, settings: SmtpServerSettings, context: Context) -> None:
        self._settings = settings
        self._context = context
        self.hostname = settings.hostname or mail_domain(context.public_url)
        self._recipients = _recipients(settings.recipients)
        base = context.base_dir or Path()
        self._served = (
            Served(base / settings.tls_cert, base / secret_path(settings.tls_key)) if settings.tls_cert else None
        )
        self._sessions: set[Session] = set()
        self._max_bytes = min(settings.max_message_bytes, context.max_message_bytes)
        self.room = Room(max(settings.max_receiving_bytes, self._max_bytes + 1_000))  # and the mail's last dot
        self._left = asyncio.Event()
        self._accept: Accept | None = None
        self._log = structlog.get_logger().bind(channel=context.name)
        self.closing = False
        self.relieved = False  # another listener has taken over
        self._door: Door | None = None  # open, or prepared
        self._relieves: list[SmtpServer] = []
        self.port: int | None = None  # the port it listens on, while it does

    async def prepare(self, leaving: Collection[object]) -> None:
        """Get ready to take over from listeners that are `leaving`, so that nobody is refused between them and us.

        Raises `SourceUnavailable` if this listener couldn't run: then those had better stay.
        """
        self.tls_context()
        former = [source for source in leaving if isinstance(source, SmtpServer)]
        door = self._new_door()
        try:
            await door.prepare(source._door for source in former if source._door is not None)
        except OSError as error:
            raise self._no_way_in(error) from error
        self._door, self._relieves = door, former

    async def abandon(self) -> None:
        """Undo `prepare`."""
        if self._door is not None:
            await self._door.close()
        self._door, self._relieves = None, []

    async def run(self, accept: Accept) -> None:
        """Listen until cancelled; then mails under way get a few seconds, and the rest hears 421."""
        logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd's, which is full of addresses
        self._accept, self.closing, self.relieved = accept, False, False
        for former in self._relieves:
            former.relieved = True
        self._relieves = []
        self.tls_context()  # what is wrong with the certificate is said now
        door = self._door = self._door or self._new_door()
        try:
            await door.open()
            self.port = door.port
            self._context.on_proof()
            await asyncio.Event().wait()
        except OSError as error:
            raise self._no_way_in(error) from error
        finally:
            self._door = self.port = None
            await door.close()
            await self._close()

    def _new_door(self) -> Door:
        return Door(self._settings.listen, lambda: self._session(self.tls_context()))

    def _no_way_in(self, error: OSError) -> SourceUnavailable:
        return SourceUnavailable(f"can't listen on {self._settings.listen}: {why_shut(error)}")

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the certificate and key, None without them; raise `SourceUnavailable`."""
        try:
            return self._served.context() if self._served else None
        except OSError as error:  # SSLError is one
            raise SourceUnavailable(f"the certificate or its key can't be used: {error.strerror or error}") from error

    def expiries(self) -> list[tuple[str, datetime]]:
        """Return until when the certificate is good."""
        ends_at = self._served.ends_at if self._served else None
        return [("the certificate (tls_cert)", ends_at)] if ends_at else []

    def _session(self, tls: ssl.SSLContext | None) -> Session:
        return Session(
            self,
            hostname=self.hostname,
            max_bytes=self._max_bytes,
            timeout_s=self._settings.idle_timeout.total_seconds(),
            tls=tls,
            must_tls=self._settings.require_tls,
        )

    async def _close(self) -> None:
        self.closing = True
        if self.relieved:  # nobody is in a hurry then: most have their mail taken, and leave by themselves
            await self._all_gone()
        for session in [session for session in self._sessions if not session.in_data]:
            session.hang_up()
        try:
            if not await self._all_gone():
                self._log.warning("smtp_senders_cut_off", count=len(self._sessions))
        finally:
            for session in list(self._sessions):
                session.cut_off()

    async def _all_gone(self) -> bool:
        """Wait a few seconds for senders to leave; return whether all have."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_S):
                while self._sessions:
                    self._left.clear()
                    await self._left.wait()
        return not self._sessions

    # --- what sessions ask --------------------------------------------------------------------------------------------

    def admit(self, session: Session) -> bool:
        """Tell whether there is room for one more connection, and count it."""
        shut = self.closing and not self.relieved  # after a change of listeners a few come in by the former one
        if shut or len(self._sessions) >= self._settings.max_connections:
            return False
        self._sessions.add(session)
        return True

    def dismiss(self, session: Session) -> None:
        """Forget a connection."""
        self._sessions.discard(session)
        self._left.set()

    async def take(self, _peer: Peer, envelope: Envelope, data: bytes) -> str:
        """Hand a mail over and return the reply: 250 only when it is on disk, 4xx whenever another try may succeed."""
        assert self._accept is not None
        try:
            receipt = await self._accept(self._inbound(envelope, data))
        except TooLarge as refused:
            return f"552 5.3.4 {_ascii(str(refused))}"
        except Refused as refused:
            return f"554 5.6.0 {_ascii(str(refused))}"
        except StoreBusy:
            return "451 4.3.1 the mail can't be stored now, please try again later"
        except Exception:
            self._log.exception("mail_not_accepted")
            return "451 4.3.0 the mail can't be taken in now, please try again later"
        self._context.on_proof()
        return f"250 2.0.0 accepted as {receipt.message_id}"

    def _inbound(self, envelope: Envelope, data: bytes) -> Inbound:
        recipients = [_address(recipient) for recipient in envelope.rcpt_tos]
        return Inbound(
            source_key=f"smtp:{uuid4().hex}",  # a sender's retry is recognised by its Message-ID and bytes
            channel=self._context.name,
            medium=Medium.EMAIL,
            received_at=self._context.clock.now(),
            original=data,
            facts={
                "envelope_from": _address(envelope.mail_from or ""),
                "recipient": recipients[0],
                "recipients": recipients[:100],
            },
        )

    # --- aiosmtpd's hooks ---------------------------------------------------------------------------------------------

    async def handle_EHLO(  # noqa: N802 - aiosmtpd finds hooks by this name
        self, _server: Session, session: Peer, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """Offer what there is, and no AUTH."""
        session.host_name = hostname
        return [line for line in responses if not line.startswith("250-AUTH")]

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds hooks by this name
        self, _server: Session, _session: Peer, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept a recipient if it is one of ours."""
        if not _takes(self._recipients, address):
            return "550 5.7.1 no mail is taken for this address here"
        if len(envelope.rcpt_tos) >= 100:
            return "452 4.5.3 too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_exception(self, error: Exception) -> str:
        """Answer a command that aiosmtpd stumbled over; nothing was taken."""
        self._log.warning("smtp_command_failed", kind=type(error).__name__)
        return "451 4.3.0 that can't be handled now"


def _recipients(entries: Iterable[str]) -> frozenset[str]:
    return frozenset(entry.lower().removeprefix("@") for entry in entries)


def _takes(recipients: Collection[str], address: str) -> bool:
    """Tell whether mail to an address is taken: by its own name or its domain's; without recipients, any."""
    return not recipients or not {address.lower(), address.lower().rpartition("@")[2]}.isdisjoint(recipients)


def _address(path: str) -> str:
    """Return an envelope address as clean text; "" for the null reverse path."""
    return "" if path == "<>" else one_line(path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), 320)


def _ascii(sentence: str) -> str:
    return one_line(sentence, 400).encode("ascii", "replace").decode()


def _check(settings: SmtpServerSettings, context: CheckContext) -> Checking:
    server = SmtpServer(settings, context)
    return check_listener(settings, context, server.tls_context, server.hostname)


CHANNEL = Channel(
    summary="Listener for mail that another mail server hands over (SMTP)",
    settings=SmtpServerSettings,
    source=SmtpServer,
    reads=lambda settings, address: _takes(_recipients(settings.recipients), address),
    check=_check,
)
