"""How likely the first choice is right, all things considered: a small logistic regression over signs of doubt.

The share that the first choice has among the labels doesn't say it: a stranger's message may have one clear favourite,
and a department whose messages are often taken for another's is believed too readily. Learnt on held-out answers, where
out-of-scope messages count as answered wrongly whatever the model chose.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, log1p
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]
    Numbers = NDArray[np.intp]
    Mask = NDArray[np.bool_]

SIGNALS = ("odds", "stranger", "known", "lead", "mass", "length", "terse", "typical")
"""Names of what `signals` returns, in order."""

_LEAST_DOUBT = 1e-6  # the odds go no higher than a million to one
_TERSE = 5  # words, the marks at both ends of a text included: one or two words hardly ever tell, sure as they look
_MOST_AHEAD = 50.0  # temperatures: what is farther ahead than that makes no difference
_FARTHEST = 4.0  # standard deviations: beyond what was seen, a sign says no more
_RIDGE = 1.0  # how strongly a coefficient is drawn to nothing, in messages
_LABEL_RIDGE = 30.0  # the same for a department's own shift: some thirty of its messages weigh as much as all others
_FREE = 1e-3  # for the constant
_MOST_STEPS, _CLOSE = 50, 1e-8  # of Newton's method; ten do


class Words(NamedTuple):
    """What a text's words say beside its margins.

    `likeness` is the cosine to the mean of each column's messages, `known` how many of the `total` words the model has.
    """

    likeness: Sequence[float]
    known: int
    total: int


def signals(margins: Sequence[float], words: Words, labels: int, temperature: float) -> list[float]:
    """Return the signs of doubt, for margins of which the first are the labels'. In plain Python: the rows are short.

    The odds among all columns, "out of scope" included, as a logarithm; that column's margin; the share of known words;
    the lead over the second label; the margins of all labels as one; the text's length, and how much it falls short of
    three words; how much more it is like the first choice's messages than like others'. Nothing else that was tried
    told more out of fold: which of the experts agree, their own leads, the margins' entropy, language, medium, near
    neighbours, or trees in place of a regression.
    """
    own = margins[:labels]
    first = max(own)
    chosen = own.index(first)
    powers = [exp(min((margin - first) / temperature, _MOST_AHEAD)) for margin in margins]
    of_labels = sum(powers[:labels])
    return [
        -log(max(sum(powers) - 1, _LEAST_DOUBT)),
        margins[labels] if len(margins) > labels else -1.0,
        words.known / max(words.total, 1),
        _lead(own, chosen),
        first + temperature * log(of_labels),
        log1p(words.total),
        max(0.0, log1p(_TERSE) - log1p(words.total)),
        _lead(words.likeness[:labels], chosen),
    ]


def _lead(numbers: Sequence[float], chosen: int) -> float:
    """Return how much greater the chosen number is than the greatest of the others."""
    return numbers[chosen] - max((*numbers[:chosen], *numbers[chosen + 1 :]))


@dataclass(frozen=True, slots=True)
class Confidence:
    """The fitted regression: each sign's middle, spread and weight, a constant, and each label's own shift."""

    middle: Floats
    spread: Floats
    weights: Floats
    constant: float
    shifts: Floats

    def of(self, found: Floats, chosen: Numbers | int) -> Floats:
        """Return the probability that the chosen label (its number) is right, from its signals (… × signals)."""
        place = ((found - self.middle) / self.spread).clip(-_FARTHEST, _FARTHEST)
        odds = self.constant + place @ self.weights + self.shifts[chosen]
        result: Floats = 1 / (1 + np.exp(-odds))
        return result

    def to_json(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return it with names, as people and `from_json` read it."""
        signs = zip(SIGNALS, self.middle, self.spread, self.weights, strict=True)
        return {
            "constant": round(self.constant, 6),
            "signs": {name: [round(float(number), 6) for number in numbers] for name, *numbers in signs},
            "shifts": {label: round(float(shift), 6) for label, shift in zip(labels, self.shifts, strict=True)},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], labels: Sequence[str]) -> Confidence:
        """Return the record of `to_json`; raise KeyError, TypeError or ValueError for anything else."""
        middle, spread, weights = np.array([value["signs"][name] for name in SIGNALS], dtype=np.float64).T
        shifts = np.array([value["shifts"][label] for label in labels], dtype=np.float64)
        constant = float(value["constant"])
        numbers = np.concatenate([middle, spread, weights, shifts, [constant]])
        if not np.isfinite(numbers).all() or (spread <= 0).any():
            raise ValueError("the confidence holds numbers that can't be used")
        return cls(middle, spread, weights, constant, shifts)


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers that were given out of fold: signals (rows × signals), the label's number, if it was right, weights."""

    found: Floats
    chosen: Numbers
    right: Mask
    weights: Floats

    def part(self, rows: Mask) -> Answers:
        """Return some of them."""
        return Answers(self.found[rows], self.chosen[rows], self.right[rows], self.weights[rows])


def fit(answers: Answers, labels: int) -> Confidence:
    """Learn how sure one may be of an answer, among so many labels."""
    found, weights = answers.found, answers.weights
    middle = np.average(found, axis=0, weights=weights)
    spread = np.sqrt(np.average((found - middle) ** 2, axis=0, weights=weights))
    spread[spread < 1e-9] = 1.0
    place = np.clip((found - middle) / spread, -_FARTHEST, _FARTHEST)
    rows = np.hstack([np.ones((len(found), 1)), place, np.eye(labels)[answers.chosen]])
    ridge = np.concatenate([[_FREE], np.full(place.shape[1], _RIDGE), np.full(labels, _LABEL_RIDGE)])
    solved = _newton(rows, answers.right.astype(np.float64), weights, ridge)
    ends = 1 + place.shape[1]
    return Confidence(middle, spread, solved[1:ends], float(solved[0]), solved[ends:])


def _newton(rows: Floats, right: Floats, weights: Floats, ridge: Floats) -> Floats:
    """Return the coefficients of least weighted log-loss plus `ridge` times their squares, halved."""
    solved = np.zeros(rows.shape[1])
    for _ in range(_MOST_STEPS):
        likely = 1 / (1 + np.exp(-(rows @ solved)))
        slope = rows.T @ (weights * (likely - right)) + ridge * solved
        curve = (rows.T * (weights * likely * (1 - likely))) @ rows + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        solved -= step
        if np.abs(step).max() < _CLOSE:
            break
    return solved


def out_of_fold(answers: Answers, labels: int, folds: Numbers) -> Floats:
    """Return each row's probability by a regression that didn't see its fold: what thresholds may be read off."""
    result = np.zeros(len(folds))
    for fold in sorted(set(folds.tolist())):
        held_out = folds == fold
        if not held_out.all():
            learnt = fit(answers.part(~held_out), labels)
            result[held_out] = learnt.of(answers.found[held_out], answers.chosen[held_out])
    return result
