"""From a model's labels to a department, or to an honest "I don't know". Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.routing.hint import told, weighed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.records import Department, Prediction

_SUGGESTIONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Below one of the first two the model's answer isn't acted on; below the third the message is a stranger's."""

    min_confidence: float = 0.0
    min_score: float = float("-inf")
    stranger_score: float = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`department` is None when the policy abstains; `why` says so in a sentence."""

    department: str | None
    confidence: float
    suggestions: tuple[str, ...]
    why: str
    also: tuple[str, ...] = ()  # departments that get it, too


def choose(
    prediction: Prediction, departments: Sequence[Department], thresholds: Thresholds, chosen: str = ""
) -> Choice:
    """Add up the labels each department covers, take the best, and abstain where it isn't good enough.

    A label that no department covers competes for itself: if it wins, the district has no desk for this message.
    `chosen` is the department that somebody chose on a form (`router/routing/hint.py`).
    """
    desk_of = {label: department for department in departments for label in department.covers}
    totals: dict[str, float] = {}
    orphans: dict[str, float] = {}
    for label, probability in prediction.likely:
        desk = desk_of.get(label)
        if desk is None:
            orphans[label] = probability
        else:
            totals[desk.id] = totals.get(desk.id, 0.0) + probability
    hint = ""
    if chosen in totals:
        hint = told(chosen, totals[chosen])
        totals, orphans = weighed(totals, orphans, chosen)
    ranking = sorted(totals.items(), key=lambda item: -item[1])
    suggestions = tuple(desk for desk, _ in ranking[:_SUGGESTIONS])
    if not ranking:
        return Choice(department=None, confidence=0.0, suggestions=(), why="no department covers what the model knows")
    best, confidence = ranking[0]
    orphan = max(orphans, key=lambda label: orphans[label], default="")
    if orphan and orphans[orphan] > confidence:
        why = f"the likeliest topic is {orphan}, which no department covers"
    else:
        desk = next(department for department in departments if department.id == best)
        why = _doubt(desk, confidence, prediction.score, thresholds)
    return Choice(
        department=None if why else best,
        confidence=min(1.0, confidence),
        suggestions=suggestions,
        why=(why or f"{best} at {confidence:.0%}") + hint,
    )


def _doubt(desk: Department, confidence: float, score: float, thresholds: Thresholds) -> str:
    """Return why the best department shouldn't get it, or ""."""
    needed = max(thresholds.min_confidence, desk.min_confidence or 0.0)
    if needed > 1:  # no operating point reaches the target error
        return f"{desk.id} at {confidence:.0%}, but this model isn't reliable enough to route by itself"
    if confidence < needed:
        return f"{desk.id} at {confidence:.1%} is below the {needed:.1%} it needs"
    if score < thresholds.min_score:
        return f"{desk.id} at {confidence:.0%}, but the message is unlike any that the model knows"
    return ""
