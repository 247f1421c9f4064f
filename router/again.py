"""The sentence before an alert that may be a repetition, since the store was restored from a backup."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.records import Notice

AGAIN = "Signpost was restored from a backup: you may have been told of this before.\n"


def with_remark(text: str) -> str:
    """Return an alert's text with the sentence before it, once."""
    return AGAIN + text.removeprefix(AGAIN)


def without_remark(notice: Notice) -> Notice:
    """Return an alert as it was before the store was restored."""
    return replace(notice, text=notice.text.removeprefix(AGAIN))
