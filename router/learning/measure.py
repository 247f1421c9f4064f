"""Ask models about labelled messages, so that the gate and the registry know how good they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers._calibrate import Trial, min_confidence_for, operating_points
from classifiers._corpus import OUT_OF_SCOPE
from classifiers._evaluate import evaluate
from router.learning.alarms import alarm_of, missed
from router.learning.dataset import is_held_out, text_of
from router.learning.gate import Answered
from router.learning.lessons import WORDS
from router.learning.verdicts import Replayed
from router.routing.policy import Thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.interfaces import Classifier, Example
    from router.learning.dataset import Dataset
    from router.learning.train import Champion
    from router.records import Prediction

_BATCH = 256  # messages that a model is asked about at once


def ask(classifier: Classifier, rows: Sequence[Example]) -> list[Prediction]:
    """Return a model's predictions for rows."""
    inputs = [row.input for row in rows]
    starts = range(0, len(inputs), _BATCH)
    return [answer for start in starts for answer in classifier.predict(inputs[start : start + _BATCH])]


def answered(
    classifier: Classifier,
    meta: Mapping[str, Any],
    held_out: Sequence[Example],
    strangers: Sequence[Example],
    target_error: float,
) -> Answered:
    """Return what a model with this metadata says of held-out messages, and of those that are no department's."""
    return Answered(
        held_out=ask(classifier, held_out),
        strangers=ask(classifier, strangers),
        thresholds=_limits(meta, target_error),
        unalarmed=missed(classifier, [*held_out, *strangers]),
    )


def _limits(meta: Mapping[str, Any], target_error: float) -> Thresholds:
    min_confidence, min_score = min_confidence_for(meta, target_error)
    return Thresholds(min_confidence=min_confidence, min_score=min_score)


def figures(
    classifier: Classifier, meta: Mapping[str, Any], rows: Sequence[Example], target_error: float
) -> dict[str, Any]:
    """Return the figures of `signpost evaluate` on rows (out-of-scope ones too), at the thresholds for a target."""
    limits = min_confidence_for(meta, target_error)
    found = evaluate(classifier, [_row(row) for row in rows], *limits, alarm_of(classifier))
    return {**found, "target_error": target_error}


def _row(example: Example) -> dict[str, Any]:
    """Return an example as `evaluate` takes it."""
    said = example.input
    return {
        "subject": said.subject,
        "body": said.body,
        "language": said.language,
        "topic": said.topic,
        "medium": said.medium,
        "department": example.department,
        "urgent": bool(example.urgent),
    }


def points_of(classifier: Classifier, held_out: Sequence[Example], strangers: Sequence[Example]) -> list[list[float]]:
    """Read operating points off held-out messages, for a classifier type that leaves its thresholds to us."""
    everything = ask(classifier, [*held_out, *strangers])
    inside = np.arange(len(everything)) < len(held_out)
    right = [answer.ranking[0][0] == row.department for answer, row in zip(everything, held_out, strict=False)]
    trial = Trial(
        confidence=np.array([answer.likely[0][1] for answer in everything]),
        score=np.array([answer.score for answer in everything]),
        in_scope=inside,
        right=np.array([*right, *([False] * len(strangers))], dtype=bool),
        weight=np.ones(len(everything)),
    )
    return operating_points(trial)


def replay(champion: Champion | None, challenger: Champion, dataset: Dataset, target_error: float) -> Replayed:
    """Show every misroute that people have confirmed, or an audit has found, to both models; count what became of it.

    A message that is no department's is right where it would be left to a person.
    """
    misroutes = [
        row
        for row in (*dataset.examples, *dataset.out_of_scope)
        if row.source in WORDS and text_of(row.input) in dataset.misrouted
    ]
    after = _right(challenger, misroutes, target_error)
    before = _right(champion, misroutes, target_error) if champion else np.zeros(len(misroutes), dtype=bool)
    return Replayed(
        n=len(misroutes),
        fixed=int((after & ~before).sum()),
        still_right=int((after & before).sum()),
        still_wrong=int((~after & ~before).sum()),
        newly_wrong=int((before & ~after).sum()),
        held_out=sum(map(is_held_out, misroutes)),
    )


def _right(model: Champion, rows: Sequence[Example], target_error: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    classifier, meta = model
    answers = ask(classifier, rows)
    said = Answered(held_out=answers, thresholds=_limits(meta, target_error))
    right = said.right(rows) | ~said.routed & np.array([row.department == OUT_OF_SCOPE for row in rows], dtype=bool)
    return np.asarray(right, dtype=bool)
