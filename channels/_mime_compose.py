"""Render what a form or a text said as an RFC 5322 message, so that every stored original is one."""

from __future__ import annotations

import binascii
import hashlib
import quopri
import re
from dataclasses import dataclass
from email.header import Header
from email.utils import format_datetime, quote
from typing import TYPE_CHECKING
from urllib.parse import quote as percent

from channels._mime_fields import clean, one_line, safe_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

_TYPE = re.compile(r"(?!multipart/|message/)[a-z0-9]{1,40}/[a-z0-9][a-z0-9.+_-]{0,80}")
_ADDRESS = re.compile(r"[!#$%&'*+/=?^_`{|}~.A-Za-z0-9-]{1,64}@[A-Za-z0-9.-]{1,255}")
_MAX_FIELD = 2_000


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
    headers = [
        ("From", _mailbox(sender, sender_name)),
        ("To", _mailbox(recipient, "")),
        ("Subject", one_line(subject, _MAX_FIELD)),
        ("Date", format_datetime(date)),
        ("Message-ID", _identifier(message_id)),
        ("MIME-Version", "1.0"),
        *((f"X-Field-{_field_name(name)}", one_line(value, _MAX_FIELD)) for name, value in (fields or {}).items()),
    ]
    head = b"".join(_header(name, value) for name, value in headers if value)
    body = _text_part(clean(text))
    return head + (_mixed(body, [_file_part(upload) for upload in uploads]) if uploads else body)


def _header(name: str, value: str) -> bytes:
    plain = value.isascii() and value.isprintable() and "=?" not in value and len(name) + len(value) < 76
    if plain or name in ("From", "To", "Message-ID"):
        return f"{name}: {value}\r\n".encode("ascii")
    folded = Header(value, "utf-8", maxlinelen=76, header_name=name).encode(linesep="\r\n")
    return f"{name}: {folded}\r\n".encode("ascii")


def _mailbox(address: str, name: str) -> str:
    """Return `"Name" <address>` folded to short lines; "" for what is no plain ASCII address."""
    name = one_line(name, 200)
    if not _ADDRESS.fullmatch(address):
        return ""
    if not name:
        return address
    if name.isascii() and name.isprintable() and "=?" not in name:
        return f'"{quote(name)}"\r\n <{address}>'
    return (
        f"{Header(name, 'utf-8', maxlinelen=76, header_name='From').encode(linesep=chr(13) + chr(10))}\r\n <{address}>"
    )


def _identifier(message_id: str) -> str:
    bare = re.sub(r"[^!-;=?-~]", "", message_id)[:250]
    return f"<{bare}>" if bare else ""


def _field_name(name: str) -> str:
    return "-".join(word.capitalize() for word in re.findall(r"[A-Za-z0-9]+", name))[:60] or "Other"


def _text_part(text: str) -> bytes:
    """Render text by the leanest encoding that survives: as it is, quoted-printable or base64."""
    data = text.encode("utf-8")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    if text.isascii() and max(map(len, data.split(b"\n"))) <= 990:
        encoding, body = "7bit", data
    elif sum(byte > 127 for byte in data[:4000]) * 6 > min(len(data), 4000):
        encoding, body = "base64", _base64(data)
    else:
        encoding, body = "quoted-printable", quopri.encodestring(data)
    head = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    return head.encode("ascii") + body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


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
