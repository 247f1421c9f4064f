"""The operator's own rules, in order. Regular expressions run in linear time (RE2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import re2

from router.records import Reason
from router.routing.answer import Answer, Route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.records import Message

_EXACT = ("channel", "medium", "school", "language")
_PATTERNS = ("sender", "recipient", "subject", "text", "topic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule of the configuration; all its conditions must hold (see `config.schema.Condition`)."""

    name: str
    to: str
    conditions: Mapping[str, str]


class Rules:
    """The first rule whose conditions all hold decides."""

    name = "rules"

    def __init__(self, rules: Sequence[Rule], school_of: Callable[[Message], str]) -> None:
        self._rules = [(rule, _compile(rule.conditions)) for rule in rules]
        self._school_of = school_of

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Route what a rule names."""
        return [self._one(message) for message in batch]

    def _one(self, message: Message) -> Answer:
        for rule, tests in self._rules:
            if all(test(value_of(message, name, self._school_of)) for name, test in tests):
                return Route(department=rule.to, reason=Reason.RULE, detail=rule.name)
        return None


def value_of(message: Message, name: str, school_of: Callable[[Message], str]) -> str:
    """Return what a condition looks at."""
    content = message.content
    values = {
        "channel": message.channel,
        "medium": message.medium.value,
        "language": content.language,
        "sender": content.sender,
        "recipient": content.recipient,
        "subject": content.subject,
        "text": f"{content.subject}\n{content.text}",
        "topic": content.topic,
    }
    return school_of(message) if name == "school" else values[name]


def _compile(conditions: Mapping[str, str]) -> list[tuple[str, Callable[[str], bool]]]:
    tests: list[tuple[str, Callable[[str], bool]]] = []
    for name, wanted in conditions.items():
        if name in _EXACT:
            tests.append((name, lambda value, wanted=wanted: value == wanted))  # type: ignore[misc]  # a default binds
        elif name in _PATTERNS:
            pattern = compile_pattern(wanted)
            tests.append((name, lambda value, pattern=pattern: pattern.search(value) is not None))  # type: ignore[misc]  # as above
    return tests


def compile_pattern(pattern: str) -> re2.Regexp:
    """Return a case-insensitive pattern; raise `re2.error` if it isn't one."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    return re2.compile(pattern, options)
