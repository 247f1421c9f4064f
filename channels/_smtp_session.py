"""One SMTP session of the listener: aiosmtpd's protocol with a DATA phase of our own.

aiosmtpd 1.4.6 keeps each line of a mail as an object (25 MB of short lines become a gigabyte), refuses lines of more
than 1,001 bytes, and hands on bare line feeds, with which a mail can be smuggled past the next server (VU#302671).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from aiosmtpd.smtp import SMTP

from router.aside import aside

if TYPE_CHECKING:
    from ssl import SSLContext

    from aiosmtpd.smtp import Envelope
    from aiosmtpd.smtp import Session as Peer

    from channels._room import Room

_END = b"\r\n.\r\n"
_BYTES_PER_TIMEOUT = 65_536  # a sender slower than this per idle timeout is cut off


class Crowded(Exception):
    """There is no room for this mail now."""


class Desk(Protocol):
    """What a session needs of its listener; aiosmtpd finds further hooks on it by name (`handle_RCPT` …)."""

    closing: bool
    room: Room  # for the bytes of mails that are coming in

    def admit(self, session: Session) -> bool:
        """Tell whether there is room for one more, and count it."""
        ...

    def dismiss(self, session: Session) -> None:
        """Forget a session."""
        ...

    async def take(self, peer: Peer, envelope: Envelope, data: bytes) -> str:
        """Take a mail in and return the reply to its final dot."""
        ...


class Session(SMTP):
    """A connection. `desk` decides who is served, takes recipients and mails, and knows all sessions."""

    line_length_limit = _BYTES_PER_TIMEOUT  # the reader's buffer; commands stay limited to 512 bytes

    def __init__(
        self, desk: Desk, *, hostname: str, max_bytes: int, timeout_s: float, tls: SSLContext | None, must_tls: bool
    ) -> None:
        self._desk = desk
        self._max_bytes = max_bytes
        self.in_data = False
        self._held = 0  # bytes of the desk's room
        super().__init__(
            desk,
            data_size_limit=max_bytes,
            enable_SMTPUTF8=True,
            hostname=hostname,
            ident="Signpost",
            tls_context=tls,
            require_starttls=must_tls,
            timeout=timeout_s,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
            loop=asyncio.get_running_loop(),
        )

    def connection_made(self, transport: Any) -> None:
        """Start the session, or say that there are too many."""
        is_new = self.transport is None  # after STARTTLS it is called again
        if is_new and not self._desk.admit(self):
            transport.write(b"421 4.3.2 too many connections, please try again later\r\n")
            transport.close()
            return
        super().connection_made(transport)
        if is_new and self._handler_coroutine is not None:
            self._handler_coroutine.add_done_callback(_seen)

    def connection_lost(self, error: Exception | None) -> None:
        """End the session; one that was turned away has none."""
        self._desk.dismiss(self)
        if self.session is not None:
            super().connection_lost(error)

    def eof_received(self) -> bool | None:
        """End the session when the other side has closed."""
        return bool(super().eof_received()) if self.session is not None else False

    def hang_up(self) -> None:
        """Say good-bye to a sender who isn't in the middle of a mail."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.write(b"421 4.3.2 closing down, please try again later\r\n")
            self.transport.close()

    def cut_off(self) -> None:
        """Drop the connection as it is: the sender has heard no 250 and will come back."""
        if isinstance(self.transport, asyncio.Transport):
            self.transport.abort()

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd finds commands by this name
        """Take a mail: RFC 5321, sections 4.1.1.4 and 4.5.2."""
        if await self.check_helo_needed():
            return
        if self.envelope is None or not self.envelope.rcpt_tos or arg:
            await self.push("501 5.5.4 Syntax: DATA" if arg else "503 5.5.1 Error: need RCPT command")
            return
        self.in_data = True
        try:
            await self.push("354 End data with <CR><LF>.<CR><LF>")
            self._begin_a_line()
            data = await self._read_data()
            self._reset_timeout()
            await self.push(await self._answer(None if data is None else await aside(_unstuffed, data)))
        except Crowded:
            await self.push("452 4.3.1 too much mail is coming in at once, please try again later")
        finally:
            self.in_data = False
            self._leave_room()
            self.envelope = self._create_envelope()
        if self._desk.closing:
            self.hang_up()

    async def _answer(self, data: bytes | None) -> str:
        if data is None:
            return f"552 5.3.4 the mail is larger than {self._max_bytes} bytes"
        if not data:
            return "554 5.6.0 the mail is empty"
        if await aside(_has_bare_line_ends, data):
            return "554 5.6.0 bare line feeds aren't accepted (RFC 5321, section 2.3.8)"
        assert self.session is not None
        assert self.envelope is not None
        return await self._desk.take(self.session, self.envelope, data)

    async def _read_data(self) -> bytearray | None:
        """Return the mail as sent, between a CRLF and the last dot; None if it is too large (read to its end).

        Raises `Crowded`, after its end too, if there was no room for it.
        """
        data, total, counted, ended, crowded = bytearray(), 0, 0, False, False
        while not ended:
            try:
                chunk, ended = await self._reader.readuntil(_END), True
            except asyncio.LimitOverrunError as error:
                chunk = await self._reader.read(error.consumed)
            total += len(chunk)
            crowded = crowded or not self._takes_room(len(chunk), total)
            if not crowded and total <= self._max_bytes + len(_END):
                data += chunk
            elif data:
                data = bytearray()
                self._leave_room()
            if total - counted > _BYTES_PER_TIMEOUT:
                counted = total
                self._reset_timeout()
        if total > self._max_bytes + len(_END):
            return None
        if crowded:
            raise Crowded
        return data

    def _takes_room(self, size: int, total: int) -> bool:
        """Tell whether there is room for the next bytes; a mail that is too large anyway needs none."""
        if total > self._max_bytes + len(_END):
            return True
        if not self._desk.room.take(size):
            return False
        self._held += size
        return True

    def _leave_room(self) -> None:
        self._desk.room.leave(self._held)
        self._held = 0

    def _begin_a_line(self) -> None:
        """Put a line's end before what comes, so that a dot in the very first line also stands between two of them."""
        self._reader._buffer[:0] = b"\r\n"  # type: ignore[attr-defined]  # no public way; aiosmtpd clears it, too


def _unstuffed(data: bytearray) -> bytes:
    """Return the mail itself (RFC 5321, section 4.5.2), without the line end before it and the last dot."""
    mail = bytes(memoryview(data)[2 : 2 - len(_END)])  # one copy: each of 25 MB stops every thread for a moment
    return mail.removeprefix(b".").replace(b"\r\n.", b"\r\n")


def _has_bare_line_ends(mail: bytes) -> bool:
    return mail.count(b"\n") != mail.count(b"\r\n") or b"\r.\r" in mail


def _seen(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # a connection reset under a reply is no news
