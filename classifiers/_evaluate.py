"""Measure a model on labelled rows: the figures of `signpost evaluate` and of the gate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers._corpus import OUT_OF_SCOPE
from classifiers._figures import aurc, auroc, bootstrap, expected_calibration_error, first_choice_figures, put_share
from classifiers._text import from_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from router.interfaces import Classifier, ModelInput

    Row = Mapping[str, Any]
    Measure = Callable[[NDArray[Any], NDArray[Any]], float]

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said about one row. `chosen` is the row's own label where another one is acceptable too."""

    department: str
    language: str
    chosen: str
    confidence: float
    routed: bool
    urgent: bool
    aware: bool = False  # whether the confidence counts in that the message may be out of scope

    @property
    def right(self) -> bool:
        """Whether the first choice is right; never for an out-of-scope row."""
        return self.chosen == self.department


def evaluate(
    classifier: Classifier,
    rows: Sequence[Row],
    min_confidence: float,
    min_score: float,
    is_urgent: Callable[[Row], bool] | None = None,
) -> dict[str, Any]:
    """Return the figures of `signpost evaluate` (docs: CONTRACT section 2), each with its 95 % interval.

    Rows are `{"subject", "body", "channel", "language", "department", "also_acceptable"?, "urgent"?}`. A message is
    routed if confidence and score both reach their least values. `accuracy` and `macro_f1` take the first choice of
    in-scope rows; `coverage` and `selective_accuracy` all rows, a routed out-of-scope row being wrong. So do `auroc`,
    how well the confidence tells right from wrong, and `aurc`, the share of wrong answers if the surest are routed, in
    the mean over every coverage. `ece`, how far the confidence is from how often it is right, takes the rows it speaks
    of: all, or the in-scope ones if it leaves aside that a message may be out of scope. A figure without rows behind it
    is None. `is_urgent` answers for a row whether it would be alerted; without it there is no
    `urgent`. Intervals stand beside the figures under `intervals`.
    """
    return figures_of(answers_of(classifier, rows, min_confidence, min_score), rows, is_urgent)


def figures_of(
    answers: Sequence[Answer], rows: Sequence[Row], is_urgent: Callable[[Row], bool] | None = None
) -> dict[str, Any]:
    """Return the same figures of answers that were given already."""
    inside = [answer for answer in answers if answer.department != OUT_OF_SCOPE]
    figures = _first_choices(inside)
    figures |= {"per_department": _per_department(figures["per_department"], answers)}
    _put_routing(figures, answers)
    figures |= _calibration(answers, figures["intervals"])
    figures["n"] = len(answers)
    figures["out_of_scope"] = _out_of_scope(answers)
    figures["per_language"] = {
        language: _language([answer for answer in answers if answer.language == language])
        for language in sorted({answer.language for answer in answers})
    }
    if is_urgent is not None:
        figures["urgent"] = _urgent([answer.urgent for answer in answers], [bool(is_urgent(row)) for row in rows])
    return figures


def answers_of(
    classifier: Classifier,
    rows: Sequence[Row],
    min_confidence: float,
    min_score: float,
    stricter: Mapping[str, float] = MappingProxyType({}),
) -> list[Answer]:
    """Return what the model says about each row, and whether that would be routed.

    `stricter` holds the least confidence of labels that ask for more.
    """

    def least(label: str) -> float:
        return max(min_confidence, stricter.get(label, 0.0))

    return list(_answers(classifier, rows, least, min_score))


def _answers(
    classifier: Classifier, rows: Sequence[Row], least: Callable[[str], float], min_score: float
) -> Iterable[Answer]:
    for row, prediction in zip(rows, _predictions(classifier, [from_row(row) for row in rows]), strict=True):
        first, confidence = prediction.likely[0]
        own = str(row["department"])
        yield Answer(
            department=own,
            language=str(row.get("language") or ""),
            chosen=own if first in (row.get("also_acceptable") or ()) and own != OUT_OF_SCOPE else first,
            confidence=confidence,
            routed=confidence >= least(first) and prediction.score >= min_score,
            urgent=bool(row.get("urgent")),
            aware=prediction.confidence is not None,
        )


def _predictions(classifier: Classifier, inputs: Sequence[ModelInput]) -> list[Any]:
    starts = range(0, len(inputs), _BATCH)
    return [answer for start in starts for answer in classifier.predict(inputs[start : start + _BATCH])]


def _first_choices(inside: Sequence[Answer]) -> dict[str, Any]:
    return first_choice_figures([answer.department for answer in inside], [answer.chosen for answer in inside])


def _put_routing(figures: dict[str, Any], answers: Sequence[Answer]) -> None:
    """Put `coverage` and `selective_accuracy`."""
    routed = [answer for answer in answers if answer.routed]
    put_share(figures, "coverage", len(routed), len(answers))
    put_share(figures, "selective_accuracy", sum(answer.right for answer in routed), len(routed))


def _per_department(first: dict[str, Any], answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the first-choice figures of each department with those of what would be sent to it."""
    for name, figures in first.items():
        routed = [answer for answer in answers if answer.routed and answer.chosen == name]
        figures["routed"] = len(routed)
        put_share(figures, "routed_precision", sum(answer.right for answer in routed), len(routed))
    return first


def _calibration(answers: Sequence[Answer], intervals: dict[str, Any]) -> dict[str, Any]:
    spoken_of = [answer for answer in answers if answer.aware or answer.department != OUT_OF_SCOPE]
    figures: dict[str, Any] = {}
    for name, measure, rows in (
        ("ece", expected_calibration_error, spoken_of),
        ("auroc", auroc, answers),
        ("aurc", aurc, answers),
    ):
        confidence = np.array([answer.confidence for answer in rows])
        right = np.array([answer.right for answer in rows], dtype=bool)
        intervals[name] = bootstrap(partial(_of_rows, measure, confidence, right), len(rows))
        figures[name] = round(measure(confidence, right), 4) if rows else None
    return figures


def _of_rows(measure: Measure, confidence: NDArray[Any], right: NDArray[Any], rows: NDArray[Any]) -> float:
    return measure(confidence[rows], right[rows])


def _out_of_scope(answers: Sequence[Answer]) -> dict[str, Any]:
    """Return the share of out-of-scope rows that were abstained on."""
    outside = [answer for answer in answers if answer.department == OUT_OF_SCOPE]
    figures: dict[str, Any] = {"n": len(outside)}
    put_share(figures, "recall", sum(not answer.routed for answer in outside), len(outside))
    return figures


def _language(answers: Sequence[Answer]) -> dict[str, Any]:
    inside = [answer for answer in answers if answer.department != OUT_OF_SCOPE]
    figures: dict[str, Any] = {"n": len(answers)}
    put_share(figures, "accuracy", sum(answer.right for answer in inside), len(inside))
    _put_routing(figures, answers)
    return figures


def _urgent(actual: Sequence[bool], alerted: Sequence[bool]) -> dict[str, Any]:
    both = sum(is_so and said for is_so, said in zip(actual, alerted, strict=True))
    figures: dict[str, Any] = {"n": sum(actual)}
    put_share(figures, "recall", both, sum(actual))
    put_share(figures, "precision", both, sum(alerted))
    return figures
