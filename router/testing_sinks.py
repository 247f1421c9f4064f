"""For tests of sinks: a sample forward, a sink that records, a mail server that misbehaves on demand, the contract suite.

Shipped, so that the author of a channel can run the same suite that the built-in ones pass.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP as _SmtpProtocol

from router.records import (
    Content,
    Decision,
    Delivery,
    DeliveryKind,
    DeliveryState,
    Forward,
    Medium,
    Message,
    Notice,
    Reason,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

SAMPLE_AT = datetime(2026, 9, 1, 12, 30, tzinfo=UTC)
SAMPLE_ORIGINAL = (
    b"From: Ana Ruiz <ana@example.org>\r\nTo: contact@maplevalley.example\r\nSubject: Bus 12\r\n"
    b"Message-ID: <bus-12@example.org>\r\n\r\nThe bus was late again.\r\n"
)


def sample_forward(number: int = 1, *, to: str = "transportation@maplevalley.example", **changes: Any) -> Forward:
    """Return a plausible forward; two with different numbers are different deliveries. `changes` replace fields."""
    delivery = _delivery(number, to, DeliveryKind.ROUTE)
    message_id = f"message-{number}"
    forward = Forward(
        delivery=delivery,
        mail_id=f"<delivery-{number}@signpost.maplevalley.example>",
        organization="Maple Valley School District",
        message=Message(
            id=message_id, channel="contact", medium=Medium.EMAIL, received_at=SAMPLE_AT, content=sample_content()
        ),
        original=SAMPLE_ORIGINAL,
        decision=Decision(
            message_id=message_id,
            department="transportation",
            reason=Reason.MODEL,
            confidence=0.93,
            decided_at=SAMPLE_AT,
        ),
        department_name="Transportation",
        misroute_url=f"https://contact.maplevalley.example/m/token-{number}",
        local_time="Tuesday, 1 September 2026, 7:30 am",
    )
    return replace(forward, **changes)


def sample_content(**changes: Any) -> Content:
    """Return what was understood of the sample original, with changes."""
    content = Content(
        sender="ana@example.org",
        sender_name="Ana Ruiz",
        reply_to="ana@example.org",
        recipient="contact@maplevalley.example",
        subject="Bus 12",
        text="The bus was late again.\n",
        external_id="<bus-12@example.org>",
        language="en",
    )
    return replace(content, **changes)


def sample_alert(number: int = 1, *, to: str = "it@maplevalley.example") -> Forward:
    """Return an alert about no message."""
    return Forward(
        delivery=_delivery(number, to, DeliveryKind.ALERT),
        mail_id=f"<alert-{number}@signpost.maplevalley.example>",
        organization="Maple Valley School District",
        notice=Notice(subject="A delivery was given up", text="One message waits for a person."),
    )


def _delivery(number: int, to: str, kind: DeliveryKind) -> Delivery:
    return Delivery(
        id=number,
        kind=kind,
        message_id=f"message-{number}" if kind is DeliveryKind.ROUTE else None,
        decision_id=number if kind is DeliveryKind.ROUTE else None,
        department="transportation" if kind is DeliveryKind.ROUTE else "",
        via="sink",
        to=to,
        state=DeliveryState.WAITING,
        attempts=1,
        unclear=0,
        lost_leases=0,
        fence=1,
        created_at=SAMPLE_AT,
        next_attempt_at=SAMPLE_AT,
    )


class RecordingSink:
    """A sink that keeps what it is given; `failures` are raised first, one per attempt."""

    def __init__(self, *failures: Exception, concurrency: int = 4) -> None:
        self.concurrency = concurrency
        self.failures = list(failures)
        self.attempts: list[Forward] = []
        self.sent: list[Forward] = []
        self.closed = False

    async def send(self, forward: Forward) -> str:
        """Record the attempt, then raise the next failure or record the delivery."""
        self.attempts.append(forward)
        if self.failures:
            raise self.failures.pop(0)
        self.sent.append(forward)
        return f"recorded-{len(self.sent)}"

    async def aclose(self) -> None:
        """Note that it was closed."""
        self.closed = True


# --- a mail server ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMail:
    """A mail as a server got it: envelope, and the bytes after dot-unstuffing."""

    sender: str
    recipient: str
    data: bytes
    session: int  # counts connections from 1


@dataclass(slots=True)
class SmtpServer:
    """An SMTP server on a free loopback port, started by `smtp_server`; change its fields to make it misbehave.

    A reply is a whole SMTP line such as "451 4.3.0 try later"; "" stands for the ordinary answer. `answers` are used
    up first, one per mail, in place of the reply after the last dot: a reply, DROP (close without an answer, the mail
    is recorded: it did arrive), or STALL (never answer, the mail is recorded).
    """

    host: str = "127.0.0.1"
    port: int = 0
    mail_reply: str = ""
    recipient_reply: str = ""
    data_reply: str = ""  # to DATA itself
    answers: list[str] = field(default_factory=list)
    mails: list[ReceivedMail] = field(default_factory=list)
    sessions: int = 0
    commands: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    _open: set[_Session] = field(default_factory=set)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for(self, count: int, timeout_s: float = 10) -> list[ReceivedMail]:
        """Return the mails once there are at least `count`; raise TimeoutError."""
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self.mails) >= count)
        return list(self.mails)

    def drop_connections(self) -> None:
        """Close every open connection at once, as a restarting server does."""
        for session in list(self._open):
            session.hang_up()

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        return len(self._open)

    async def handle_MAIL(self, _server: Any, session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer MAIL FROM."""
        self.commands.append(f"MAIL {address}")
        if self.mail_reply:
            return self.mail_reply
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: Any, session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer RCPT TO."""
        self.commands.append(f"RCPT {address}")
        if self.recipient_reply:
            return self.recipient_reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: _Session, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer the last dot."""
        answer = self.answers.pop(0) if self.answers else ""
        if not answer or answer in {DROP, STALL}:
            mail = ReceivedMail(
                sender=envelope.mail_from,
                recipient=envelope.rcpt_tos[0],
                data=envelope.original_content,
                session=server.number,
            )
            async with self._arrived:
                self.mails.append(mail)
                self._arrived.notify_all()
        if answer == DROP:
            server.hang_up()
        if answer in {DROP, STALL}:
            await asyncio.Event().wait()  # until the connection is gone
        return answer or f"250 2.0.0 OK: queued as Q{len(self.mails)}"


DROP = "drop"
STALL = "stall"


class _Session(_SmtpProtocol):  # type: ignore[misc]  # aiosmtpd has no types
    def __init__(self, double: SmtpServer) -> None:
        super().__init__(
            double, **{"hostname": "mail.test", "ident": "test", "enable_SMTPUTF8": False, **double.options}
        )
        self._double = double
        self.number = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self not in self._double._open:  # after STARTTLS it is the same connection
            self._double.sessions += 1
            self.number = self._double.sessions
            self._double._open.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._double._open.discard(self)

    def hang_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if self._double.data_reply:
            await self.push(self._double.data_reply)
        else:
            await super().smtp_DATA(arg)


@asynccontextmanager
async def smtp_server(*, tls: ssl.SSLContext | None = None, port: int = 0, **options: Any) -> AsyncIterator[SmtpServer]:
    """Run an `SmtpServer`; `tls` encrypts from the start, `options` go to aiosmtpd (tls_context for STARTTLS, …)."""
    double = SmtpServer(options=options)
    server = await asyncio.get_running_loop().create_server(lambda: _Session(double), double.host, port, ssl=tls)
    double.port = server.sockets[0].getsockname()[1]
    try:
        yield double
    finally:
        server.close()
        double.drop_connections()
        await server.wait_closed()
