"""Header fields of a hostile mail: splitting, decoding, addresses, ids. Linear time, and nothing here raises."""

from __future__ import annotations

import binascii
import codecs
import re
import unicodedata
from email.utils import getaddresses, unquote

from charset_normalizer import from_bytes

MAX_HEADER_BYTES = 100_000
_MAX_VALUE = 10_000  # one field; addresses and encoded words beyond it are nobody's
_FIELD = re.compile(rb"([!-9;-~]{1,100})[ \t]*:(.*)", re.DOTALL)
_WORD = re.compile(r"=\?([^?\s*]{1,40})(?:\*[^?\s]{0,20})?\?([bBqQ])\?([^?]*)\?=")
_BETWEEN_WORDS = re.compile(r"(\?=)\s+(?==\?[^?\s]{1,60}\?[bBqQ]\?)")
_ADDRESS = re.compile(r"[^\s<>@,;:\"()\\\[\]]{1,256}@[^\s<>@,;:\"()\\]{1,255}")
_MAIL_ID = re.compile(r"<([^<>\s]{1,990})>")
_MAIL_ID_FIELD = re.compile(rb"^message-id[ \t]*:[ \t]*((?:.*(?:\n[ \t])?){1,4})", re.IGNORECASE | re.MULTILINE)
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UNCLEAN = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_NOT_TEXT = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape", "mbcs", "oem", "utf-7"})
_REALLY = {  # what writers of these names mean (WHATWG Encoding Standard, section 4.2)
    "iso8859-1": "cp1252", "ascii": "cp1252", "latin-1": "cp1252", "gb2312": "gb18030", "gbk": "gb18030",
    "euc_kr": "cp949", "shift_jis": "cp932", "iso8859-9": "cp1254", "tis-620": "cp874",
}  # fmt: skip
_UNSAFE_IN_NAMES = re.compile(r'[<>:"|?*\x00-\x1f\x7f]')


class Fields:
    """The header of one entity: raw values by lower-case name, in order, at most `MAX_HEADER_BYTES` of them."""

    def __init__(self, block: bytes) -> None:
        self.truncated = len(block) > MAX_HEADER_BYTES
        self._values: dict[str, list[str]] = {}
        for name, value in _unfolded(block[:MAX_HEADER_BYTES]):
            self._values.setdefault(name, []).append(value)

    def names(self) -> list[str]:
        """Return the names there are, in order of appearance."""
        return list(self._values)

    def raw(self, name: str) -> list[str]:
        """Return the values under a lower-case name, as they came but unfolded."""
        return self._values.get(name, [])

    def first(self, name: str) -> str:
        """Return the first value that isn't blank, "" if there is none."""
        return next((value for value in self.raw(name) if value), "")

    def text(self, name: str) -> str:
        """Return the first value as one line for people: encoded words decoded (RFC 2047), cleaned."""
        return one_line(decode_words(self.first(name)))

    def token(self, name: str) -> str:
        """Return what stands before the first `;` or blank in the first value, in lower case."""
        return self.first(name).replace(";", " ; ").partition(";")[0].strip().lower()[:200]

    def params(self, name: str) -> dict[str, str]:
        """Return the parameters of a structured field such as Content-Type (RFC 2045, 2231), lower-case names."""
        return _parameters(self.first(name)[:_MAX_VALUE])


def split_header(entity: bytes, start: int, end: int) -> tuple[bytes, int]:
    """Return the header block of `entity[start:end]` and where its body begins.

    A line that is no field ends the header and begins the body, as `email` has it; a leading mbox "From " line goes.
    """
    position = start
    while position < end and position - start <= MAX_HEADER_BYTES:
        line_end = entity.find(b"\n", position, end)
        stop = end if line_end < 0 else line_end + 1
        line = entity[position : min(stop, position + 200)]
        if line in (b"\n", b"\r\n"):
            return entity[start:position], stop
        if not (_FIELD.match(line) or _belongs(line, first=position == start)):
            return entity[start:position], position
        position = stop
    return _cut_short(entity, start, position, end)


def _belongs(line: bytes, *, first: bool) -> bool:
    """Tell whether a line without a field's name is part of the header; some exports begin with a line of blanks."""
    return line.startswith((b"From ", b">From ")) if first and line.strip() else line[:1] in (b" ", b"\t")


def _cut_short(entity: bytes, start: int, position: int, end: int) -> tuple[bytes, int]:
    """Find the blank line behind a header that is longer than we read, without looking at its lines."""
    if position >= end:
        return entity[start:end], end
    blanks = [(entity.find(mark, position - 1, end), len(mark)) for mark in (b"\n\r\n", b"\n\n")]
    body = min((found + length for found, length in blanks if found >= 0), default=end)
    return entity[start : position + 1], body


def _unfolded(block: bytes) -> list[tuple[str, str]]:
    fields: list[tuple[str, list[bytes]]] = []
    for line in block.split(b"\n"):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(b" " + line.strip())
        elif match := _FIELD.match(line):
            fields.append((match[1].decode("ascii").lower(), [match[2].strip()]))
    return [(name, decode(b"".join(parts), "iso-8859-1").strip()) for name, parts in fields]


# --- bytes to text ----------------------------------------------------------------------------------------------------


def decode(data: bytes, charset: str, *, guess: bool = False) -> str:
    """Decode by the named charset, else UTF-8, else (if `guess`) what it looks like; the result is cleaned.

    Guessing costs milliseconds, so it is for bodies, not for each of a thousand fields.
    """
    codec = _codec(charset)
    for candidate in ("utf-8", codec) if codec == "cp1252" else (codec, "utf-8"):
        try:
            return clean(data.decode(candidate))
        except (UnicodeError, LookupError):
            continue
    named = "" if codec == "utf-8" else codec
    return clean(data.decode(named or (_guessed(data) if guess else "cp1252"), "replace"))


def _codec(charset: str) -> str:
    name = charset.strip().strip("\"'").lower().replace("\0", "")[:40]
    try:
        info = codecs.lookup(name) if name else None
    except (LookupError, ValueError):
        info = None
    if info is None or not info._is_text_encoding or info.name in _NOT_TEXT:  # private, but the only way to ask
        return "utf-8"
    return _REALLY.get(info.name, info.name)


def _guessed(data: bytes) -> str:
    best = from_bytes(data[:8000], steps=3, chunk_size=256, threshold=0.3).best()
    return best.encoding if best else "cp1252"


def clean(text: str) -> str:
    """Return text without NUL and other controls but tab and newline; CR LF is one newline, a lone surrogate U+FFFD."""
    if not _UNCLEAN.search(text):
        return text  # nearly every text: one look instead of four
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _SURROGATES.sub("\ufffd", text))


def one_line(text: str, limit: int = 1000) -> str:
    """Return text as a single cleaned line of at most `limit` characters: fit for a header."""
    if text.isprintable() and len(text) <= limit and "  " not in text:
        return text.strip()
    return " ".join(clean(text[: limit * 4]).split())[:limit].strip()


def decode_words(value: str) -> str:
    """Decode encoded words (RFC 2047); what isn't one stays as it is."""
    value = value[:_MAX_VALUE]
    if "=?" not in value:
        return value
    pieces, position, pending, charset = [], 0, b"", ""
    value = _BETWEEN_WORDS.sub(r"\1", value)
    for match in _WORD.finditer(value):
        data = _word_bytes(match[2].lower(), match[3])
        if pending and (match.start() > position or match[1].lower() != charset):
            pieces.append(decode(pending, charset))
            pending = b""
        pieces.append(value[position : match.start()])
        pending, charset, position = pending + data, match[1].lower(), match.end()
    return "".join([*pieces, decode(pending, charset), value[position:]])


def _word_bytes(encoding: str, text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    return binascii.a2b_qp(raw, header=True) if encoding == "q" else unbase64(raw)


def unbase64(data: bytes) -> bytes:
    """Decode base64, leaving out what isn't; a last group that is short of a character is dropped."""
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        letters = letters[: len(letters) - 1] if len(letters) % 4 == 1 else letters
        return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


# --- structured fields ------------------------------------------------------------------------------------------------


def addresses(value: str) -> list[tuple[str, str]]:
    """Return (display name, address) of an address field; only addresses that could be one, undecodable ones left out.

    The address is taken before words are decoded, so that none can be smuggled in by an encoded word.
    """
    value = value[:_MAX_VALUE]
    try:
        pairs = getaddresses([value]) if value.count("(") < 100 else []
    except Exception:
        pairs = []
    found = [(one_line(decode_words(name), 200), address) for name, address in pairs if _ADDRESS.fullmatch(address)]
    return found or [("", address) for address in _ADDRESS.findall(value)[:50]]


def mail_ids(value: str) -> list[str]:
    """Return the message ids of a field, with angle brackets, at most 200; a bare word counts if there are none."""
    ids = [f"<{match}>" for match in _MAIL_ID.findall(value)]
    word = value.strip()
    return ids[:200] or ([word[:990]] if word and not re.search(r"[\s<>]", word) else [])


def mail_id(original: bytes) -> str:
    """Return the Message-ID with its angle brackets, "" if there is none: one search of the raw header, no parsing."""
    head = b"\n" + original[:MAX_HEADER_BYTES]
    ends = [end for end in (head.find(b"\n\r\n"), head.find(b"\n\n")) if end >= 0]
    match = _MAIL_ID_FIELD.search(head, 0, min(ends, default=len(head)))
    ids = mail_ids(one_line(decode(match[1], "iso-8859-1"))) if match else []
    return ids[0] if ids else ""


def safe_name(name: str, fallback: str = "attachment") -> str:
    """Return a file name fit for showing: no path, control, bidi override or invisible character, at most 80 long."""
    name = re.split(r"[/\\]", one_line(decode_words(name), 2000))[-1]
    name = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) not in ("Cf", "Cc", "Co"))
    name = " ".join(_UNSAFE_IN_NAMES.sub("_", name).split()).strip(". ")
    if len(name) > 80:
        stem, dot, extension = name.rpartition(".")
        name = f"{stem[: 79 - len(extension)]}.{extension}" if dot and len(extension) <= 10 else name[:80]
    return name or fallback


def _parameters(value: str) -> dict[str, str]:
    found: dict[str, str] = {}
    pieces: dict[str, dict[int, str]] = {}
    for part in _split_quoted(value)[1:101]:
        name, equals, raw = part.partition("=")
        name = name.strip().lower()[:100]
        base, star, number = name.partition("*")
        if not equals or not base:
            continue
        raw = unquote(raw.strip())
        if not star:
            found.setdefault(base, raw)
        else:
            _collect(pieces.setdefault(base, {}), number, raw)
    for base, numbered in pieces.items():
        found[base] = "".join(numbered[key] for key in sorted(numbered))
    return found


def _collect(pieces: dict[int, str], number: str, raw: str) -> None:
    """Keep one piece of a continued or extended parameter (RFC 2231)."""
    index = number.rstrip("*")
    if number == "" or number.endswith("*"):  # extended: charset'language'percent-encoded
        charset, quote, rest = raw.partition("'")
        known = bool(quote) and "'" in rest and index in ("", "0")
        raw = _unpercent(rest.partition("'")[2] if known else raw, charset if known else "")
    if index.isdecimal() or not index:
        pieces.setdefault(int(index[:4] or 0), raw)


def _unpercent(text: str, charset: str) -> str:
    data = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), text.encode("utf-8", "replace"))
    return decode(data, charset)


def _split_quoted(value: str) -> list[str]:
    """Split at semicolons that stand outside quoted strings, in linear time."""
    parts: list[str] = []
    current: list[str] = []
    quoted = escaped = False
    for char in value:
        if char == ";" and not quoted:
            parts.append("".join(current))
            current = []
            continue
        quoted ^= char == '"' and not escaped
        escaped = char == "\\" and not escaped and quoted
        current.append(char)
    return [*parts, "".join(current)]
