"""Near-duplicates: messages that begin alike are one lesson, and must not lie on both sides of a comparison."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.interfaces import Example, ModelInput

_GROUP_CHARACTERS = 200  # messages that begin alike are near-duplicates
_LONG_ENOUGH = 40  # characters of a body that tell it apart without its subject


def grouped(rows: Sequence[Example]) -> list[Example]:
    """Return the rows with near-duplicates, and rows that named the same group, in one group.

    A group's name is the least SHA-256 of its members' texts and names, in hexadecimal: it depends on nothing else.
    """
    leader: dict[str, str] = {}

    def find(key: str) -> str:
        while leader.setdefault(key, key) != key:
            leader[key] = leader[leader[key]]
            key = leader[key]
        return key

    keys = [_keys(row) for row in rows]
    for first, *others in keys:
        for other in others:
            low, high = sorted((find(first), find(other)))
            leader[high] = low
    return [replace(row, group=find(row_keys[0])) for row, row_keys in zip(rows, keys, strict=True)]


def beginning(model_input: ModelInput) -> str:
    """Return what near-duplicates have in common: how they begin, without what differs from copy to copy.

    That is: lower case, one space between words, no punctuation, every digit alike (dates and sums are the form's).
    """
    body = _normal(model_input.body)
    text = body if len(body) >= _LONG_ENOUGH else _normal(f"{model_input.subject} {model_input.body}")
    return text[:_GROUP_CHARACTERS]


def _keys(row: Example) -> list[str]:
    named = [f"group {row.group}"] if row.group else []
    texts = (f"text {beginning(row.input)}", *named)
    return [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in texts]


def _normal(text: str) -> str:
    return re.sub(r"\d", "0", re.sub(r"[\W_]+", " ", text.casefold())).strip()
