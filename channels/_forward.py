"""The mail a department gets: the person's words, where they came from and why here, and the original byte for byte.

Built as bytes by hand, because the original must be spliced in untouched and no field may reach a header unencoded.
Everything here is a pure function of the delivery, so that a retry sends the same bytes.
"""

from __future__ import annotations

import hashlib
import re
from base64 import encodebytes
from binascii import b2a_base64, b2a_qp
from dataclasses import replace
from email.utils import format_datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from channels._left_out import TAG, without_original
from channels._wording import OTHERS, Wording, clean, notice_wording, route_wording, shorten
from router.records import DeliveryKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from router.records import Decision, Forward, Message

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*\Z")
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{3,250}>")  # printable ASCII without space and angle brackets
_LONGEST_LINE = 998  # octets, without its end (RFC 5322 section 2.1.1)
_SPECIALS = re.compile(r"[^A-Za-z0-9 !#$%&'*+/=?^_`{|}~-]")  # RFC 5322: what makes a display name need quotes


def compose(forward: Forward, *, sender: str, recipient: str = "", left_out: str = "") -> bytes:
    """Return the mail for one delivery: CRLF, 7-bit, lines of at most 998 octets.

    `sender` is the district's own address (RFC 5321 mailbox); `recipient` stands in `To` instead of the delivery's
    address where that isn't one (a Maildir's name). A delivery with a notice becomes the notice's mail. `left_out` says
    why the original doesn't come along: then the mail is short, and tells where the original is.
    """
    if forward.delivery.kind is DeliveryKind.ANSWER:
        return compose_answer(forward, sender=sender)
    if forward.notice is not None:
        return compose_notice(forward, sender=sender, recipient=recipient, left_out=left_out)
    wording = route_wording(forward, answerable=is_address(_reply_to(forward)))
    headers = [
        _address("From", f"{wording.who} via {_cut_name(forward.organization)}", sender),
        *_envelope(forward, wording, recipient),
        *_route_headers(forward, (TAG,) if left_out else ()),
    ]
    return _mail(headers, wording, forward, left_out)


def compose_notice(forward: Forward, *, sender: str, recipient: str = "", left_out: str = "") -> bytes:
    """Return the mail for an alert; `forward.notice` must be set. The message it is about comes along if given.

    For `left_out` see `compose`.
    """
    wording = notice_wording(forward)
    headers = [
        _address("From", _cut_name(forward.organization), sender),
        *_envelope(forward, wording, recipient),
        b"Auto-Submitted: auto-generated",  # RFC 3834: no person wrote this one
        _header("X-Signpost-Alert", str(forward.delivery.id)),
    ]
    if forward.message is not None:
        headers.append(_header("X-Signpost-Message", forward.message.id))
    if left_out:
        headers.append(_header("X-Signpost-Tags", TAG))
    return _mail(headers, wording, forward, left_out)


def compose_answer(forward: Forward, *, sender: str) -> bytes:
    """Return the mail that answers automatically (RFC 3834, section 3); `forward.notice` must be set.

    It quotes nothing and stands in the thread of what it answers. Programs are told in every way not to answer it.
    """
    if forward.notice is None:
        raise ValueError("an automatic answer carries a notice")
    answered = forward.in_reply_to if _MESSAGE_ID.fullmatch(forward.in_reply_to) else ""
    headers = [
        _address("From", _cut_name(forward.organization), sender),
        _header("To", forward.delivery.to),
        _header("Subject", shorten(clean(forward.notice.subject), 200)),
        _header("Message-ID", forward.mail_id),
        *(_header(name, answered) for name in ("In-Reply-To", "References") if answered),
        _header("Date", _date(forward.delivery.created_at)),
        b"Auto-Submitted: auto-replied",
        b"X-Auto-Response-Suppress: All",
        _header("X-Signpost-Message", forward.delivery.message_id or ""),  # known again if it comes back
        b"MIME-Version: 1.0",
        _text_part("plain", forward.notice.text.strip() + "\n"),
    ]
    return b"\r\n".join(headers)


def is_address(text: str) -> bool:
    """Tell whether `text` is one plain e-mail address (RFC 5321 Mailbox, dot-string and host name, ASCII)."""
    return _ADDRESS.match(text) is not None


def is_public_address(text: str) -> bool:
    """Tell whether `text` is such an address on the internet: its domain has a dot, so that anyone can answer."""
    return is_address(text) and "." in text.rpartition("@")[2]


# --- headers ----------------------------------------------------------------------------------------------------------


def _envelope(forward: Forward, wording: Wording, recipient: str) -> Iterator[bytes]:
    yield _header("To", recipient or forward.delivery.to)
    if forward.notice is None and is_address(reply_to := _reply_to(forward)):
        yield _header("Reply-To", reply_to)
    yield _header("Subject", wording.subject)
    yield _header("Message-ID", forward.mail_id)
    if forward.message is not None and _MESSAGE_ID.fullmatch(forward.message.content.external_id):
        yield _header("References", forward.message.content.external_id)  # an answer then joins the family's own thread
    yield _header("Date", _date(forward.delivery.created_at))
    # Not "All": that would silence delivery reports too. No Auto-Submitted on a person's forwarded words (RFC 3834).
    yield b"X-Auto-Response-Suppress: OOF, AutoReply"


def _route_headers(forward: Forward, tags: tuple[str, ...]) -> Iterator[bytes]:
    message, decision = _routed(forward)
    yield _header("X-Signpost-Message", message.id)
    own = forward.delivery.department if forward.delivery.department in decision.also else decision.department
    yield _header("X-Signpost-Department", own)
    yield _header("X-Signpost-Reason", decision.reason.value)
    if decision.urgent:
        yield b"X-Signpost-Urgent: yes"
    if tags := (*decision.tags, *tags):
        yield _header("X-Signpost-Tags", ", ".join(tags))
    if decision.confidence is not None:
        yield _header("X-Signpost-Confidence", f"{decision.confidence:.2f}")
    if forward.misroute_url:
        yield _url_header("X-Signpost-Misroute", forward.misroute_url)


def _routed(forward: Forward) -> tuple[Message, Decision]:
    if forward.message is None or forward.decision is None:
        raise ValueError("a forward without a notice carries a message and its decision")
    return forward.message, forward.decision


_date = lru_cache(64)(format_datetime)  # what was decided together was created at the same time


def _reply_to(forward: Forward) -> str:
    return forward.message.content.reply_to if forward.message is not None else ""


def _cut_name(organization: str) -> str:
    return shorten(clean(organization), 80) or "Signpost"


def _header(name: str, text: str) -> bytes:
    """Return one header without its line end; whatever isn't printable ASCII goes through RFC 2047."""
    text = clean(text)[:900]
    if text.isascii() and "=?" not in text:
        return _fold(f"{name}: {text}")
    return f"{name}: {_encoded_words(text)}".encode("ascii")


def _address(name: str, display: str, address: str) -> bytes:
    display = clean(display)
    if not display.isascii() or "=?" in display:
        shown = _encoded_words(display)
    elif _SPECIALS.search(display):
        shown = '"' + re.sub(r'(["\\])', r"\\\1", display) + '"'
    else:
        shown = f'"{display}"'
    return f"{name}: {shown}\r\n <{clean(address)}>".encode("ascii", "replace")


def _url_header(name: str, url: str) -> bytes:
    return f"{name}: ".encode() + re.sub(r"[^!-~]", "", url)[:900].encode("ascii")


def _encoded_words(text: str) -> str:
    """Return RFC 2047 encoded-words of at most 75 characters, one per line, none splitting a character."""
    words, piece = [], b""
    for char in text:
        octets = char.encode("utf-8", "replace")
        if len(piece) + len(octets) > 42:
            words.append(piece)
            piece = b""
        piece += octets
    words.append(piece)
    return "\r\n ".join(f"=?utf-8?B?{b2a_base64(word, newline=False).decode()}?=" for word in words)


def _fold(line: str) -> bytes:
    """Fold at spaces so that lines stay below 78 octets where a space allows it (RFC 5322 section 2.1.1)."""
    lines = []
    while len(line) > 76:
        cut = line.rfind(" ", line.find(" ") + 2, 76)
        if cut <= 0:
            break
        lines.append(line[:cut])
        line = line[cut:]
    return "\r\n".join([*lines, line]).encode("ascii")


# --- body -------------------------------------------------------------------------------------------------------------


def _mail(headers: list[bytes], wording: Wording, forward: Forward, left_out: str) -> bytes:
    if left_out:
        wording, forward = without_original(wording, forward, left_out), replace(forward, original=b"")
    outer, inner = _boundaries(forward)
    alternative = _multipart(
        "alternative",
        inner,
        [[_text_part("plain", wording.plain())], [_text_part("html", _html(wording))]],
    )
    parts = [alternative, _original_part(forward.original)] if forward.original else [alternative]
    head = b"\r\n".join([*headers, b"MIME-Version: 1.0", b""])
    return b"".join([head, *_multipart("mixed", outer, parts)])


def _boundaries(forward: Forward) -> tuple[bytes, bytes]:
    """Return two boundaries that the original doesn't hold; `=_` can't occur in quoted-printable or base64."""
    seed, count = forward.mail_id.encode("utf-8", "replace"), 0
    while True:
        mark = b"=_" + hashlib.sha256(seed + b"%d" % count).hexdigest()[:32].encode()
        if mark not in forward.original:
            return mark + b".1", mark + b".2"
        count += 1


def _multipart(kind: str, boundary: bytes, parts: list[list[bytes]]) -> list[bytes]:
    """Return the pieces of a multipart, given those of its parts.

    They are joined once, at the end: to copy 25 MB stops every thread for a moment.
    """
    head = f"Content-Type: multipart/{kind};\r\n".encode() + b' boundary="' + boundary + b'"\r\n\r\n'
    delimited = (piece for part in parts for piece in (b"--" + boundary + b"\r\n", *part, b"\r\n"))
    return [head, *delimited, b"--" + boundary + b"--\r\n"]


def _text_part(kind: str, text: str) -> bytes:
    body = b2a_qp(text.encode("utf-8", "replace"), istext=True).replace(b"\n", b"\r\n")
    head = f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode() + body


def _original_part(original: bytes) -> list[bytes]:
    """Return, in pieces, the original as it is where a message/rfc822 part can hold it, else as a base64 file.

    RFC 2046 section 5.2.1 forbids base64 for message/rfc822.
    """
    if can_be_spliced(original):
        head = b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n"
        return [head, b'Content-Disposition: attachment; filename="original.eml"\r\n\r\n', original]
    encoded = encodebytes(original).replace(b"\n", b"\r\n")
    head = b'Content-Type: application/octet-stream; name="original.eml"\r\nContent-Transfer-Encoding: base64\r\n'
    return [head, b'Content-Disposition: attachment; filename="original.eml"\r\n\r\n', encoded]


def can_be_spliced(original: bytes) -> bool:
    """Tell whether bytes can stand in a mail untouched: 7-bit without NUL, only CRLF, lines of at most 998 octets."""
    return (
        original.isascii()
        and b"\0" not in original
        and original.count(b"\n") == original.count(b"\r") == original.count(b"\r\n")
        and not _has_long_line(original)
    )


def _has_long_line(original: bytes) -> bool:
    """Tell whether a line is too long. In leaps: a pattern would stop every thread for seconds over a large mail."""
    begin = 0
    while len(original) - begin > _LONGEST_LINE:
        end = original.rfind(b"\r\n", begin, begin + _LONGEST_LINE + 2)
        if end < 0:
            return True
        begin = end + 2
    return False


def _html(wording: Wording) -> str:
    return _page().render(it=wording, others=OTHERS)


@cache
def _page() -> Template:
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "_pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    return pages.get_template("forward.html")
