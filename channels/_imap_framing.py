"""From the bytes of an IMAP connection to whole replies, however they are cut into segments (RFC 3501, section 7).

In place of aioimaplib's own parser, which recurses once per line, is quadratic in lines, and loses data in strings.
"""

from __future__ import annotations

import re
from io import BytesIO

Reply = tuple[bytes, ...]
"""A reply without its line ends: text, literal, text, literal, … text. The `{size}` before a literal is left out."""

_LONGEST_LINE = 16 * 1_048_576  # a search among a million mails answers in one line of 8 MB
_LITERAL = re.compile(rb"~?\{([0-9]{1,12})\}$")
# What follows these is text for people, which may end in anything (RFC 3501, resp-text).
_STATUS = re.compile(rb"\+|(?:\*|[^\s]+) (?:OK|NO|BAD|BYE|PREAUTH)\b", re.IGNORECASE)


class Garbled(Exception):
    """What came isn't IMAP."""


class Framer:
    """Collects what comes; of a literal it keeps at most `longest_literal` bytes and lets the rest go."""

    def __init__(self, longest_literal: int) -> None:
        self._longest_literal = longest_literal
        self._buffer = bytearray()
        self._searched = 0  # how much of the buffer is known to hold no line end
        self._parts: list[bytes] = []  # of the reply that isn't whole yet
        self._literal = BytesIO()  # hands 25 MB out without copying them
        self._missing = 0  # bytes of a literal that are still to come
        self._in_literal = False

    @property
    def empty(self) -> bool:
        """Whether nothing waits for its rest."""
        return not (self._buffer or self._parts or self._in_literal)

    def feed(self, data: bytes) -> list[Reply]:
        """Return the replies that `data` completes, in order; raise `Garbled`."""
        self._buffer += data
        replies = []
        while self._take_literal() and (line := self._take_line()) is not None:
            if (reply := self._add(line)) is not None:
                replies.append(reply)
        return replies

    def _take_literal(self) -> bool:
        """Return False while the end of a literal is still to come."""
        if not self._in_literal:
            return True
        there = min(self._missing, len(self._buffer))
        self._literal.write(self._buffer[: min(there, self._longest_literal - self._literal.tell())])
        del self._buffer[:there]
        self._missing -= there
        if self._missing:
            return False
        self._parts.append(self._literal.getvalue())
        self._literal = BytesIO()
        self._in_literal = False
        return True

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\r\n", self._searched)
        if end < 0:
            if len(self._buffer) > _LONGEST_LINE:
                raise Garbled("a line without an end")
            self._searched = max(len(self._buffer) - 1, 0)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        self._searched = 0
        return line

    def _add(self, line: bytes) -> Reply | None:
        """Return the reply if this line ends it."""
        literal = None if not self._parts and _STATUS.match(line) else _LITERAL.search(line)
        if literal is None:
            reply = (*self._parts, line)
            self._parts = []
            return reply
        self._parts.append(line[: literal.start()])
        self._missing = int(literal[1])
        self._in_literal = True
        return None
