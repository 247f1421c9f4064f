"""One connection to a mail server and one mail over it, with the phases kept apart: what was lost, and when."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from aiosmtplib.errors import SMTPDataError, SMTPException, SMTPHeloError, SMTPResponseException, SMTPServerDisconnected

from router.errors import Unclear

if TYPE_CHECKING:
    from aiosmtplib import SMTP
    from aiosmtplib.protocol import SMTPProtocol
    from aiosmtplib.response import SMTPResponse

_START_INPUT, _COMPLETED = 354, 250
_DOT = re.compile(rb"^\.", re.MULTILINE)
_QUEUE_ID = re.compile(r"\bqueued as ([!-~]{1,200})|\bid=([!-~]{1,200})")


class Link:
    """A connection that is ready for mail. Its user serialises the calls and closes it after any error."""

    def __init__(self, client: SMTP, *, answer_timeout_s: float) -> None:
        self._client = client
        self._answer_timeout_s = answer_timeout_s
        self.mails = 0

    @classmethod
    async def open(cls, client: SMTP, *, connect_timeout_s: float, answer_timeout_s: float) -> Link:
        """Connect, encrypt, sign in and say hello; raise what aiosmtplib raises."""
        await client.connect(timeout=connect_timeout_s)
        if client.is_ehlo_or_helo_needed:
            await _say_hello(client)
        return cls(client, answer_timeout_s=answer_timeout_s)

    @property
    def alive(self) -> bool:
        """Whether neither side has closed the connection, as far as is known."""
        return self._client.is_connected

    async def address(self, sender: str, recipient: str, size: int) -> None:
        """Give the envelope; `size` in octets (RFC 1870). Nothing has been sent yet when this fails."""
        options = [f"SIZE={size}"] if self._client.supports_extension("size") else []
        await self._client.mail(sender, options=options)
        await self._client.rcpt(recipient)

    async def transmit(self, mail: bytes) -> str:
        """Send the mail and return the server's id for it ("" if it named none).

        The last dot is held back until everything before it has left, so that a connection lost earlier is known to
        have delivered nothing; lost afterwards it is `Unclear` (RFC 1047).
        """
        reply = await self._client.execute_command(b"DATA")
        protocol = self._client.protocol
        if reply.code != _START_INPUT:
            raise SMTPDataError(reply.code, reply.message)
        if protocol is None:
            raise SMTPServerDisconnected("the connection was lost")
        reply = await self._converse(protocol, _DOT.sub(b"..", mail))
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


async def _write(protocol: SMTPProtocol, body: bytes, answer: asyncio.Task[SMTPResponse]) -> bool:
    """Write all but the last dot; return whether it has all left and nothing has been answered yet."""
    transport = protocol.transport
    if not isinstance(transport, asyncio.WriteTransport):
        raise SMTPServerDisconnected("the connection was lost")
    transport.set_write_buffer_limits(high=0)
    protocol.write(body)
    left = asyncio.create_task(_has_left(protocol))
    try:
        await asyncio.wait({left, answer}, return_when=asyncio.FIRST_COMPLETED)
        return not answer.done() and left.result()
    finally:
        left.cancel()


async def _has_left(protocol: SMTPProtocol) -> bool:
    try:
        await protocol._drain_helper()  # what asyncio's own StreamWriter.drain calls
    except OSError:
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
