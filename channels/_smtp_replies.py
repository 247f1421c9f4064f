"""A mail server's replies in order, also to commands that were sent ahead of them (RFC 2920, pipelining).

aiosmtplib connects, encrypts and signs in, one command after the other; for mails this takes the connection over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from aiosmtplib.errors import SMTPReadTimeoutError, SMTPResponseException, SMTPServerDisconnected, SMTPTimeoutError
from aiosmtplib.response import SMTPResponse

if TYPE_CHECKING:
    from aiosmtplib.protocol import SMTPProtocol

_LONGEST = 65_536  # octets of a reply
_MALFORMED = -1


class Replies(asyncio.Protocol):
    """Writes to a connection and reads what is answered. One caller at a time; `give_back` ends it."""

    def __init__(self, protocol: SMTPProtocol) -> None:
        if not isinstance(protocol.transport, asyncio.Transport):
            raise SMTPServerDisconnected("the connection was lost")
        self._protocol = protocol
        self._transport = protocol.transport
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._lines: list[bytes] = []  # of a reply that isn't complete
        self._replies: deque[SMTPResponse] = deque()
        self._due = 0  # replies that are still to come; others are nobody's
        self._full = False  # what was written hasn't all left
        self._lost = False
        self._waiter: asyncio.Future[bool] | None = None
        # Not 0: asyncio's TLS transport then counts an empty buffer as full, and never says that it has emptied.
        self._transport.set_write_buffer_limits(high=1)
        self._transport.set_protocol(self)

    def give_back(self) -> None:
        """Let aiosmtplib have the connection again."""
        self._transport.set_protocol(self._protocol)

    def say(self, *commands: bytes) -> None:
        """Send commands, each of which is answered once."""
        self.expect(len(commands))
        self.write(b"".join([command + b"\r\n" for command in commands]))

    def expect(self, count: int) -> None:
        """Wait for so many replies more: what is said unasked is nobody's."""
        self._due += count

    def write(self, data: bytes) -> None:
        """Send a part of a mail; raise `SMTPServerDisconnected`."""
        if self._lost or self._transport.is_closing():
            raise SMTPServerDisconnected("the connection was lost")
        self._transport.write(data)

    async def next(self, within_s: float | None) -> SMTPResponse:
        """Return the next reply; raise `SMTPServerDisconnected`, `SMTPReadTimeoutError` or `SMTPResponseException`."""
        while not self._replies:
            if self._lost:
                raise SMTPServerDisconnected("the connection was lost")
            if not await self._news(within_s):
                raise SMTPReadTimeoutError("the server didn't answer in time")
        reply = self._replies.popleft()
        if reply.code == _MALFORMED:
            raise SMTPResponseException(reply.code, reply.message)
        return reply

    async def left(self, within_s: float) -> bool:
        """Return once all that was written has left; False if a reply or the connection's end came first."""
        await asyncio.sleep(0)  # what has come by now counts
        while self._full and not self._replies and not self._lost:
            if not await self._news(within_s):
                raise SMTPTimeoutError("the server stopped taking the mail")
        return not self._replies and not self._lost

    async def _news(self, within_s: float | None) -> bool:
        """Wait until something happens; False if nothing does."""
        self._waiter = self._loop.create_future()
        late = None if within_s is None else self._loop.call_later(within_s, self._wake, False)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            if late:
                late.cancel()

    def _wake(self, happened: bool = True) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(happened)

    # --- what asyncio calls -------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take lines, as far as they are complete."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._buffer) + sum(map(len, self._lines)) > _LONGEST:
            self._buffer = b""
            self._take(b"it never ends")
        if self._replies:
            self._wake()

    def _take(self, line: bytes) -> None:
        if not line[:3].isdigit():
            self._lines, reply = [], SMTPResponse(_MALFORMED, f"Malformed SMTP response line: {line[:200]!r}")
        else:
            self._lines.append(line[4:].strip())
            if line[3:4] == b"-":
                return
            text = b"\n".join(self._lines).decode("utf-8", "surrogateescape")
            self._lines, reply = [], SMTPResponse(int(line[:3]), text)
        if self._due:
            self._due -= 1
            self._replies.append(reply)

    def pause_writing(self) -> None:
        """Note that the other side doesn't take as fast as we write."""
        self._full = True

    def resume_writing(self) -> None:
        """Note that all has left."""
        self._full = False
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Note that nothing more will come, and let aiosmtplib know."""
        self._lost = True
        self._protocol.connection_lost(error)
        self._wake()
