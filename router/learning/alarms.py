"""Whether people would be told at once of labelled messages: by the words, or by what a model learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from classifiers._text import readings
from router.records import Content
from router.routing.urgent import Urgent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.interfaces import Classifier, Example

_FIELDS = ("subject", "body", "language", "topic", "medium")


def alarm_of(classifier: Classifier) -> Callable[[Mapping[str, Any]], bool]:
    """Return what answers for a row `{"subject", "body", "language", "topic", "medium" or "channel"}`."""
    step = Urgent(lambda: classifier, readings)

    def alarms(row: Mapping[str, Any]) -> bool:
        subject, text, language, topic, medium = (str(row.get(name) or "") for name in _FIELDS)
        content = Content(subject=subject, text=text, language=language, topic=topic)
        return bool(step.reasons([(content, medium or str(row.get("channel") or ""))])[0])

    return alarms


def missed(classifier: Classifier, examples: Sequence[Example]) -> set[int]:
    """Return the numbers of the examples that people are to be told of at once, and wouldn't be."""
    step = Urgent(lambda: classifier, readings)
    urgent = [number for number, example in enumerate(examples) if example.alarming]
    said = [examples[number].input for number in urgent]
    contents = [
        (Content(subject=each.subject, text=each.body, language=each.language, topic=each.topic), each.medium)
        for each in said
    ]
    return {number for number, reason in zip(urgent, step.reasons(contents), strict=True) if not reason}
