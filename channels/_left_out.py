"""A mail whose original is too large for the mail server: what it says instead, and where the original is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from channels._wording import clean, shorten

if TYPE_CHECKING:
    from channels._wording import Wording
    from router.records import Forward

TAG = "original-too-large"
"""Stands in X-Signpost-Tags of a mail that comes without its original for its size."""

_FIRST = (
    4_000  # characters of the text: in any script far below the 64 kB that every server takes (RFC 5321, 4.5.3.1.7)
)
_CUT = "\n(cut here: the original has the rest)"


def without_original(wording: Wording, forward: Forward, why: str) -> Wording:
    """Return what a mail says that leaves its original behind; `why` is a sentence."""
    files = tuple((label, _unattached(value)) for label, value in wording.facts)
    remarks = (f"The original is too large to come with this mail: {why}.", *map(_unattached, wording.remarks))
    return replace(
        wording,
        body=_first_lines(wording.body, forward),
        quoted=_first_lines(wording.quoted, forward),
        remarks=remarks,
        facts=(*files, ("Original", _where(forward))),
    )


def _where(forward: Forward) -> str:
    message_id = clean(forward.delivery.message_id or "")
    if forward.message_url:
        return f"{clean(forward.message_url)} (with all files)"
    return f"ask whoever runs Signpost for message {message_id}: signpost messages export {message_id} --to FILE"


def _first_lines(text: str, forward: Forward) -> str:
    spoken = forward.message.content.text if forward.message is not None else text
    if not spoken.strip():
        return _unattached(text)  # ours, not the person's
    if len(text) <= _FIRST:
        return text
    lines = text[:_FIRST].rpartition("\n")[0]
    return (lines if len(lines) > _FIRST // 2 else shorten(text[:_FIRST], _FIRST - 1)) + _CUT


def _unattached(text: str) -> str:
    """Return a sentence of ours without the claim that the original is there."""
    return text.replace("he attached original", "he original")
