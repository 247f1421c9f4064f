"""What a child process takes out of an original for a person to look at: the formatted text, or one of its files.

Both are called by their import path (`router.understand.ParserPool.ask`), under the limits of reading a message.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from channels._mime_parts import Part, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MARKS = ((b"\x89PNG\r\n\x1a\n", "png"), (b"GIF87a", "gif"), (b"GIF89a", "gif"), (b"\xff\xd8\xff", "jpeg"))
_MOST_PICTURES, _MOST_BYTES = 40, 4_000_000  # of pictures that stand in the text, all together
_LARGEST = 1_000_000  # bytes of one picture


def formatted(original: bytes, _wanted: Mapping[str, Any]) -> bytes:
    """Return a mail's HTML made harmless, as JSON: html ("" if it can't be shown), left_out."""
    from router.console.markup import Outlandish, harmless  # noqa: PLC0415 -- for those few children that are asked

    parts = [part for part in walk(original).parts if not part.message and not part.is_container]
    markup = "\n".join(part.text() for part in parts if part.kind == "text/html" and part.is_read_on_the_spot())
    try:
        shown = harmless(markup, _pictures(parts))
    except Outlandish:
        return json.dumps({"html": "", "left_out": 0}).encode()
    return json.dumps({"html": shown.html, "left_out": shown.left_out}).encode()


def file(original: bytes, wanted: Mapping[str, Any]) -> bytes:
    """Return one of the files that came with a message (`number`, from 0), its bytes; b"" if there is none."""
    listed = [part for part in walk(original).parts if part.is_listed()]
    number = int(wanted["number"])
    return listed[number].data() if number < len(listed) else b""


def _pictures(parts: Iterable[Part]) -> dict[str, str]:
    """Return the pictures that the text may name, as data: addresses by Content-ID."""
    found: dict[str, str] = {}
    rest = _MOST_BYTES
    for part in parts:
        name = part.fields.first("content-id").strip().strip("<>")
        if not name or len(found) >= _MOST_PICTURES or part.size() > min(rest, _LARGEST):
            continue
        data = part.data()
        if kind := _kind(data):  # by its bytes: what the sender calls it proves nothing
            found.setdefault(name, f"data:image/{kind};base64,{b64encode(data).decode()}")
            rest -= len(data)
    return found


def _kind(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((kind for mark, kind in _MARKS if data.startswith(mark)), "")
