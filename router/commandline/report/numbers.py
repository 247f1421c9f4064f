"""What the report's plots show, worked out of a model's answers: no drawing here."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from classifiers._corpus import OUT_OF_SCOPE
from classifiers._figures import Z
from router.plots.confusion import Confusion, counted
from router.plots.reliability import Bin, bins

if TYPE_CHECKING:
    from collections.abc import Sequence

    from classifiers._evaluate import Answer

_FEW = 10  # messages below which a curve is only noise


def confusion(answers: Sequence[Answer]) -> Confusion:
    """Count first choices."""
    return counted(Counter((answer.department, answer.chosen) for answer in answers))


@dataclass(frozen=True, slots=True)
class Mistaken:
    """Messages for `department` that the model took for `chosen`'s, and how many of them would have been sent."""

    department: str
    chosen: str
    count: int
    routed: int


def worst_pairs(answers: Sequence[Answer], most: int = 10) -> list[Mistaken]:
    """Return the pairs of departments that are confused most often, commonest first."""
    wrong = [answer for answer in answers if not answer.right and answer.department != OUT_OF_SCOPE]
    counts = Counter((answer.department, answer.chosen) for answer in wrong)
    routed = Counter((answer.department, answer.chosen) for answer in wrong if answer.routed)
    order = sorted(counts, key=lambda pair: (-counts[pair], pair))
    return [Mistaken(*pair, counts[pair], routed[pair]) for pair in order[:most]]


def reliability(answers: Sequence[Answer]) -> list[Bin | None]:
    """Return ten bins of equal width over the confidence; None for an empty one.

    Out-of-scope answers count where the confidence is meant to know of them, as in the figure `ece`.
    """
    known = (answer for answer in answers if answer.aware or answer.department != OUT_OF_SCOPE)
    return bins((answer.confidence, answer.right) for answer in known)


@dataclass(frozen=True, slots=True)
class Risk:
    """If the surest `coverage` of all messages were routed: the share of wrong ones among them, with its interval."""

    coverage: float
    wrong: float
    low: float
    high: float


def risk_curve(answers: Sequence[Answer]) -> list[Risk]:
    """Return the risk at every coverage, surest messages first; a routed out-of-scope message is wrong.

    Messages of equal confidence are routed together, and the first few, where one mistake is everything, are left out.
    """
    order = sorted(answers, key=lambda answer: -answer.confidence)
    wrong = np.cumsum([not answer.right for answer in order])
    curve = []
    for place, answer in enumerate(order, start=1):
        last_of_its_kind = place == len(order) or order[place].confidence < answer.confidence
        if last_of_its_kind and place >= min(_FEW, len(order)):
            part, low, high = _wilson(int(wrong[place - 1]), place)
            curve.append(Risk(place / len(order), part, low, high))
    return curve


def operating_point(answers: Sequence[Answer]) -> Risk | None:
    """Return the coverage and the risk that the thresholds lead to; None if they route nothing."""
    routed = [answer for answer in answers if answer.routed]
    if not routed:
        return None
    return Risk(len(routed) / len(answers), *_wilson(sum(not answer.right for answer in routed), len(routed)))


def _wilson(count: int, n: int) -> tuple[float, float, float]:
    """Return a share with the ends of its 95 % interval, unrounded: a curve of rounded values has steps."""
    part = count / n
    spread = Z * (part * (1 - part) / n + Z**2 / (4 * n**2)) ** 0.5
    centre, scale = part + Z**2 / (2 * n), 1 + Z**2 / n
    return part, max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of the messages, in counts: routed rightly or wrongly, or left to people."""

    right: int
    wrong: int
    kept: int
    kept_strangers: int  # of `kept`: those that are no department's business, so that keeping them was right


def fate(answers: Sequence[Answer]) -> Fate:
    """Count what would become of the messages."""
    routed = [answer for answer in answers if answer.routed]
    kept = [answer for answer in answers if not answer.routed]
    right = sum(answer.right for answer in routed)
    strangers = sum(answer.department == OUT_OF_SCOPE for answer in kept)
    return Fate(right, len(routed) - right, len(kept), strangers)
