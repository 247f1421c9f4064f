"""What is counted of each answer of the model, for `router.learning.drift`. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from classifiers._ngrams import words
from classifiers._text import prepare
from router.records import Reason
from router.routing.route import intended
from router.store.codec import content_from_json
from router.store.decisions import to_decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from zoneinfo import ZoneInfo

    from sqlalchemy import Row

    from router.records import Decision
    from router.store.drift import Key

ASKED, ABSTAINED, DOUBT, WORDS, UNKNOWN = "asked", "abstained", "doubt", "words", "unknown"
LABEL, ROUTED = "label", "routed"  # by name: what the model put first, and where its messages went


def count(rows: Iterable[Row[Any]], zone: ZoneInfo, knows: Callable[[str], bool] | None) -> dict[Key, float]:
    """Return sums by the district's day and the model, of decisions with their messages.

    `knows` tells whether the model has met a word in training; None if it can't say.
    """
    sums: defaultdict[Key, float] = defaultdict(float)
    for row in rows:
        decision = to_decision(row)
        departments, reason = intended(decision)
        prediction = decision.prediction
        if prediction is None or not prediction.ranking or reason not in {Reason.MODEL, Reason.ABSTAINED}:
            continue
        day, model = decision.decided_at.astimezone(zone).date(), prediction.model[:64]
        label, confidence = prediction.likely[0]
        sums[day, model, ASKED, ""] += 1
        sums[day, model, DOUBT, ""] += 1 - confidence
        sums[day, model, LABEL, label[:64]] += 1
        if reason is Reason.ABSTAINED:
            sums[day, model, ABSTAINED, ""] += 1
        elif _sent(decision):
            sums[day, model, ROUTED, departments[0][:64]] += 1
        if knows is not None:
            said = said_words(row)
            sums[day, model, WORDS, ""] += len(said)
            sums[day, model, UNKNOWN, ""] += sum(not knows(word) for word in said)
    return sums


def _sent(decision: Decision) -> bool:
    return decision.reason is Reason.MODEL  # what was only observed, its department never saw


def said_words(row: Row[Any]) -> list[str]:
    """Return the words of a message as the model is given them, but for numbers, which are nearly always new."""
    model_input = prepare(content_from_json(row.content), row.medium)
    return [word for field in words(model_input) for word in field if word.isalpha()]
