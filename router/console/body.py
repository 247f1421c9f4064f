"""What the person wrote, for a page: as text, and a mail's HTML as a document of its own for a sandboxed frame."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.understand import CannotBeShown

if TYPE_CHECKING:
    from router.understand import ParserPool

FRAME_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox"
)
_FORMATTED = "router.console.body_parts:formatted"
_OVERRIDES = re.compile("[\u202d\u202e]")  # what lets text be read as it isn't written
_LONGEST = 200_000  # characters of a text that one page shows
_DOCUMENT = """<!doctype html>
<html><head><meta charset="utf-8"><title>Formatted text of the message</title>
<meta name="color-scheme" content="light">
<style>
html{{background:#fff;color:#1b1b1b;font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}}
body{{margin:12px}}
img{{max-width:100%;height:auto}}
table{{max-width:100%;border-collapse:collapse}}
pre{{white-space:pre-wrap}}
p,div,li,td,th,h1,h2,h3,h4,h5,h6,blockquote{{unicode-bidi:plaintext}}
.link{{text-decoration:underline}}
.to{{color:#555;font-size:.85em;unicode-bidi:isolate}}
.aside{{color:#555;border-bottom:1px solid #ccc;padding-bottom:8px}}
</style></head><body dir="auto">{aside}{html}</body></html>
"""


@dataclass(frozen=True, slots=True)
class Text:
    """What is shown of a text; `cut` says that there is more of it."""

    text: str
    cut: bool


def readable(text: str) -> Text:
    """Return a text as a page shows it: nothing turns its direction round, and there is not too much of it."""
    return Text(_OVERRIDES.sub("", text[:_LONGEST]), len(text) > _LONGEST)


def one_line(text: str) -> str:
    """Return a subject or a name for a heading."""
    return " ".join(_OVERRIDES.sub("", text).split())


async def framed(parsers: ParserPool, original: bytes) -> str:
    """Return a mail's formatted text as a document for the frame; one that says so where it can't be shown."""
    try:
        found = json.loads(await parsers.ask(_FORMATTED, original, {}))
    except CannotBeShown:
        found = {"html": "", "left_out": 0}
    if not found["html"].strip():
        said = "The formatted text of this message can't be shown safely. Read it as text, or download the original."
        return _DOCUMENT.format(aside=f'<p class="aside" dir="ltr">{said}</p>', html="")
    return _DOCUMENT.format(aside=_aside(found["left_out"]), html=found["html"])


def _aside(left_out: int) -> str:
    if not left_out:
        return ""
    said = "One picture that lies elsewhere isn't shown" if left_out == 1 else f"{left_out} pictures aren't shown"
    return f'<p class="aside" dir="ltr">{said}, so that nobody learns from it that this was read.</p>'
