"""aioimaplib's protocol made safe: whatever ends the connection wakes everyone who waits, and no byte is misread.

It keeps the library's commands, tags and states, and replaces its parser and its idea of a lost connection.
It touches private parts of aioimaplib: the version is pinned, and a new one has to pass the tests in tests/integration.
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

from aioimaplib.aioimaplib import (  # type: ignore[import-untyped]  # it has annotations but no py.typed
    Command,
    IMAP4ClientProtocol,
)

from channels._imap_framing import Framer
from channels._imap_words import for_people

if TYPE_CHECKING:
    from channels._imap_framing import Reply

_MOST_REPLIES = 100_000  # to one command: we never ask for as many


class Protocol(IMAP4ClientProtocol):  # type: ignore[misc]  # the base is untyped
    """One connection. `ended` says in a sentence why it can't be used any more; "" while it can."""

    state: str

    def __init__(self, loop: asyncio.AbstractEventLoop, longest_literal: int) -> None:
        super().__init__(loop)
        self._framer = Framer(longest_literal)
        self.ended = ""
        self.greeting = ""  # the first word of the server's first line
        self.greeted = asyncio.Event()
        self.idling = asyncio.Event()  # the server agreed to IDLE
        self.news = asyncio.Event()  # the mailbox has grown, or the connection has ended
        self.closed = asyncio.Event()  # the transport is gone
        self.heard_at = loop.time()
        self.replies: list[Reply] = []  # untagged, since the command began
        self.answers: list[bytes] = []  # what to say when the server asks to go on with AUTHENTICATE
        self.challenge = b""  # what the server asked with last

    def begin(self) -> None:
        """Forget what was said before: a command begins."""
        self.replies, self.answers, self.challenge = [], [], b""
        self.idling.clear()
        self.heard_at = self.loop.time()

    def end(self, why: str) -> None:
        """Give the connection up: fail every command and wake whoever waits."""
        if not self.ended:
            self.ended = why
        if self.transport is not None:
            self.transport.abort()
        pending = [self.pending_sync_command, *self.pending_async_commands.values()]
        for command in [command for command in pending if command is not None]:
            command._exception = ConnectionError(self.ended)
            command._event.set()
        for event in (self.greeted, self.idling, self.news):
            event.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone, whoever closed it."""
        self.end("the connection was lost" if exc is not None else "the server closed the connection")
        self.closed.set()

    def data_received(self, d: bytes) -> None:
        """Read what came; what can't be understood ends the connection, since nothing after it can be trusted."""
        self.heard_at = self.loop.time()
        try:
            for reply in self._framer.feed(d):
                self._read(reply)
        except Exception as error:  # whatever it is, it must not leave a command waiting
            self.end(f"the server sent something that isn't IMAP ({type(error).__name__})")

    def send(self, line: str, scrub: str | None = None) -> None:  # noqa: ARG002 -- the library's; nothing is logged
        """Send a line. Unlike the library's own it logs nothing: there are passwords and tokens in lines."""
        self.send_raw(line.encode())

    def send_raw(self, line: bytes) -> None:
        """Send a line of bytes."""
        if self.transport is None or self.ended:
            raise ConnectionError(self.ended or "there is no connection")
        self.transport.write(line + b"\r\n")

    def _read(self, reply: Reply) -> None:
        text = reply[0]
        if not self.greeted.is_set():
            self.greeting = text.split()[1].decode("ascii").upper()
            self.state = "NONAUTH" if self.greeting == "OK" else self.state
            self.greeted.set()
        if text.startswith(b"* "):
            self._untagged(reply)
        elif text.startswith(b"+"):
            self._go_on(text[1:].strip())
        elif text:
            self._tagged(text)

    def _untagged(self, reply: Reply) -> None:
        words = reply[0].split(None, 3)
        kind = words[1].upper() if len(words) > 1 else b""
        if kind == b"BYE" and self._pending() != "LOGOUT":
            self.end(f"the server said goodbye: {for_people(reply[0][6:])}")
        if len(words) > 2 and words[1].isdigit() and words[2].upper() == b"EXISTS":
            self.news.set()
        if len(self.replies) >= _MOST_REPLIES:
            raise OverflowError
        self.replies.append(reply)

    def _tagged(self, text: bytes) -> None:
        if text.split(None, 2)[1].upper() not in {b"OK", b"NO", b"BAD"}:
            raise ValueError("no status")
        if self._pending() == "STARTTLS" and text.split()[1].upper() == b"OK":
            # What follows must not be read as if it had come encrypted (CVE-2011-0411 and its family).
            self.transport.pause_reading()
            if not self._framer.empty:
                raise ValueError("more after STARTTLS")
        self._response_done(text)

    def _go_on(self, text: bytes) -> None:
        if self._pending() == "IDLE":
            self.idling.set()
        elif self._pending() == "AUTHENTICATE":
            if not self.answers:  # the sign-in failed and the server explains; an empty line ends it (XOAUTH2)
                self.challenge = _decoded(text)
            self.send_raw(self.answers.pop(0) if self.answers else b"")

    def _pending(self) -> str:
        command: Command | None = self.pending_sync_command
        return command.name if command is not None else ""


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
