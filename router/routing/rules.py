"""The operator's own rules, in order. Regular expressions run in linear time (RE2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

import re2

from router.records import Reason
from router.routing.answer import Answer, Route
from router.routing.turns import one_by_one

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from router.records import Message

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ", "'"))  # telephones write "don’t"

_PATTERNS: Mapping[str, Callable[[Message], Sequence[str]]] = {  # what is searched, each by itself
    "sender": lambda message: (message.content.sender,),
    "recipient": lambda message: _recipients(message),  # noqa: PLW0108 -- it stands below
    "subject": lambda message: (message.content.subject,),
    "text": lambda message: (message.content.subject, message.content.text),
    "topic": lambda message: (message.content.topic,),
    "list_id": lambda message: ("\n".join(message.content.headers.get("list-id", ())),),
}
_CHECKS: Mapping[str, Callable[[Message, Sequence[str]], bool]] = {
    "channel": lambda message, wanted: message.channel in wanted,
    "medium": lambda message, wanted: message.medium.value in wanted,
    "language": lambda message, wanted: message.content.language in wanted,
    "sender_in": lambda message, wanted: _is_among(message.content.sender, wanted),
    "recipient_in": lambda message, wanted: any(_is_among(each, wanted) for each in _recipients(message)),
    "attachment": lambda message, wanted: any(
        _is_of_kind(each.name, each.content_type, wanted) for each in message.content.attachments
    ),
}


_Test = Callable[["Message", Callable[[], str]], bool]
"""Tells whether a condition holds for a message; the other argument tells its school."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule of the configuration (see `config._rules.Rule`).

    `conditions` are lists by key, of which one entry has to fit each; below the key `not` are those that must not all
    hold.
    """

    name: str
    to: str
    conditions: Mapping[str, Any]


class Rules:
    """The first rule whose conditions all hold decides. `zone` is where the times and days of the rules are meant."""

    name = "rules"

    def __init__(self, rules: Sequence[Rule], school_of: Callable[[Message], str], zone: tzinfo = UTC) -> None:
        self._rules = [(rule, _all_of(rule.conditions, zone)) for rule in rules]
        self._school_of = school_of

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Route what a rule names."""
        if not self._rules:
            return [None] * len(batch)
        # A long hostile text: 20 ms for its school.
        return await one_by_one(self._one, batch, lambda message: message.content)

    def _one(self, message: Message) -> Answer:
        school = cache(lambda: self._school_of(message))  # once, however many rules ask
        for rule, fits in self._rules:
            if fits(message, school):
                return Route(department=rule.to, reason=Reason.RULE, detail=rule.name)
        return None


def _all_of(conditions: Mapping[str, Any], zone: tzinfo) -> _Test:
    tests = [_test(name, wanted, zone) for name, wanted in conditions.items()]
    return lambda message, school: all(test(message, school) for test in tests)


def _test(name: str, wanted: Any, zone: tzinfo) -> _Test:
    """Return the test of one condition; raise KeyError for one that there isn't."""
    if name == "not":
        unwanted = _all_of(wanted, zone)
        return lambda message, school: not unwanted(message, school)
    if name == "school":
        return lambda _message, school: school() in wanted
    of_message = _of_message(name, wanted, zone)
    return lambda message, _school: of_message(message)


def _of_message(name: str, wanted: Any, zone: tzinfo) -> Callable[[Message], bool]:
    """Return the test of a condition on a message alone."""
    if name in _PATTERNS:
        return _found(_PATTERNS[name], [compile_pattern(pattern) for pattern in wanted])
    days = frozenset(day for each in wanted for day in _days(each)) if name == "days" else frozenset()
    placed: dict[str, Callable[[Message], bool]] = {
        "time": lambda message: _is_within(f"{message.received_at.astimezone(zone):%H:%M}", wanted),
        "days": lambda message: _DAYS[message.received_at.astimezone(zone).weekday()] in days,
    }
    if name in placed:
        return placed[name]
    check = _CHECKS[name]
    return lambda message: check(message, wanted)


def _found(texts_of: Callable[[Message], Sequence[str]], patterns: Sequence[re2.Regexp]) -> Callable[[Message], bool]:
    def fits(message: Message) -> bool:
        texts = [text.translate(_APOSTROPHES) for text in texts_of(message)]
        return any(pattern.search(text) for text in texts for pattern in patterns)

    return fits


def _is_of_kind(name: str, content_type: str, kinds: Sequence[str]) -> bool:
    """Tell whether a file is of one of some kinds: an ending (`pdf`) or a type (`application/pdf`, `image/*`)."""
    ending = name.rpartition(".")[2].lower()
    return any(fnmatchcase(content_type.lower(), kind) if "/" in kind else kind == ending for kind in kinds)


def _is_within(time: str, spans: Sequence[str]) -> bool:
    """Tell whether a time of day ("18:05") lies in one of some spans ("17:00-07:00"); a span's end is no part of it."""
    for span in spans:
        begin, _, end = span.partition("-")
        if begin <= time < end or (begin > end and not end <= time < begin):
            return True
    return False


def _days(days: str) -> Iterator[str]:
    """Yield the days of "sat" or "fri-mon"."""
    first, _, last = days.partition("-")
    at = _DAYS.index(first)
    yield first
    while last and _DAYS[at] != last:
        at = (at + 1) % len(_DAYS)
        yield _DAYS[at]


def _recipients(message: Message) -> Sequence[str]:
    return (message.content.recipient, *message.content.recipients)


def _is_among(address: str, wanted: Sequence[str]) -> bool:
    """Tell whether an address or number is one of those wanted, or in one of the domains wanted or below it."""
    address = address.casefold()
    if address in wanted:
        return True
    domain = address.rpartition("@")[2] if "@" in address else ""
    return bool(domain) and any(domain == each or domain.endswith(f".{each}") for each in wanted if "@" not in each)


def compile_pattern(pattern: str) -> re2.Regexp:
    """Return a pattern that ignores case and whose dot goes past a line's end; raise `re2.error` if it isn't one."""
    options = re2.Options()
    options.case_sensitive = False
    options.dot_nl = True  # mail programs wrap lines anywhere
    options.log_errors = False
    return re2.compile(pattern.translate(_APOSTROPHES), options)
