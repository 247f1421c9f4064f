"""Render what a form or a text said as an RFC 5322 message, so that every stored original is one."""

from __future__ import annotations

import binascii
import hashlib
import quopri
import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime, quote
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote as percent

from channels._mime_fields import clean, one_line, safe_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import tzinfo

_TYPE = re.compile(r"(?!multipart/|message/)[a-z0-9]{1,40}/[a-z0-9][a-z0-9.+_-]{0,80}")
_ADDRESS = re.compile(r"[!#$%&'*+/=?^_`{|}~.A-Za-z0-9-]{1,64}@[A-Za-z0-9.-]{1,255}")
_NOT_IN_IDS = re.compile(r"[^!-;=?-~]")
_MAX_FIELD = 2_000
_LINE = 76  # characters of a header's line, where there is a choice (RFC 2047, section 2)
_WORD_BYTES = 45  # of UTF-8 in an encoded word: base64 makes 60 characters of them
_HIGH = bytes(range(128, 256))
_TEXT_HEAD = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: %b\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a form or a text."""

    name: str
    content_type: str
    data: bytes


def compose(
    *,
    text: str,
    date: datetime,
    subject: str = "",
    sender: str = "",
    sender_name: str = "",
    recipient: str = "",
    message_id: str = "",
    fields: Mapping[str, str] | None = None,
    uploads: Sequence[Upload] = (),
) -> bytes:
    """Return the message: CRLF, 7-bit, no line over 998 bytes; the same arguments give the same bytes.

    `sender` and `recipient` become From and To if they are e-mail addresses; `fields` become `X-Field-Name` headers
    (a phone number, the topic …), so that the original holds everything that was said. `message_id` without or with
    angle brackets. No CR, LF or NUL of any argument reaches a header.
    """
    sender, recipient = _mailbox(sender, sender_name), _mailbox(recipient, "")
    mail_id = _NOT_IN_IDS.sub("", message_id)[:250]
    head = [
        f"From: {sender}\r\n" if sender else "",
        f"To: {recipient}\r\n" if recipient else "",
        _header("Subject", subject),
        f"Date: {_date(int(date.timestamp()), date.tzinfo)}\r\n",
        f"Message-ID: <{mail_id}>\r\n" if mail_id else "",
        "MIME-Version: 1.0\r\n",
        *[_header(_field_name(name), value) for name, value in (fields or {}).items()],
    ]
    body = _text_part(clean(text))
    return "".join(head).encode("ascii") + (
        _mixed(body, [_file_part(upload) for upload in uploads]) if uploads else body
    )


def _header(name: str, value: str) -> str:
    value = one_line(value, _MAX_FIELD)
    if not value:
        return ""
    room = _LINE - len(name) - 2
    if not _is_plain(value):
        value = _encoded(value, len(name) + 2)
    elif len(value) > room:
        value = _folded(value, room)
    return f"{name}: {value}\r\n"


def _is_plain(value: str) -> bool:
    return value.isascii() and value.isprintable() and "=?" not in value


def _folded(value: str, room: int) -> str:
    """Fold a plain value before blanks (RFC 5322, section 2.2.3), or encode it if one of its words fits no line."""
    lines, rest = [], value
    while len(rest) > room:
        blank = rest.rfind(" ", 1, room + 1)
        if blank < 0:
            return _encoded(value, _LINE - room)
        lines.append(rest[:blank])
        rest, room = rest[blank:], _LINE
    return "\r\n".join([*lines, rest])


def _encoded(value: str, taken: int) -> str:
    """Return encoded words (RFC 2047), one a line; `taken` characters of the first line are the header's name."""
    first = (_LINE - taken - 12) // 4 * 3
    words = [binascii.b2a_base64(part, newline=False).decode() for part in _parts(value.encode(), max(first, 15))]
    return "\r\n ".join(f"=?utf-8?b?{word}?=" for word in words)


def _parts(data: bytes, size: int) -> Iterator[bytes]:
    """Cut UTF-8 between characters: the first part has at most `size` bytes, the others what fits a line."""
    start = 0
    while start < len(data):
        end = start + size
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end]
        start, size = end, _WORD_BYTES


def _mailbox(address: str, name: str) -> str:
    """Return `"Name" <address>` folded to short lines; "" for what is no plain ASCII address."""
    if not _ADDRESS.fullmatch(address):
        return ""
    name = one_line(name, 200)
    if not name:
        return address
    shown = f'"{quote(name)}"' if _is_plain(name) else _encoded(name, len("From: "))
    return f"{shown}\r\n <{address}>"


@lru_cache(16)  # under load many messages come in one second
def _date(seconds: int, zone: tzinfo | None) -> str:
    return format_datetime(datetime.fromtimestamp(seconds, zone))


@lru_cache(64)
def _field_name(name: str) -> str:
    return "X-Field-" + ("-".join(word.capitalize() for word in re.findall(r"[A-Za-z0-9]+", name))[:60] or "Other")


def _text_part(text: str) -> bytes:
    """Render text by the leanest encoding that survives: as it is, quoted-printable or base64."""
    data = text.encode("utf-8")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    if text.isascii() and (len(data) <= 990 or max(map(len, data.split(b"\n"))) <= 990):
        return _TEXT_HEAD % b"7bit" + data.replace(b"\n", b"\r\n")
    sample = data[:4000]
    if (len(sample) - len(sample.translate(None, _HIGH))) * 6 > len(sample):
        return _TEXT_HEAD % b"base64" + _base64(data)
    encoded = quopri.encodestring(data)
    return _TEXT_HEAD % b"quoted-printable" + encoded.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _file_part(upload: Upload) -> bytes:
    kind = upload.content_type.partition(";")[0].strip().lower()
    kind = kind if _TYPE.fullmatch(kind) else "application/octet-stream"
    head = (
        f"Content-Type: {kind}\r\nContent-Transfer-Encoding: base64\r\n{_disposition(safe_name(upload.name))}\r\n\r\n"
    )
    return head.encode("ascii") + _base64(upload.data)


def _disposition(name: str) -> str:
    """RFC 6266 style: a plain name for all, the true one by RFC 2231; a safe name fits a line of 998."""
    plain = re.sub(r"[^ !#-\[\]-~]", "_", name)
    extended = "" if plain == name else f";\r\n filename*=utf-8''{percent(name, safe='')}"
    return f'Content-Disposition: attachment; filename="{plain}"{extended}'


def _mixed(body: bytes, files: Sequence[bytes]) -> bytes:
    parts = [body, *files]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    boundary = f"=_{digest.hexdigest()[:40]}".encode()  # "=_" occurs neither in base64 nor in quoted-printable
    delimited = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return (
        b'Content-Type: multipart/mixed; boundary="'
        + boundary
        + b'"\r\n\r\n'
        + delimited
        + b"--"
        + boundary
        + b"--\r\n"
    )


def _base64(data: bytes) -> bytes:
    encoded = binascii.b2a_base64(data, newline=False)
    return b"".join(encoded[start : start + 76] + b"\r\n" for start in range(0, len(encoded), 76))
