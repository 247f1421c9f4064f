"""The small words of IMAP: what a command needs (names, sets of UIDs) and what a reply says (RFC 3501)."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from channels._imap_framing import Reply

_FETCHED = re.compile(rb"\* [0-9]+ FETCH ", re.IGNORECASE)
_LISTED = re.compile(rb"\* LIST \(([^)]*)\)", re.IGNORECASE)
_SEARCHED = re.compile(rb"\* SEARCH((?: [0-9]{1,10})*) ?", re.IGNORECASE)
_TOKEN = re.compile(rb'\s*(?:([()])|"((?:[^"\\]|\\.)*)"|([^\s()"]+))', re.DOTALL)
_CODE = re.compile(rb"\[([A-Z][A-Z-]*)(?: ([^\]]*))?\]", re.IGNORECASE)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_DEEPEST = 20  # lists within lists


def quoted(text: str) -> str:
    """Return an ASCII string as IMAP quotes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def mailbox_name(name: str) -> str:
    """Return a mailbox's name as a command takes it: in modified UTF-7, quoted (RFC 3501, section 5.1.3)."""
    return quoted("".join(_shifted(run) for run in re.findall(r"[\x20-\x7e]+|[^\x20-\x7e]+", name)))


def _shifted(run: str) -> str:
    if run.isascii():
        return run.replace("&", "&-")
    return "&" + base64.b64encode(run.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",").decode() + "-"


def plain_name(name: bytes) -> str:
    """Return a mailbox's name as people write it; one that isn't modified UTF-7 as it stands."""
    text = name.decode("utf-8", "replace")
    with suppress(ValueError):
        return re.sub("&([^-]*)-", lambda match: _unshifted(match[1]) if match[1] else "&", text)
    return text


def _unshifted(run: str) -> str:
    padded = run.replace(",", "/") + "=" * (-len(run) % 4)
    return base64.b64decode(padded, validate=True).decode("utf-16-be")


def uid_set(uids: Iterable[int]) -> str:
    """Return UIDs as a command takes them: "3:7,9"."""
    runs: list[list[int]] = []
    for uid in sorted(set(uids)):
        if runs and uid == runs[-1][1] + 1:
            runs[-1][1] = uid
        else:
            runs.append([uid, uid])
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in runs)


def code_of(text: bytes) -> tuple[str, str]:
    """Return the response code in a status reply's text and what it carries: ("UIDNEXT", "7"), or ("", "")."""
    match = _CODE.match(text)
    return (_readable(match[1]).upper(), _readable(match[2] or b"")) if match else ("", "")


def codes(replies: Iterable[Reply]) -> dict[str, str]:
    """Return what untagged `* OK [CODE value]` replies say."""
    texts = (reply[0].partition(b"[") for reply in replies if reply[0][:5].upper() == b"* OK ")
    return dict(code_of(b"[" + rest) for _, bracket, rest in texts if bracket)


def for_people(text: bytes) -> str:
    """Return a server's words, short and in one line, without addresses."""
    words = " ".join(_readable(_CODE.sub(b"", text, count=1)).split())
    return re.sub(r"\S+@\S+", "…", words)[:200].rstrip(". ")


def _readable(text: bytes) -> str:
    return "".join(c if c.isprintable() else " " for c in text.decode("utf-8", "replace"))


def listed(replies: Iterable[Reply]) -> list[str]:
    """Return the names of mailboxes in `* LIST (flags) "/" name` replies, without those that can't be opened."""
    names = []
    for reply in replies:
        if not (head := _LISTED.match(reply[0])) or b"\\NOSELECT" in head[1].upper():
            continue
        with suppress(ValueError):
            found = [value for _kind, value in _tokens((reply[0][head.end() :], *reply[1:]))]
            names += [plain_name(found[-1])] if len(found) == 2 else []  # the delimiter and the name
    return names


def searched(replies: Iterable[Reply]) -> list[int]:
    """Return the UIDs a search found, sorted; a server may spread them over several replies."""
    matches = [_SEARCHED.fullmatch(reply[0]) for reply in replies if len(reply) == 1]
    return sorted({int(uid) for match in matches if match for uid in match[1].split()})


def fetched(replies: Iterable[Reply]) -> tuple[dict[int, dict[str, Any]], int]:
    """Return what was fetched, by UID (items by upper-case name), and how many replies made no sense.

    A reply without a UID is none of ours: the server tells by it that somebody changed flags.
    """
    found: dict[int, dict[str, Any]] = {}
    senseless = 0
    for reply in replies:
        if not (head := _FETCHED.match(reply[0])):
            continue
        try:
            items = _items((reply[0][head.end() :], *reply[1:]))
            uid = int(items.get("UID", 0))
        except (ValueError, TypeError, IndexError, StopIteration):
            senseless += 1
            continue
        if uid:
            found.setdefault(uid, {}).update(items)
    return found, senseless


def _items(parts: Sequence[bytes]) -> dict[str, Any]:
    tokens = _tokens(parts)
    if next(tokens) != ("mark", b"("):
        raise ValueError("no list")
    values = _list(tokens, 1)
    if next(tokens, None) is not None or len(values) % 2:
        raise ValueError("no list of pairs")
    names = values[::2]
    if not all(isinstance(name, bytes) for name in names):
        raise ValueError("no names")
    return {name.decode("ascii").upper(): value for name, value in zip(names, values[1::2], strict=True)}


def _list(tokens: Iterator[tuple[str, bytes]], depth: int) -> list[Any]:
    """Return the values up to the closing bracket: bytes, None for NIL, or lists."""
    values: list[Any] = []
    for kind, value in tokens:
        if kind != "mark":
            values.append(None if kind == "atom" and value.upper() == b"NIL" else value)
        elif value == b")":
            return values
        elif depth < _DEEPEST:
            values.append(_list(tokens, depth + 1))
        else:
            break
    raise ValueError("no end of the list")


def _tokens(parts: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    for index, part in enumerate(parts):
        if index % 2:
            yield "literal", part
        else:
            yield from _tokens_of_text(part)


def _tokens_of_text(text: bytes) -> Iterator[tuple[str, bytes]]:
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError("a string without an end")
        at = match.end()
        if match[1]:
            yield "mark", match[1]
        elif match[2] is not None:
            yield "string", _ESCAPED.sub(rb"\1", match[2])
        else:
            yield "atom", match[3]
