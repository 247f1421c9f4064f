"""Noise on test texts: typing errors, and the style of hurried text messages. Not what training makes copies with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_BRIEF = {
    "you": "u", "your": "ur", "are": "r", "please": "pls", "to": "2", "for": "4", "be": "b", "see": "c", "why": "y",
    "tomorrow": "tmr", "tonight": "2nite", "today": "tdy", "because": "cuz", "thanks": "thx", "people": "ppl",
    "about": "abt", "before": "b4", "great": "gr8", "message": "msg", "what": "wat", "going": "goin", "the": "da",
    "and": "n", "have": "hv", "with": "w", "this": "dis", "that": "dat", "right": "rite", "want": "wanna",
}  # fmt: skip


def typos(text: str, random: Random, share: float = 0.1) -> str:
    """Replace, drop, double or swap each character that isn't blank with the given probability."""
    result: list[str] = []
    for char in text:
        if char.isspace() or random.random() >= share:
            result.append(char)
            continue
        kind = random.choice(("key", "drop", "double", "swap"))
        if kind == "key":
            result.append(_beside(char, random))
        elif kind == "double":
            result += [char, char]
        elif kind == "swap" and result:
            result.insert(-1, char)
        elif kind == "swap":
            result.append(char)
    return "".join(result)


def _beside(char: str, random: Random) -> str:
    row = next((row for row in _KEYS if char.lower() in row), "")
    place = row.find(char.lower())
    return random.choice(row[max(0, place - 1) : place] + row[place + 1 : place + 2]) if row else char


def as_text_message(text: str, random: Random) -> str:
    """Write in lower case without punctuation, abbreviate common words, and drop half of the inner vowels of others."""
    words = re.sub(r"[^\w\s']", "", text.lower()).split()
    return " ".join(_BRIEF.get(word) or _squeezed(word, random) for word in words)


def _squeezed(word: str, random: Random) -> str:
    if len(word) < 6 or random.random() < 0.6:
        return word
    inner = "".join(char for char in word[1:-1] if char not in "aeiou" or random.random() < 0.5)
    return word[0] + inner + word[-1]
