"""Split a hostile mail into its parts: iterative, linear, and bounded before anything deep is looked at.

The `email` package recurses once per level and holds every line as an object (2,000 nested parts end in
RecursionError, 100,000 empty ones take 10 s), so the splitting is done here, by searching for delimiters.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from channels._mime_fields import Fields, decode, safe_name, split_header, unbase64

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PARTS = 1_000
MAX_DEPTH = 100
MAX_TEXT_BYTES = 2_000_000  # of one part, encoded
_ALL_HEADER_BYTES = 500_000  # of all parts together
_MAX_LOOKALIKES = 100_000  # what begins like a delimiter and is none
_ENCLOSED = ("message/rfc822", "message/global")
_IDENTITY = ("", "7bit", "8bit", "binary")


@dataclass(frozen=True, slots=True)
class Part:
    """One entity of the tree; `original[start:end]` is its body, still encoded.

    `message` is 0 for parts of the message itself, and for parts of an enclosed (forwarded) one where that begins.
    """

    original: bytes
    fields: Fields
    kind: str  # media type, lower case
    start: int
    end: int
    message: int
    is_container: bool

    def is_file(self) -> bool:
        """Tell whether it has a file's name or is meant as a file."""
        named = bool(self.fields.params("content-disposition").get("filename"))
        return named or self.fields.token("content-disposition") == "attachment"

    def is_read_on_the_spot(self) -> bool:
        """Tell whether a mail program shows it as text with the message."""
        shown = self.fields.token("content-disposition") == "inline" or not self.is_file()
        return self.kind.startswith("text/") and not self.is_container and shown

    def name(self) -> str:
        """Return the file's name, safe to show."""
        name = self.fields.params("content-disposition").get("filename") or self.fields.params("content-type").get(
            "name"
        )
        return safe_name(name or "", "message.eml" if self.kind in _ENCLOSED else "attachment")

    def encoding(self) -> str:
        """Return the transfer encoding in lower case."""
        return self.fields.token("content-transfer-encoding").split(" ")[0]

    def size(self) -> int:
        """Return the decoded size in bytes; exact for well-formed parts, found without decoding base64."""
        if self.encoding() == "base64":
            blanks = sum(self.original.count(blank, self.start, self.end) for blank in (b"\r", b"\n", b" "))
            padding = self.original.count(b"=", max(self.start, self.end - 8), self.end)
            return max(0, (self.end - self.start - blanks) * 3 // 4 - padding)
        if self.encoding() == "quoted-printable":
            return len(binascii.a2b_qp(self.original[self.start : self.end]))
        return self.end - self.start

    def is_listed(self) -> bool:
        """Tell whether it is one of the files that came with the message itself."""
        listed = self.kind == "message/rfc822" or not self.kind.startswith("text/") or self.is_file()
        return not self.message and not self.is_container and listed

    def data(self, most: int | None = None) -> bytes:
        """Return the decoded bytes, of at most so many encoded ones."""
        end = self.end if most is None else min(self.end, self.start + most)
        data = self.original[self.start : end]
        if self.encoding() == "base64":
            return unbase64(data)
        return binascii.a2b_qp(data) if self.encoding() == "quoted-printable" else data

    def text(self) -> str:
        """Return the decoded text of at most `MAX_TEXT_BYTES` of it."""
        data = self.data(MAX_TEXT_BYTES)
        return decode(data, self.fields.params("content-type").get("charset", ""), guess=True)


@dataclass(slots=True)
class Tree:
    """All parts in reading order, and what stopped the walk, if anything did."""

    parts: list[Part]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Range:
    start: int
    end: int
    depth: int
    message: int
    default: str


def walk(original: bytes) -> Tree:
    """Return the parts of a message, containers included, the message itself first."""
    tree, header_bytes = Tree([]), 0
    stack = [_Range(0, len(original), 0, 0, "text/plain")]
    while stack:
        here = stack.pop()
        tree.problem = _limit(len(tree.parts), here.depth, header_bytes) or tree.problem
        if tree.problem:
            break
        block, body = split_header(original, here.start, here.end)
        header_bytes += len(block) if here.depth else 0
        part, children = _open(original, Fields(block), body, here)
        tree.parts.append(part)
        stack.extend(reversed(children))
    return tree


def _limit(parts: int, depth: int, header_bytes: int) -> str:
    if parts >= MAX_PARTS:
        return f"it has more than {MAX_PARTS} parts"
    if depth > MAX_DEPTH:
        return f"its parts are nested more than {MAX_DEPTH} deep"
    return "its headers are too long" if header_bytes > _ALL_HEADER_BYTES else ""


def _open(original: bytes, fields: Fields, body: int, here: _Range) -> tuple[Part, list[_Range]]:
    kind = fields.token("content-type") or here.default
    kind = kind if kind.count("/") == 1 else "text/plain"  # RFC 2045, section 5.2
    depth, children = here.depth + 1, list[_Range]()
    if kind.startswith("multipart/"):
        default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        spans = _split(original, body, here.end, fields.params("content-type").get("boundary", ""))
        children = [_Range(start, end, depth, here.message, default) for start, end in spans]
        kind = kind if children else "text/plain"  # declares parts, has none: what is there is read as text
    part = Part(original, fields, kind, body, here.end, here.message, bool(children))
    if kind in _ENCLOSED and part.encoding() in _IDENTITY:
        children = [_Range(body, here.end, depth, body, "text/plain")]
    return part, children


def _split(original: bytes, start: int, end: int, boundary: str) -> list[tuple[int, int]]:
    """Return the spans between delimiter lines (RFC 2046, section 5.1.1); the last may lack its closing delimiter."""
    spans: list[tuple[int, int]] = []
    opened = -1
    for line_start, line_end, closes in _delimiters(original, start, end, boundary):
        if opened >= 0:
            spans.append((opened, max(opened, _before_newline(original, line_start))))
        opened = -1 if closes else line_end
        if closes or len(spans) > MAX_PARTS:
            break
    return [*spans, (opened, end)] if opened >= 0 else spans


def _delimiters(original: bytes, start: int, end: int, boundary: str) -> Iterator[tuple[int, int, bool]]:
    needle = b"--" + boundary.rstrip().encode("latin-1", "replace")
    position = original.find(needle, start, end) if boundary.strip() else -1
    for _ in range(_MAX_LOOKALIKES):
        if position < 0:
            return
        after = position + len(needle)
        tail, newline, _ = original[after : min(end, after + 80)].partition(b"\n")  # never a whole line: it may be huge
        at_start = position == start or original[position - 1 : position] == b"\n"
        if at_start and tail.strip() in (b"", b"--") and (newline or after + len(tail) == end):
            yield position, after + len(tail) + len(newline), tail.strip() == b"--"
        position = original.find(needle, after, end)


def _before_newline(original: bytes, position: int) -> int:
    return position - (2 if original[position - 2 : position] == b"\r\n" else 1)
