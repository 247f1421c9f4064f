"""A mail server for tests that records what it gets and misbehaves on demand, on a free loopback port."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiosmtpd import smtp as aiosmtpd_smtp

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

DROP = "drop"
STALL = "stall"


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
    _alone: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for(self, count: int, timeout_s: float = 10) -> list[ReceivedMail]:
        """Return the mails once there are at least `count`; raise TimeoutError."""
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self.mails) >= count)
        return list(self.mails)

    async def wait_until_alone(self, timeout_s: float = 10) -> None:
        """Return once no client is connected any more; raise TimeoutError."""
        async with asyncio.timeout(timeout_s):
            await self._alone.wait()

    def drop_connections(self) -> None:
        """Close every open connection at once, as a restarting server does."""
        for session in list(self._open):
            session.hang_up()

    async def handle_MAIL(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer MAIL FROM."""
        self.commands.append(f"MAIL {address}")
        if self.mail_reply:
            return self.mail_reply
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer RCPT TO."""
        self.commands.append(f"RCPT {address}")
        if self.recipient_reply:
            return self.recipient_reply
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: _Session, _session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
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


class _Session(aiosmtpd_smtp.SMTP):
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
            self._double._alone.clear()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._double._open.discard(self)
        if not self._double._open:
            self._double._alone.set()

    def hang_up(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        if self._double.data_reply:
            await self.push(self._double.data_reply)
        else:
            await super().smtp_DATA(arg)


@asynccontextmanager
async def smtp_server(
    *, tls: ssl.SSLContext | None = None, port: int = 0, double: SmtpServer | None = None, **options: Any
) -> AsyncIterator[SmtpServer]:
    """Run an `SmtpServer`, or `double`, which knows more, such as a way to sign in (`auth_NAME`, as aiosmtpd has it).

    `tls` encrypts from the start, `options` go to aiosmtpd (tls_context for STARTTLS, …).
    """
    double = double or SmtpServer()
    double.options = options
    server = await asyncio.get_running_loop().create_server(lambda: _Session(double), double.host, port, ssl=tls)
    double.port = server.sockets[0].getsockname()[1]
    try:
        yield double
    finally:
        server.close()
        double.drop_connections()
        await server.wait_closed()
