"""How families write the names of the district's schools: short names, levels, initials, slips of the keyboard."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from router.language import is_common

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from router.records import School


def words_of(text: str) -> frozenset[str]:
    """Return the words of a list."""
    return frozenset(text.split())


_TOKEN = re.compile(r"[^\W_]+")
_LETTER_BY_LETTER = re.compile(r"(?<![^\W_])[^\W_](?! [a-z])[\s.][\W_]*+[^\W\d_](?![^\W_])")
_ONE_EDIT, _TWO_EDITS = 5, 9  # letters of a name from which on so many slips are forgiven
_SHORTEST_ALONE = 7  # letters of a name that is recognised with a slip even where nothing says that it is a school
_FEWEST_INITIALS, _MOST_INITIALS = 3, 6
_MOST_ALIAS_INITIALS = 5

LEVELS = {
    **dict.fromkeys(("elementary", "elementry", "elementery", "elemantary", "elem", "primary", "primaria"), "e"),
    **dict.fromkeys(("middle", "midle", "middel", "intermediate", "junior", "secundaria"), "m"),
    **dict.fromkeys(("high", "preparatoria", "prepa"), "h"),
}
SHORT_LEVELS = {
    "es": "e",
    "ms": "m",
    "jr": "m",
    "jhs": "m",
    "hs": "h",
}  # other words too: they confirm, and deny nothing
SCHOOL_WORDS = frozenset({"school", "escuela", "academy", "academia", "colegio", "ecole", "campus"})
_ARTICLES = frozenset({"the", "la", "el", "l"})
_OTHER_INITIALS = words_of("act ada asap cps ela ell ese esl faq ged gpa ids iep odr pta pto rsvp sat sms sos tba usa")


class Token(NamedTuple):
    """A word of a text: without case and accents, as it stood, and what stood between it and the word before."""

    word: str
    raw: str
    gap: str

    @property
    def is_near(self) -> bool:
        """Whether nothing but blanks (a line's end at most) or a hyphen parts it from the word before."""
        return self.gap.strip() in ("", "-") and self.gap.count("\n") < 2


@dataclass(frozen=True, slots=True)
class Form:
    """One way to write a school's name. `level` is the school's: e, m, h, or "" if its name says none.

    `alone` says whether it stands for the school where no level and no word for a school stands beside it.
    """

    school: str
    how: str  # name, alias or initials
    level: str
    alone: bool
    words: int


def tokens_of(text: str) -> list[Token]:
    """Return the words of a text, those of addresses and links left out. Linear in the length."""
    found: list[Token] = []
    end, text = 0, plain(text)
    for match in _TOKEN.finditer(text):
        if word := _folded(match[0]):  # nothing is left of a mark that stands alone
            found.append(Token(word, match[0], text[end : match.start()][-40:]))
            end = match.end()
    return found


def plain(text: str) -> str:
    """Return a text in composed letters (Unicode NFC), without addresses and links."""
    text = unicodedata.normalize("NFC", text)
    if any(sign in text for sign in ("@", "://", "www.")):
        text = re.sub(r"\S+", lambda m: " " if "@" in m[0] or "://" in m[0] or m[0].startswith("www.") else m[0], text)
    return text


def bare_words(text: str) -> list[str]:
    """Return the `word` of each token of a `plain` text, in a fraction of the time."""
    if text.isascii():
        return _TOKEN.findall(text.lower())
    return [folded for word in _TOKEN.findall(text) if (folded := _folded(word))]


def _folded(word: str) -> str:
    word = word.casefold()
    if word.isascii():
        return word
    return "".join(char for char in unicodedata.normalize("NFKD", word) if unicodedata.category(char) != "Mn")


def level_of(word: str) -> str:
    """Return the level that a word names, "" for none."""
    return LEVELS.get(word) or SHORT_LEVELS.get(word, "")


class Forms:
    """Every form of every school, found by its letters without the blanks between: "Rosa Parks", "rosaparks"."""

    def __init__(self, schools: Sequence[School]) -> None:
        self.exact: dict[str, list[Form]] = {}
        self.initials: dict[str, Form] = {}
        for school in schools:
            self._add(school)
        self._add_initials(schools)
        self.most_words = max((form.words for form in self._all()), default=0)
        self.longest = max(map(len, self.exact), default=0)
        # By first letter and length with slips: the name, its letters, and how many slips it may have.
        self._near: dict[str, dict[int, list[tuple[str, frozenset[str], int]]]] = {key[0]: {} for key in self.exact}
        for key in self._near_keys():
            slips = edits_in(key)
            for length in range(len(key) - slips, len(key) + slips + 1):
                self._near[key[0]].setdefault(length, []).append((key, frozenset(key), slips))

    def _all(self) -> Iterator[Form]:
        return (form for forms in self.exact.values() for form in forms)

    def _near_keys(self) -> list[str]:
        return [key for key, forms in self.exact.items() if edits_in(key) and forms[0].how != "initials"]

    def _add(self, school: School) -> None:
        own_level = parts_of([token.word for token in tokens_of(school.name)])[1]
        for how, text in (("name", school.name), *(("alias", alias) for alias in school.aliases)):
            tokens = tokens_of(text)
            words = [token.word for token in tokens]
            if not words:
                continue
            if how == "alias" and (letters := _as_initials(tokens)):
                self.initials[letters] = Form(school.id, how, own_level, alone=True, words=1)
                continue
            core, level = parts_of(words)
            form = Form(school.id, how, level or own_level, alone=core == words, words=len(core))
            self.exact.setdefault("".join(core), []).append(form)
            if len(core) > 1 and level and not is_common(short := "".join(word[0] for word in core)):
                initials = Form(school.id, "initials", level, alone=False, words=1)
                self.exact.setdefault(short, []).append(initials)

    def _add_initials(self, schools: Sequence[School]) -> None:
        """Add the initials of names (LES, MVHS) that no other school has."""
        derived: dict[str, set[str]] = {}
        for school in schools:
            for letters in _initials(tokens_of(school.name)):
                derived.setdefault(letters, set()).add(school.id)
        for letters, owners in derived.items():
            taken = letters in self.initials or letters in self.exact
            if len(owners) == 1 and not taken and not is_common(letters) and letters not in _OTHER_INITIALS:
                self.initials[letters] = Form(next(iter(owners)), "initials", "", alone=True, words=1)

    def may_be_initials(self, words: Sequence[str], text: str) -> bool:
        """Return whether a school's initials may stand in a text of these words: as a word, or letter by letter."""
        return not self.initials.keys().isdisjoint(words) or bool(_LETTER_BY_LETTER.search(text))

    def places(self, words: Sequence[str], most_spelled: int) -> tuple[list[int], list[int]]:
        """Return at which words names may begin, and names with slips (of the first so many): at no others they do."""
        exact, near = list[int](), list[int]()
        width, known = self.most_words + 1, self.exact
        for start, word in enumerate(words):  # written out: it is done for every message
            lengths = self._near.get(word[0])
            if lengths is None:
                continue
            run, is_exact, is_near = "", False, start >= most_spelled
            for each in words[start : start + width]:
                run += each
                is_exact = is_exact or run in known
                is_near = is_near or (len(run) in lengths and self.near(run) is not None)
            if is_exact:
                exact.append(start)
            if is_near and start < most_spelled:
                near.append(start)
        return exact, near

    def near(self, letters: str) -> tuple[str, int] | None:
        """Return the name that is most like these letters, and by how many slips they differ, if any is alike enough.

        A slip is a letter too many, too few, wrong, or two letters exchanged; the first letter is right.
        """
        candidates = self._near.get(letters[:1], {}).get(len(letters))
        if not candidates:
            return None
        there = frozenset(letters)  # with n slips two words differ in 2n of them at most
        alike = [
            (slips, key)
            for key, its, most in candidates
            if len(its ^ there) <= 2 * most and (slips := distance(key, letters)) <= most
        ]
        if not alike:
            return None
        alike.sort()
        return None if len(alike) > 1 and alike[0][0] == alike[1][0] else (alike[0][1], alike[0][0])


def parts_of(words: Sequence[str]) -> tuple[list[str], str]:
    """Return a name without its level and the word for a school, and the level; a name of nothing else stays whole."""
    core, level = list(words), ""
    while core and (core[-1] in LEVELS or core[-1] in SHORT_LEVELS or core[-1] in SCHOOL_WORDS):
        level = level_of(core.pop()) or level
    while core and (core[0] in SCHOOL_WORDS or core[0] in _ARTICLES or core[0] in ("primaria", "secundaria")):
        level = level_of(core.pop(0)) or level
    return (core, level) if core else (list(words), "")


def _as_initials(tokens: Sequence[Token]) -> str:
    """Return the letters of an alias that is nothing but capitals (LES, L.E.S.), else ""."""
    raw = "".join(token.raw for token in tokens)
    single = len(tokens) == 1 or all(len(token.raw) == 1 for token in tokens)
    return raw.casefold() if single and raw.isupper() and len(raw) <= _MOST_ALIAS_INITIALS else ""


def _initials(tokens: Sequence[Token]) -> Iterator[str]:
    words = [token.word for token in tokens if token.word not in _ARTICLES and token.word not in ("of", "de")]
    whole = "".join(word[0] for word in words)
    for letters in (whole, "" if "school" in words else f"{whole}s"):
        if _FEWEST_INITIALS <= len(letters) <= _MOST_INITIALS:
            yield letters


def edits_in(name: str) -> int:
    """Return how many slips a name of this length may have."""
    return 0 if len(name) < _ONE_EDIT else 1 if len(name) < _TWO_EDITS else 2


def may_stand_alone(name: str, written: str, words: int, slips: int) -> bool:
    """Tell whether a name with slips is unlike enough to any other word that nothing else has to say it is a school."""
    if slips > 1 or len(name) < _SHORTEST_ALONE:
        return False
    return words > 1 or (name[-1] == written[-1] and not is_common(written))


def distance(one: str, other: str) -> int:
    """Return how many slips lie between two words (optimal string alignment)."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]
