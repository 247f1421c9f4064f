"""One connection to a mail server and one mail over it, with the phases kept apart: what was lost, and when."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiosmtplib.errors import (
    SMTPDataError,
    SMTPException,
    SMTPHeloError,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
    SMTPServerDisconnected,
)

from router.aside import aside
from router.errors import Unclear
from router.failpoints import reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiosmtplib import SMTP
    from aiosmtplib.protocol import SMTPProtocol
    from aiosmtplib.response import SMTPResponse

_START_INPUT, _COMPLETED, _WILL_FORWARD = 354, 250, 251
_PIECE = 256 * 1024  # octets of a mail that are written at a time
_QUEUE_ID = re.compile(r"\bqueued as ([!-~]{1,200})|\bid=([!-~]{1,200})")


class Link:
    """A connection that is ready for mail. Its user serialises the calls and closes it after any error."""

    def __init__(self, client: SMTP, *, answer_timeout_s: float, greeting: str = "") -> None:
        self._client = client
        self.greeting = greeting  # what the server said first
        self._answer_timeout_s = answer_timeout_s
        self.mails = 0

    @classmethod
    async def open(cls, client: SMTP, *, connect_timeout_s: float, answer_timeout_s: float) -> Link:
        """Connect, encrypt, sign in and say hello; raise what aiosmtplib raises."""
        greeting = await client.connect(timeout=connect_timeout_s)
        reach("connected")
        link = cls(client, answer_timeout_s=answer_timeout_s, greeting=greeting.message)
        try:
            if client.is_ehlo_or_helo_needed:
                await _say_hello(client)
        except BaseException:
            link.close()
            raise
        return link

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The server's certificate as Python shows it, None without encryption."""
        found: dict[str, Any] | None = self._client.get_transport_info("peercert")
        return found

    @property
    def largest(self) -> int | None:
        """How large a mail the server takes, in octets (RFC 1870); None if it doesn't say."""
        said = self._client.esmtp_extensions.get("size", "").strip()
        return int(said) if said.isascii() and said.isdigit() and int(said) else None

    @property
    def alive(self) -> bool:
        """Whether neither side has closed the connection, as far as is known."""
        return self._client.is_connected

    async def address(self, sender: str, recipient: str, size: int) -> None:
        """Give the envelope; `size` in octets (RFC 1870). Nothing has been sent yet when this fails.

        `sender` and `recipient` are plain addresses, so that they needn't be taken apart and quoted for each mail.
        """
        offers = self._client.supports_extension
        stated = f" SIZE={size}" if offers("size") else ""
        reply = await self._client.execute_command(f"MAIL FROM:<{sender}>{stated}".encode("ascii"))
        if reply.code != _COMPLETED:
            raise SMTPSenderRefused(reply.code, reply.message, sender)
        # So that a report names the address that we wrote to, wherever an alias leads (RFC 3461, section 4.2).
        original = f" ORCPT=rfc822;{_xtext(recipient)}" if offers("dsn") else ""
        reply = await self._client.execute_command(f"RCPT TO:<{recipient}>{original}".encode("ascii"))
        if reply.code not in (_COMPLETED, _WILL_FORWARD):
            raise SMTPRecipientRefused(reply.code, reply.message, recipient)

    async def ask(self, sender: str, recipients: Sequence[str]) -> list[SMTPResponse]:
        """Return how the server answers to a sender and, unless it refuses that, to recipients; nothing is sent."""
        commands = deque([f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{recipient}>" for recipient in recipients)])
        answers: list[SMTPResponse] = []
        while commands and (not answers or answers[0].code < 400):
            answers.append(await self._client.execute_command(commands.popleft().encode()))
        await self._client.rset()
        return answers

    async def transmit(self, mail: bytes) -> str:
        """Send the mail and return the server's id for it ("" if it named none).

        The last dot is held back until everything before it has left, so that a connection lost earlier is known to
        have delivered nothing; lost afterwards it is `Unclear` (RFC 1047).
        """
        body = await aside(_stuffed, mail)
        reply = await self._client.execute_command(b"DATA")
        protocol = self._client.protocol
        if reply.code != _START_INPUT:
            raise SMTPDataError(reply.code, reply.message)
        if protocol is None:
            raise SMTPServerDisconnected("the connection was lost")
        reply = await self._converse(protocol, body)
        if reply.code != _COMPLETED:
            raise SMTPDataError(reply.code, reply.message)
        self.mails += 1
        return _remote_id(reply.message)

    async def _converse(self, protocol: SMTPProtocol, body: bytes) -> SMTPResponse:
        answer = asyncio.create_task(protocol.read_response(timeout=self._answer_timeout_s))
        answer.add_done_callback(lambda task: task.cancelled() or task.exception())  # so it counts as seen
        try:
            if await _write(protocol, body, answer):
                protocol.write(b".\r\n")
                return await _after_the_dot(answer)
            return await _too_early(answer)
        finally:
            answer.cancel()

    async def quit(self) -> None:
        """Say goodbye, without waiting long and whatever the other side does."""
        with suppress(SMTPException, OSError, TimeoutError):
            await self._client.quit(timeout=2)
        self.close()

    def close(self) -> None:
        """Drop the connection at once: half a mail that is still to be written must not hold it open."""
        if isinstance(self._client.transport, asyncio.WriteTransport):
            self._client.transport.abort()
        self._client.close()


def _xtext(text: str) -> str:
    return re.sub(r"[^!-*,-<>-~]", lambda char: f"+{ord(char[0]):02X}", text)


def _stuffed(mail: bytes) -> bytes:
    """Return a mail with its leading dots doubled (RFC 5321 section 4.5.2)."""
    stuffed = mail.replace(b"\n.", b"\n..")
    return b"." + stuffed if mail.startswith(b".") else stuffed


async def _write(protocol: SMTPProtocol, body: bytes, answer: asyncio.Task[SMTPResponse]) -> bool:
    """Write all but the last dot; return whether it has all left and nothing has been answered yet."""
    transport = protocol.transport
    if not isinstance(transport, asyncio.WriteTransport):
        raise SMTPServerDisconnected("the connection was lost")
    transport.set_write_buffer_limits(high=0)
    left = asyncio.create_task(_has_left(protocol, body))
    try:
        await asyncio.wait({left, answer}, return_when=asyncio.FIRST_COMPLETED)
        return not answer.done() and left.result()
    finally:
        left.cancel()


async def _has_left(protocol: SMTPProtocol, body: bytes) -> bool:
    """Write piece by piece: a large mail at once would stop the event loop. Return False if the connection is lost."""
    try:
        for begin in range(0, len(body), _PIECE):
            protocol.write(body[begin : begin + _PIECE])
            await protocol._drain_helper()  # what asyncio's own StreamWriter.drain calls
    except (OSError, SMTPServerDisconnected):
        return False
    return True


async def _too_early(answer: asyncio.Task[SMTPResponse]) -> SMTPResponse:
    reply = await answer  # a lost connection, or a server that says in the middle why it won't take the mail
    if reply.code < 400:
        raise SMTPServerDisconnected("the server answered before the mail was complete")
    return reply


async def _say_hello(client: SMTP) -> None:
    try:
        await client.ehlo()
    except SMTPHeloError:
        await client.helo()


async def _after_the_dot(answer: asyncio.Task[SMTPResponse]) -> SMTPResponse:
    try:
        reach("data_sent")
        reply = await answer
    except (SMTPException, OSError, TimeoutError) as error:
        raise Unclear("the connection was lost before the server confirmed the mail") from error
    if not 200 <= reply.code <= 599:
        raise Unclear("the server's confirmation couldn't be understood") from SMTPResponseException(*reply)
    return reply


def _remote_id(text: str) -> str:
    """Return the queue id in a 250 reply, else the reply itself, at most 200 characters."""
    found = _QUEUE_ID.search(text)
    return (found[1] or found[2]) if found else " ".join(text.split())[:200]
