"""What a mail server reports on an earlier mail: as RFC 3464 has it, or in the words of servers that don't know it.

Which mail it is about shows in its Message-ID, wherever the server returned it; what that proves is decided elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from channels._html import html_to_text
from channels._mime_fields import MAX_HEADER_BYTES, Fields, addresses, mail_id, mail_ids, one_line
from router.records import Fate, Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from channels._mime_parts import Part, Tree

BOUNCE = "bounce"
_STATUS_PARTS = ("message/delivery-status", "message/global-delivery-status")  # RFC 3464, RFC 6533
_RETURNED_PARTS = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")
_OTHER_PARTS = ("message/disposition-notification", "message/feedback-report")  # RFC 8098, RFC 5965
_MOST_FATES = 50
_MAX_TEXT = 100_000
_MAX_SAID = 300

_ADDRESS = re.compile(r"[^\s<>@,;:\"()\\\[\]]{1,64}@[^\s<>@,;:\"()\\\[\]]{1,255}")
_MAIL_SERVERS = re.compile(r"mailer-?daemon|postmaster|mail-?daemon|microsoftexchange[0-9a-f]{32}")
_COPY = re.compile(  # where the returned mail begins: a line that says so, or its first trace field
    r"^(?:-{2,20} ?.{0,60}(?:original|returned|copy of|below this line).*"
    r"|(?:return-path|received|dkim-signature|message-id|mime-version):[ \t].*)$",
    re.IGNORECASE | re.MULTILINE,
)
_RETURNED_ID = re.compile(r"^>? ?message-id:\s{0,5}(<[^<>\s]{1,990}>)", re.IGNORECASE | re.MULTILINE)
_ENHANCED = re.compile(r"(?<![\d.])[45]\.\d{1,3}\.\d{1,3}(?!\.?\d)")  # RFC 3463
_REPLY = re.compile(r"(?<![\d.\[])([45])\d\d(?=[ -])")  # RFC 5321, section 4.2
_DELAYED = re.compile(
    r"warning|\bdelayed|not need to resend|(?:will|still) (?:be |being )?(?:re-?tr|keep|continue)", re.IGNORECASE
)
_FAILED = re.compile(
    r"undeliver|not be delivered|n't be delivered|delivery\b.{0,80}\bfail|fail\w{0,9}\b.{0,80}\bdeliver|returned"
    r"|not reach|permanent|giv\w{1,5} up|unable to deliver|rejected",
    re.IGNORECASE,
)


def report_of(tree: Tree) -> Report | None:
    """Return what a mail reports on another one, None if no mail server wrote it."""
    if not tree.parts:
        return None
    own = [part for part in tree.parts if not part.message]
    if own[0].kind == "multipart/report" or own[0].kind in _STATUS_PARTS:
        return _formal(own)
    fields = own[0].fields
    return _informal(own) if _names_a_mail_server(fields) or fields.first("x-failed-recipients") else None


# --- as RFC 3464 has it -----------------------------------------------------------------------------------------------


def _formal(parts: Sequence[Part]) -> Report:
    fates = tuple(fate for part in parts if part.kind in _STATUS_PARTS for fate in _fates(part))
    kind = parts[0].fields.params("content-type").get("report-type", "").lower()
    return Report(
        kind="delivery-status" if fates else one_line(kind, 100),
        mail_id=_returned_id(parts) or _named_id(parts) or _id_in_words(_words(parts)),
        fates=fates[:_MOST_FATES],
    )


def _fates(part: Part) -> Iterator[Fate]:
    """Yield what each block says; the first, on the mail as a whole, names no recipient."""
    for block in re.split(r"\n[ \t]*\n", part.text()[:_MAX_TEXT]):
        fields = Fields(block.encode("utf-8", "replace"))
        found = (address for name in ("final-recipient", "original-recipient") for address in _recipients(fields, name))
        recipients = tuple(dict.fromkeys(found))
        status = _ENHANCED.search(fields.first("status")) or re.search(r"2\.\d+\.\d+", fields.first("status"))
        action = fields.token("action")[:20] or ("failed" if status and status[0][0] == "5" else "")
        if recipients or action:
            said = one_line(fields.first("diagnostic-code").partition(";")[2] or fields.first("diagnostic-code"))
            yield Fate(recipients=recipients, action=action, status=status[0] if status else "", said=said[:_MAX_SAID])


def _recipients(fields: Fields, name: str) -> Iterator[str]:
    kind, semicolon, address = fields.first(name).partition(";")
    yield from (found.casefold() for _, found in addresses(address if semicolon else kind))


def _named_id(parts: Iterable[Part]) -> str:
    """Return the Message-ID that a read receipt or a complaint names."""
    for part in parts:
        if part.kind in _OTHER_PARTS:
            fields = Fields(part.text()[:_MAX_TEXT].encode("utf-8", "replace"))
            return next(iter(mail_ids(fields.first("original-message-id"))), "")
    return ""


def _returned_id(parts: Iterable[Part]) -> str:
    for part in parts:
        if part.kind in _RETURNED_PARTS:
            encoded = part.encoding() in ("base64", "quoted-printable")
            end = min(part.end, part.start + MAX_HEADER_BYTES)
            head = part.text().encode("utf-8", "replace") if encoded else part.original[part.start : end]
            if found := mail_id(head):
                return found
    return ""


# --- in words ---------------------------------------------------------------------------------------------------------


def _informal(parts: Sequence[Part]) -> Report | None:
    """Return what qmail, older Exim, Gmail and Exchange say in words of their own; None if no failure is told."""
    words, fields = _words(parts), parts[0].fields
    copy = _COPY.search(words)
    told = words[: copy.start()] if copy else words
    status = _status(told)
    late = not status.startswith("5") and bool(_DELAYED.search(f"{fields.text('subject')}\n{told}"))
    if not (late or _FAILED.search(f"{fields.text('subject')}\n{told}")):
        return None
    named = [address for _, address in addresses(fields.first("x-failed-recipients"))] or _ADDRESS.findall(told)
    fate = Fate(
        recipients=tuple(dict.fromkeys(address.rstrip(".").casefold() for address in named))[:_MOST_FATES],
        action="delayed" if late else "failed",
        status=status,
        said=_line_with_a_code(told),
    )
    return Report(kind=BOUNCE, mail_id=_returned_id(parts) or _id_in_words(words), fates=(fate,))


def _names_a_mail_server(fields: Fields) -> bool:
    sender = next(iter(addresses(fields.first("from"))), ("", ""))[1]
    return bool(_MAIL_SERVERS.fullmatch(sender.lower().partition("@")[0]))


def _words(parts: Iterable[Part]) -> str:
    """Return the text that the server itself wrote, with the mail it returned if that stands in it."""
    shown = [part for part in parts if part.kind in ("text/plain", "text/html") and not part.is_container]
    plain = [part.text()[:_MAX_TEXT] for part in shown if part.kind == "text/plain"][:5]
    return "\n".join(plain) or "\n".join(html_to_text(part.text()[:_MAX_TEXT]) for part in shown[:2])


def _id_in_words(words: str) -> str:
    found = _RETURNED_ID.search(words)
    return found[1] if found else ""


def _status(told: str) -> str:
    """Return the enhanced status that is told, or one made of a reply's first digit; "" if there is neither."""
    if found := _ENHANCED.search(told):
        return found[0]
    return f"{found[1]}.0.0" if (found := _REPLY.search(told)) else ""


def _line_with_a_code(told: str) -> str:
    found = _ENHANCED.search(told) or _REPLY.search(told)
    if not found:
        return ""
    start = told.rfind("\n", 0, found.start()) + 1
    return one_line(told[start:].partition("\n")[0], _MAX_SAID)
