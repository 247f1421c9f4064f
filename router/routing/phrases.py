"""Find phrases in what people wrote, whatever its case, accents, spelling and spacing, in linear time.

A word list is a file such as `urgent_words.yaml`, whose head says how phrases are written; here it becomes one
linear-time expression per category.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import TYPE_CHECKING, Any

import re2
from ruamel.yaml import YAML

from router.routing.folding import tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_TEXT = 20_000  # characters of each field: its beginning and its end, where an alarm stands
_END = 4_000  # of them
_MAX_SHOWN = 60  # characters of the words named in a remark
_NEGATION_REACH = 2  # words before a phrase
_UNLESS_REACH = 3
_WORD = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*\*?")
_NEVER = "[^\\x00-\\xff]"
_LOOK_BACK = 60  # bytes before a phrase that can hold the words of the reaches
_CLAUSE = 80  # bytes on either side of a phrase in which its clause ends
_MOST_REMEMBERED, _LONGEST_REMEMBERED = 20_000, 24  # words; characters of one
_MEMORY = 16 << 20  # bytes RE2 may use for one expression; with less it rebuilds its states more often
_ENDINGS = ("", "s", "ed", "ing", "er")
_MIXED = re.compile(r"[a-z]+(?:[013457]+[a-z]+)+")
_DIGITS = str.maketrans("013457", "oieast")


@dataclass(frozen=True, slots=True)
class Found:
    """A category that a phrase speaks of, and the phrase as it stands in the folded text.

    `told` are the different words of all its phrases there: few of them may stand there by chance. `grave` categories
    are to be believed all the same, and so are phrases that name whom it befalls.
    """

    category: str
    words: str
    told: frozenset[str] = frozenset()
    grave: bool = False

    def __str__(self) -> str:
        """Return the category with the words, such as "child missing (never came home)"."""
        return f"{self.category} ({self.words[:_MAX_SHOWN].rstrip()})"


@cache
def shipped(name: str) -> Phrases:
    """Read and compile a word list of this folder, once per process (they never change)."""
    source = files("router.routing").joinpath(name).read_text(encoding="utf-8")
    return Phrases(YAML(typ="safe").load(source))


class Phrases:
    """The compiled phrases of one word list."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._spelling: dict[str, str] = {}
        for words in data.get("spelling", {}).values():
            self._spelling.update(words)
        groups = _grown(data.get("groups", {}))
        self._known = _vocabulary(data)
        self._negation = frozenset(_every(data.get("negation", {})))
        self._doubt = frozenset(_every(data.get("doubt", {})))
        self._cry = frozenset(_every(data.get("cry", {})))
        self._grave = frozenset(data.get("grave", ()))
        self._whom = frozenset(_every(data.get("whom", {})))
        self._subject = frozenset(_every(data.get("subject", {})))
        self._turn = _compiled(_every(data.get("turn", {})), groups)
        self._present = _compiled(_every(data.get("present", {})), groups)
        self._innocent = _compiled(_every(data.get("innocent", {})), groups)

        def of(key: str, name: str) -> list[str]:
            return _every(data.get(key, {}).get(name, {}))

        self._written = _Written(self._word)
        self._categories = [
            _Category(
                name=name,
                wanted=_compiled(_every(phrases), groups),
                settled=_compiled(of("settled", name), groups),
                past=_compiled(of("past", name), groups),
                unless=frozenset(of("unless", name)),
            )
            for name, phrases in data["wanted"].items()
        ]

    def find(self, *fields: str) -> Found | None:
        """Return the first category that a phrase speaks of. Linear in the length."""
        return next(self.find_all(*fields), None)

    def find_all(self, *fields: str) -> Iterator[Found]:
        """Yield every category that a phrase speaks of, once, in the order of the list."""
        text = self.folded(*fields)
        if not any(category.wanted.search(text) for category in self._categories):
            return
        text = _masked(text, self._innocent)
        for category in self._categories:
            found = self._found(category, text)
            if found:
                yield found

    def folded(self, *fields: str) -> bytes:
        """Return the fields as plain words: no case, accents or apostrophes, texting spelling undone, " . " at ends."""
        several = dict.fromkeys(_ends(field) for field in fields if field)
        folded = (" ".join(map(self._written.__getitem__, tokens_of(field, self._known))) for field in several)
        return (" " + " . ".join(folded) + " . ").encode("ascii")

    def _word(self, token: str) -> str:
        if token.isalpha():
            return self._spelling.get(token, token)
        if not token.isalnum():
            return _mark(token)
        if _MIXED.fullmatch(token):
            token = token.translate(_DIGITS)
        return self._spelling.get(token, token)

    def _found(self, category: _Category, text: bytes) -> Found | None:
        dangers = list(self._stated(category.wanted, text, category.unless, category.past))
        if not dangers:
            return None
        settled = list(self._stated(category.settled, text, self._doubt))
        if settled and settled[-1].start() >= self._turned(text, dangers[-1]):
            return None
        phrases = [str(danger.group().decode("ascii")) for danger in dangers]
        told = frozenset(word for phrase in phrases for word in phrase.split() if word.isalnum())
        grave = category.name in self._grave or not told.isdisjoint(self._whom)
        return Found(category.name, phrases[0].strip(" .,"), told, grave)

    def _turned(self, text: bytes, match: Any) -> int:
        """Return where a match's part of its sentence begins: what settles others often stands before it."""
        before, _after = _clause(text, match)
        return int(match.start()) - len(self._since_turn(before, match))

    def _stated(self, wanted: Any, text: bytes, unless: frozenset[str], past: Any = None) -> Iterator[Any]:
        """Yield the matches that are neither denied nor only supposed nor long past."""
        for match in wanted.finditer(text):
            before = text[max(0, match.start() - _LOOK_BACK) : match.start()].decode("ascii")
            following = match.group().split(maxsplit=1)[0].decode("ascii")
            if not self._denied(before, following, unless) and not (past and self._is_past(past, text, match)):
                yield match

    def _denied(self, before: str, following: str, unless: frozenset[str]) -> bool:
        """Say whether the words before a phrase, within its clause, deny or suppose it."""
        clause = re.split("[.,#]", before)[-1].split()
        near = ["", *clause, following][-_NEGATION_REACH - 2 :]
        denied = any(
            word in self._negation and not (word == "no" and (near[at] in self._cry or near[at + 2] in self._subject))
            for at, word in enumerate(near[1:-1])
        )
        return denied or not unless.isdisjoint(clause[-_UNLESS_REACH:])

    def _is_past(self, past: Any, text: bytes, match: Any) -> bool:
        """Say whether a phrase tells of the past, up to where its sentence turns to the present."""
        before, after = _clause(text, match)
        here = bytes(match.group())
        turn = self._turn.search(after)
        after = after[: turn.start()] if turn else after
        if self._present.search(here + after):
            return False
        return bool(past.search(b" " + self._since_turn(before, match) + here + after))

    def _since_turn(self, before: bytes, match: Any) -> bytes:
        """Return what stands before a match since the last turn of its sentence, which may reach into the match."""
        turns = [turn for turn in self._turn.finditer(before + match.group()) if turn.start() < len(before)]
        return before[turns[-1].end() :] if turns else before


class _Written(dict[str, str]):
    """How each word or mark is written in the folded text; the first to come are remembered."""

    def __init__(self, word: Callable[[str], str]) -> None:
        super().__init__()
        self._word = word

    def __missing__(self, token: str) -> str:
        """Return how a word is written that isn't remembered."""
        written = self._word(token)
        if len(self) < _MOST_REMEMBERED and len(token) <= _LONGEST_REMEMBERED:
            self[token] = written
        return written


@dataclass(frozen=True, slots=True)
class _Category:
    name: str
    wanted: Any  # re2 publishes no types
    settled: Any
    past: Any
    unless: frozenset[str]


def _ends(field: str) -> str:
    return field if len(field) <= MAX_TEXT else f"{field[: MAX_TEXT - _END]}\n\n{field[-_END:]}"


def _clause(text: bytes, match: Any) -> tuple[bytes, bytes]:
    """Return what stands before and after a match in its sentence, as far as that is near."""
    before = text[max(0, match.start() - _CLAUSE) : match.start()]
    after = text[match.end() : match.end() + _CLAUSE]
    start, end = max(before.rfind(b"."), before.rfind(b"#")) + 1, after.find(b".")
    return before[start:], after if end < 0 else after[:end]


def _mark(sign: str) -> str:
    return "," if sign in ',()"—–' else "."


def _every(by_language: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the entries of all languages: families mix them, so every phrase is looked for in every message."""
    return list(chain.from_iterable(by_language.values()))


def _vocabulary(data: Mapping[str, Any]) -> frozenset[str]:
    """Return the words that phrases, groups and spellings are made of, with the commonest endings where any may be."""
    phrases = chain.from_iterable(map(_every, data["wanted"].values()))
    spelled = chain.from_iterable(words for words in data.get("spelling", {}).values())
    words = re.findall(r"[a-z]+\*?", _plain(" ".join([*phrases, *data.get("groups", {}).values(), *spelled])))
    return frozenset(word.rstrip("*") + end for word in words for end in (_ENDINGS if word.endswith("*") else ("",)))


def _plain(phrase: str) -> str:
    decomposed = unicodedata.normalize("NFKD", phrase.lower())
    return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")


def _grown(groups: Mapping[str, str]) -> dict[str, str]:
    """Return each group as an expression; a group may use those before it."""
    grown: dict[str, str] = {}
    for name, members in groups.items():
        grown[name] = "(?:" + "|".join(_expression(" ".join(m.split()), grown) for m in members.split("|")) + ")"
    return grown


def _expression(phrase: str, groups: Mapping[str, str]) -> str:
    """Return a phrase as an expression over folded words, each followed by one space."""
    return "".join(_piece(token, groups) for token in _plain(phrase).split())


def _piece(token: str, groups: Mapping[str, str]) -> str:
    if token.startswith("..."):
        return f"(?:[a-z0-9,]+ ){{0,{token[3:] or 4}}}"
    optional = "?" if token.endswith("?") else ""
    either = "|".join(_word(word, groups) for word in token.removesuffix("?").split("|"))
    return f"(?:{either}){optional}"


def _word(word: str, groups: Mapping[str, str]) -> str:
    if word == ".":
        return "[.,] "
    if word.startswith("{"):
        return groups[word.strip("{}")]
    if not _WORD.fullmatch(word):
        raise ValueError(f"'{word}' is not a word")
    return word.replace("_", " ").replace("*", "[a-z0-9]*") + " "


def _compiled(phrases: Iterable[str], groups: Mapping[str, str]) -> Any:
    options = re2.Options()
    options.max_mem = _MEMORY
    options.encoding = re2.Options.Encoding.LATIN1
    options.never_capture = True
    options.log_errors = False
    expressions = [_expression(phrase, groups) for phrase in phrases] or [_NEVER]
    return re2.compile((r"\b(?:" + "|".join(expressions) + ")").encode("ascii"), options)


def _masked(text: bytes, innocent: Any) -> bytes:
    """Replace innocent phrases by marks of the same length that no phrase runs across."""
    return b"".join(_pieces(text, innocent))


def _pieces(text: bytes, innocent: Any) -> Iterator[bytes]:
    end = 0
    for match in innocent.finditer(text):
        yield text[end : match.start()]
        yield b"# "
        end = match.end()
    yield text[end:]
