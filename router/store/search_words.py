"""Words of texts and of searches: folded and told apart by ourselves, so that both databases find the same."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LONGEST = 64  # characters of a word that are looked at
_MOST_PARTS, _MOST_ASKED = 16, 400  # parts of a search, and characters of it, that are looked at
_PREFIX = 2  # a last word shorter than this is meant as it stands
_DIGITS = 7  # so many at least are a telephone number
_RUN = re.compile(r"[^\W_]+")
_NUMBER = r"\+?\(?\d[\d\s().\-/]{5,}\d"
_PART = re.compile(rf'(?P<no>(?<!\S)-)?(?:"(?P<phrase>[^"]*)"?|(?P<number>{_NUMBER})(?!\S)|(?P<plain>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that is asked for: any of these phrases (words that follow one another).

    `prefix`: the last word of each may go on. `excluded`: what has it isn't wanted.
    """

    phrases: tuple[tuple[str, ...], ...]
    prefix: bool = False
    excluded: bool = False


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a text: letters and digits, without accents, case folded."""
    for found in _RUN.finditer(_folded(text)):
        yield found[0][:_LONGEST]


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in apart if not unicodedata.combining(char)).casefold()


def number_words(number: str) -> Iterator[str]:
    """Yield under which words a telephone number is found: with and without the country's 1."""
    digits = "".join(char for char in number if char.isascii() and char.isdecimal())
    if len(digits) >= _DIGITS:
        yield digits
        if len(digits) == len("15555550111") and digits.startswith("1"):
            yield digits[1:]


def asked(search: str) -> tuple[Part, ...]:
    """Return what a search asks for, () if there is no word in it. Whatever is typed means something, or nothing.

    All words are wanted, `"these together"` in this order, `-not` this one; the last may go on. What holds signs (an
    address, a date, a reference with dashes) is wanted as its words in a row, or as one word.
    """
    parts = list[Part]()
    found = list(islice(_PART.finditer(search[:_MOST_ASKED]), _MOST_PARTS))
    for place, each in enumerate(found):
        quoted, number = each["phrase"] is not None, each["number"] is not None
        words = tuple(words_of(each["phrase"] or each["number"] or each["plain"] or ""))
        if not words:
            continue
        joined = "".join(words)
        phrases = [words]
        if not quoted and len(words) > 1 and len(joined) <= _LONGEST:
            phrases.append((joined,))
        last = place == len(found) - 1 and not quoted and not number and search[-1:].isalnum()
        prefix = last and not each["no"] and "@" not in each[0] and len(words[-1]) >= _PREFIX
        parts.append(Part(tuple(phrases), prefix=prefix, excluded=bool(each["no"])))
    return tuple(parts)


def to_fts5(marks: Iterable[Iterable[str]], parts: Iterable[Part]) -> str:
    """Return a search for SQLite (sqlite.org/fts5.html#full_text_query_syntax): one mark of each group, and the parts.

    Words and marks hold letters and digits alone, and stand in quotes: nothing in them is an operator.
    """
    wanted = ["marks : (" + " OR ".join(f'"{mark}"' for mark in group) + ")" for group in marks]
    unwanted = list[str]()
    for part in parts:
        star = "*" if part.prefix else ""
        any_of = " OR ".join('"' + " ".join(phrase) + '"' + star for phrase in part.phrases)
        (unwanted if part.excluded else wanted).append(f"words : ({any_of})")
    positive = " AND ".join(f"({each})" for each in wanted)
    return f"({positive}) NOT ({' OR '.join(f'({each})' for each in unwanted)})" if unwanted else positive


def to_tsquery(marks: Iterable[Iterable[str]], parts: Iterable[Part]) -> str:
    """Return the same for PostgreSQL, as a `tsquery` (PostgreSQL manual, 8.11.2)."""
    wanted = ["(" + " | ".join(f"'{lexeme(mark)}'" for mark in group) + ")" for group in marks]
    for part in parts:
        any_of = " | ".join(_in_a_row(phrase, prefix=part.prefix) for phrase in part.phrases)
        wanted.append(f"!({any_of})" if part.excluded else f"({any_of})")
    return " & ".join(wanted)


def _in_a_row(phrase: tuple[str, ...], *, prefix: bool) -> str:
    *first, last = (f"'{word}'" for word in phrase)
    return "(" + " <-> ".join([*first, last + (":*" if prefix else "")]) + ")"


def lexeme(mark: str) -> str:
    """Return what a mark is called among PostgreSQL's words: no search can ask for it."""
    return f"={mark}"


def to_tsvector(marks: Iterable[str], words: Iterable[str]) -> str:
    """Return a `tsvector` with the places of words (at most 255 of each, 16,383 in all)."""
    places: dict[str, list[str]] = {}
    for place, word in enumerate(islice(words, 16_383), 1):
        kept = places.setdefault(word, [])
        if len(kept) < 255:
            kept.append(str(place))
    found = [f"'{word}':{','.join(kept)}" for word, kept in places.items()]
    return " ".join([*(f"'{lexeme(mark)}'" for mark in marks), *found])
