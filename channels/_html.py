"""Plain text from the HTML part of a hostile mail: bounded in size and depth, never empty because a library gave up."""

from __future__ import annotations

import html
import re

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

MAX_CHARS = 1_000_000
_MAX_TAGS = 30_000  # beyond: the plain way; inscriptis needs about 10 µs per tag, and nested tables cost more
_MAX_TABLES = 200
_MAX_DEPTH = 200  # inscriptis answers "" some thousand levels deep
_SKIPPED = re.compile(r"(?:script|style|head|title|template|noscript)(?![a-z0-9-])")
_BREAKS = re.compile(r"/?(?:p|div|br|tr|li|ul|ol|table|h[1-6]|blockquote|hr)\b", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9]{0,20})[^<>]*>")
_UNCLOSED = ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"]
_VOID = frozenset([*_UNCLOSED, "p", "li", "td", "tr", "th"])  # the second kind is often left open, without nesting


def html_to_text(markup: str) -> str:
    """Return what a reader of this HTML sees, as plain text; of more than `MAX_CHARS` characters only the beginning."""
    markup = markup[:MAX_CHARS]
    text = "" if is_outlandish(markup) else _rendered(markup)
    return _tidied(text if text.strip() else strip_tags(markup))


def strip_tags(markup: str) -> str:
    """Return the text between the tags. Every search ends the loop when it fails, so the time is linear."""
    lower, pieces, position = markup.lower(), [], 0
    while (start := markup.find("<", position)) >= 0:
        pieces.append(markup[position:start])
        end, is_break = _tag_end(lower, start)
        if is_break:
            pieces.append("\n")
        if end < 0:
            return _unescaped("".join(pieces))
        position = end
    return _unescaped("".join([*pieces, markup[position:]]))


def _tag_end(lower: str, start: int) -> tuple[int, bool]:
    """Return where the tag at `start` and what belongs to it ends (-1: never), and whether it breaks the line."""
    first = lower[start + 1 : start + 2]
    if not first.isalpha() and first not in ("/", "!", "?"):
        return start + 1, False  # "<3", "a < b": no tag
    if lower.startswith("<!--", start):
        return _after(lower, "-->", start), False
    if match := _SKIPPED.match(lower, start + 1):
        closing = lower.find(f"</{match[0]}", start)
        return (_after(lower, ">", closing) if closing >= 0 else -1), False
    return _after(lower, ">", start), bool(_BREAKS.match(lower, start + 1, start + 14))


def _after(text: str, mark: str, start: int) -> int:
    found = text.find(mark, start)
    return found + len(mark) if found >= 0 else -1


def is_outlandish(markup: str) -> bool:
    """Tell whether this HTML has so many tags, or so deep ones, that what reads it as a tree may take for ever."""
    if markup.count("<") > _MAX_TAGS or markup.lower().count("<table") > _MAX_TABLES:
        return True
    depth = 0
    for closing, name in _TAG.findall(markup):
        if name.lower() not in _VOID:
            depth = max(0, depth - 1) if closing else depth + 1
            if depth > _MAX_DEPTH:
                return True
    return False


def _rendered(markup: str) -> str:
    try:
        return str(get_text(markup, ParserConfig(css=CSS_PROFILES["strict"].copy(), display_links=False)))
    except Exception:
        return ""


def _unescaped(text: str) -> str:
    try:
        return html.unescape(text)
    except ValueError:  # a numeric reference of more than 4300 digits
        return text


def _tidied(text: str) -> str:
    """Drop blanks at line ends and all but one of several blank lines."""
    kept: list[str] = []
    for line in (line.rstrip() for line in text.split("\n")):
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip()
