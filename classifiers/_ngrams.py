"""The features of a text: words and pairs of words, and the character n-grams within each word.

They are the n-grams that scikit-learn's `word` (1-2, with sentence marks) and `char_wb` (2-5) analyzers give for the
same words; written out here so that serving needs no scikit-learn.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from router.interfaces import ModelInput

START, END = "<s>", "</s>"
SHORTEST, LONGEST = 2, 5  # characters of a character n-gram
_WORD = re.compile(r"\w+")


def words(model_input: ModelInput) -> tuple[list[str], ...]:
    """Return the words of each field that has any: subject, topic, body; lower case, without accents."""
    fields = (model_input.subject, model_input.topic, model_input.body)
    found = (_WORD.findall(folded(field)) for field in fields if field)
    return tuple(field for field in found if field)


def folded(text: str) -> str:
    """Return lower case without accents: families write Spanish with and without them."""
    lower = text.lower()
    if lower.isascii():
        return lower
    return "".join(char for char in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(char))


def marked(fields: Iterable[Sequence[str]]) -> list[str]:
    """Return all words, each field between `<s>` and `</s>`."""
    return [word for field in fields for word in (START, *field, END)]


def word_ngrams(fields: Iterable[Sequence[str]]) -> list[str]:
    """Return words and pairs of neighbours (joined by a space), each field between `<s>` and `</s>`."""
    every = marked(fields)
    return every + [f"{first} {second}" for first, second in pairwise(every)]


def char_ngrams(word: str) -> list[str]:
    """Return the 2- to 5-grams of a word with a space on both sides, as `char_wb` does: a short word whole, once."""
    padded = f" {word} "
    size = len(padded)
    grams: list[str] = []
    for length in range(SHORTEST, LONGEST + 1):
        if length >= size:
            grams.append(padded)
            break
        grams += [padded[start : start + length] for start in range(size - length + 1)]
    return grams
