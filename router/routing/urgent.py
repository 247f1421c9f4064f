"""Mark messages about danger to someone, by phrases in English and Spanish, before and apart from any model.

The phrases stand in `urgent_words.yaml`; here they become one linear-time expression per category.
"""

from __future__ import annotations

import asyncio
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import TYPE_CHECKING, Any

import re2
from ruamel.yaml import YAML

from router.routing.answer import Answer, MarkUrgent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from router.records import Message

MAX_TEXT = 20_000  # characters of each field; an alarm stands near the beginning
_MAX_SHOWN = 60  # characters of the words named in the remark
_NEGATION_REACH = 2  # words before a phrase
_UNLESS_REACH = 3
_TOKENS = re.compile(r"[a-z0-9]+|[.!?;:…]+(?=\s|$)|[,()\"—–]|\n\s*\n")
_APOSTROPHES = str.maketrans(dict.fromkeys("'’‘`´ʼ"))
_WORD = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*\*?")
_UNSEEN = frozenset({"Mn", "Cf"})  # accents after decomposition; zero-width characters
_NEVER = "[^\\x00-\\xff]"
_LOOK_BACK = 60  # bytes before a phrase that can hold the words of the reaches
_MEMORY = 16 << 20  # bytes RE2 may use for one expression; with less it rebuilds its states more often


class Urgent:
    """Remarks on urgent messages; never ends the list of steps."""

    name = "urgent"

    def __init__(self) -> None:
        self._phrases = shipped_phrases()

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Mark each message that speaks of danger, with the category and the words that said so."""
        return await asyncio.to_thread(lambda: [self._one(message) for message in batch])  # hostile text: 60 ms each

    def _one(self, message: Message) -> Answer:
        content = message.content
        reason = self._phrases.reason(content.subject, content.text, content.html_text)
        return MarkUrgent(reason) if reason else None


def urgent_reason(subject: str, text: str, html_text: str = "") -> str:
    """Return why a message is urgent, such as "child missing (never came home)", or "" if it isn't."""
    return shipped_phrases().reason(subject, text, html_text)


@cache
def shipped_phrases() -> Phrases:
    """Read and compile the shipped phrases, once per process (they never change)."""
    source = files("router.routing").joinpath("urgent_words.yaml").read_text(encoding="utf-8")
    return Phrases(YAML(typ="safe").load(source))


class Phrases:
    """The compiled phrases of one word list (the file's head says how phrases are written)."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._spelling: dict[str, str] = {}
        for words in data["spelling"].values():
            self._spelling.update(words)
        groups = _grown(data["groups"])
        self._negation = frozenset(_every(data["negation"]))
        self._doubt = frozenset(_every(data["doubt"]))
        self._innocent = _compiled(_every(data["innocent"]), groups)
        self._categories = [
            _Category(
                name=name,
                wanted=_compiled(_every(phrases), groups),
                settled=_compiled(_every(data["settled"].get(name, {})), groups),
                unless=frozenset(_every(data["unless"].get(name, {}))),
            )
            for name, phrases in data["urgent"].items()
        ]

    def reason(self, *fields: str) -> str:
        """Return the first category that a phrase speaks of, with the words, or "". Linear in the length."""
        text = self.folded(*fields)
        if not any(category.wanted.search(text) for category in self._categories):
            return ""
        text = _masked(text, self._innocent)
        for category in self._categories:
            words = self._found(category, text)
            if words:
                return f"{category.name} ({words[:_MAX_SHOWN].rstrip()})"
        return ""

    def folded(self, *fields: str) -> bytes:
        """Return the fields as plain words: no case, accents or apostrophes, texting spelling undone, " . " at ends."""
        several = dict.fromkeys(field[:MAX_TEXT] for field in fields if field)
        return (" " + " . ".join(map(self._words, several)) + " ").encode("ascii")

    def _words(self, field: str) -> str:
        plain = field.translate(_APOSTROPHES).lower()
        if not plain.isascii():
            plain = "".join(
                char for char in unicodedata.normalize("NFKD", plain) if unicodedata.category(char) not in _UNSEEN
            )
        spelling = self._spelling
        return " ".join(
            [spelling.get(token, token) if token.isalnum() else _mark(token) for token in _TOKENS.findall(plain)]
        )

    def _found(self, category: _Category, text: bytes) -> str:
        words = self._stated(category.wanted, text, category.unless)
        return "" if words and self._stated(category.settled, text, self._doubt) else words

    def _stated(self, wanted: Any, text: bytes, unless: frozenset[str]) -> str:
        """Return the first phrase that is neither denied nor only supposed, or ""."""
        for match in wanted.finditer(text):
            before = text[max(0, match.start() - _LOOK_BACK) : match.start()].decode("ascii")
            if not self._denied(before, unless):
                return str(match.group().decode("ascii")).strip(" .,")
        return ""

    def _denied(self, before: str, unless: frozenset[str]) -> bool:
        """Say whether the words before a phrase, within its clause, deny or suppose it."""
        clause = re.split("[.,#]", before)[-1].split()
        return not self._negation.isdisjoint(clause[-_NEGATION_REACH:]) or not unless.isdisjoint(
            clause[-_UNLESS_REACH:]
        )


@dataclass(frozen=True, slots=True)
class _Category:
    name: str
    wanted: Any  # re2 publishes no types
    settled: Any
    unless: frozenset[str]


def _mark(sign: str) -> str:
    return "," if sign in ',()"—–' else "."


def _every(by_language: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the entries of all languages: families mix them, so every phrase is looked for in every message."""
    return list(chain.from_iterable(by_language.values()))


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
