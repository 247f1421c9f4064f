"""What a text to a department or a person on duty says: the message, cut to what Twilio carries, and the link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from channels._wording import clean, notice_wording, route_wording, shorten
from router.records import DeliveryKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from channels._wording import Wording
    from router.records import Forward

LONGEST = 1600  # characters in one text (Twilio's error 21617), counted as UTF-16 has them


def text_of(forward: Forward) -> str:
    """Return the text for one delivery: at most `LONGEST` long, with the misroute link (or the notice's page) whole."""
    if forward.notice is not None and forward.delivery.kind is DeliveryKind.ANSWER:
        return _cut(forward.notice.text.strip(), LONGEST)
    if forward.notice is not None:
        wording = notice_wording(forward)
        head, body = wording.subject, "\n\n".join(filter(None, (wording.body, wording.quoted)))
        tail = f"{wording.link_text}: {wording.link}" if wording.link and forward.message else wording.link
    else:
        wording = route_wording(forward, answerable=True)
        head, body = "\n".join(_head(forward, wording)), wording.body
        tail = f"{wording.link_text}: {wording.link}" if wording.link else ""
    tail = f"\n\n{tail}" if tail else ""
    return f"{head}\n\n{_cut(body, LONGEST - _length(head) - _length(tail) - 2)}{tail}"


def _head(forward: Forward, wording: Wording) -> Iterator[str]:
    if wording.urgent:
        yield f"URGENT: {shorten(wording.urgent, 200)}"
    facts = dict(wording.facts)
    yield f"{facts.get('For') or clean(forward.organization)}: message from {facts['From']}"
    if "School" in facts:
        yield f"School: {facts['School']}"
    subject = shorten(clean(forward.message.content.subject), 200) if forward.message else ""
    if subject:
        yield f"Subject: {subject}"


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", "replace")) // 2


def _cut(text: str, room: int) -> str:
    """Return at most `room` UTF-16 units of a text, never half a character."""
    if _length(text) <= room:
        return text
    return text.encode("utf-16-le", "replace")[: 2 * (room - 1)].decode("utf-16-le", "ignore").rstrip() + "…"
