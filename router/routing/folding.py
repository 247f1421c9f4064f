"""Read what people wrote as plain words: whatever its case and accents, and whatever hides a word from a program."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_LINE_END = r"(?:\n|\r(?!\n)|[\x85\u2028])"
_TOKENS = re.compile(rf"[a-z0-9]+|(?<![.!?;:…])[.!?;:…]++(?=\s|$)|[,()\"—–]|{_LINE_END}\s*{_LINE_END}|[\f\v\u2029]")
_APOSTROPHES = "'’‘`´ʼ"
_WILL = re.compile(r"(?<=[a-z])['’‘`´ʼ]ll\b")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_UNSEEN = frozenset({"Mn", "Cf"})  # accents after decomposition; zero-width characters
_NONE = str.maketrans(dict.fromkeys(_APOSTROPHES))

# What hides a word from a program and from no reader: letters set apart, digits and signs for letters, letters of
# other alphabets that look the same, and letters held for long. Each expression begins where a word does and takes what
# it took for good: else one word of 20,000 letters, tried letter by letter, would take seconds.
_APART = re.compile(r"(?<![a-z0-9])(?:[a-z][ ._*-]){2,}[a-z](?![a-z0-9])")
_SURELY_APART = 4  # letters: fewer are initials, unless they make a known word
_BETWEEN = re.compile(r"[ ._*-]")
_SIGNED = re.compile(r"(?<![a-z])[a-z]++(?:[@$!][a-z]++)+")
_SIGNS = str.maketrans("@$!", "asi")
_HELD = re.compile(r"([a-z])\1{2,}")
_THRICE = re.compile(r"([a-z])\1\1")
_OFTEN_TWICE = "lso"
_OTHER_LETTERS = re.compile(r"(?<!\w)(?=[^\Wa-z]*+[a-z])\w++")
_LOOK_ALIKE = str.maketrans("асеорхукмтвнѕіјαεοικντρυχđ", "aceopxykmtbhsijaeoikvtpuxd")


def tokens_of(field: str, known: frozenset[str]) -> Sequence[str]:
    """Return the words and marks of a text in small letters without accents or apostrophes, nothing hidden.

    A sign stands for a letter where that makes a known word; else it ends one ("He has a gun!he is here").
    """
    plain, tokens = _plainly(field)
    if tokens is not None:
        return tokens
    plain = _APART.sub(lambda run: _together(run[0], known), plain)
    plain = _SIGNED.sub(lambda word: _unsigned(word[0], known), plain)
    return _marked(plain)


@lru_cache(256)  # fields: several batches, for one list after the other looks at the same message
def _plainly(field: str) -> tuple[str, tuple[str, ...] | None]:
    """Return a text in small letters without accents or apostrophes, and its tokens if none needs a list's words.

    Most texts have none of what the expressions look for: what finds that out fast stands before them.
    """
    plain = field.lower()
    if any(mark in plain for mark in _APOSTROPHES):
        plain = _WILL.sub(" will", plain).translate(_NONE)  # "he'll" would be "hell"
    if not plain.isascii():
        plain = _NOT_ASCII.sub(_seen, unicodedata.normalize("NFKD", plain)).lower()
        if any(chr(letter) in plain for letter in _LOOK_ALIKE):
            plain = _OTHER_LETTERS.sub(lambda word: word[0].translate(_LOOK_ALIKE), plain)
    hidden = _APART.search(plain) or (any(sign in plain for sign in "@$!") and _SIGNED.search(plain))
    return plain, None if hidden else _marked(plain)


def _seen(run: re.Match[str]) -> str:
    """Return what a reader sees of a run of characters."""
    return "".join([char for char in run[0] if unicodedata.category(char) not in _UNSEEN])


def _marked(plain: str) -> tuple[str, ...]:
    if _THRICE.search(plain):
        plain = _HELD.sub(lambda run: run[1] * (2 if run[1] in _OFTEN_TWICE else 1), plain)
    return tuple(_TOKENS.findall(plain))


def _together(run: str, known: frozenset[str]) -> str:
    """Return letters set apart as the word they make; before it may stand "I" or "a"."""
    letters = _BETWEEN.sub("", run)
    if letters not in known and letters[1:] in known:
        return f"{letters[0]} {letters[1:]}"
    return letters if letters in known or len(letters) >= _SURELY_APART else run


def _unsigned(word: str, known: frozenset[str]) -> str:
    letters = word.translate(_SIGNS)
    return letters if letters in known else re.sub("[@$!]", " . ", word)
