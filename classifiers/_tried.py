"""What a model said about rows that it had not learnt from: temperature, thresholds, and figures for people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers._calibrate import Trial, fit_temperature, operating_points, scores, share_weights, softmax
from classifiers._confidence import Answers, Words, fit, out_of_fold, signals
from classifiers._corpus import OUT_OF_SCOPE
from classifiers._figures import first_choice_figures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from classifiers._trainer import Rows

    Floats = NDArray[np.floating[Any]]

LACKING = -2.0
"""The margin of a label of which a fold's training rows held none."""


_MISTAKEN = 0.002  # of in-scope messages whose score may lie below a stranger's
_ENOUGH = 1000  # of these, to tell
_WRONG_ENOUGH = 10  # wrong answers; from fewer nobody can learn what a wrong answer looks like


@dataclass(frozen=True, slots=True)
class Tried:
    """What the out-of-fold margins say: the temperature that fits them, its mean log-loss, and the answers."""

    temperature: float
    loss: float
    trial: Trial
    named: list[str]
    chosen: list[int]
    found: Floats | None = None  # signs of doubt (see `classifiers._confidence`)
    folds: NDArray[np.intp] | None = None

    def report(self, labels: Sequence[str], out_of_scope_share: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the metadata with thresholds and figures, and the table they were read off, surest first."""
        trial, inside = self.trial, self.trial.in_scope
        weighed = replace(trial, weight=share_weights(trial.weight, inside, out_of_scope_share))
        learnt = {}
        doubtful = int((~trial.right).sum()) >= _WRONG_ENOUGH
        if self.found is not None and self.folds is not None and doubtful:
            answers = Answers(self.found, np.array(self.chosen), trial.right, weighed.weight)
            learnt = {"confidence": fit(answers, len(labels)).to_json(labels)}
            trial = replace(trial, confidence=out_of_fold(answers, len(labels), self.folds))
            weighed = replace(weighed, confidence=trial.confidence, score=np.zeros(len(self.chosen)))  # it is in there
        pairs = [(name, labels[number]) for name, number in zip(self.named, self.chosen, strict=True)]
        pairs = [pair for pair in pairs if pair[0] != OUT_OF_SCOPE]
        meta = {
            "temperature": self.temperature,
            **learnt,
            **_strangers(trial),
            "operating_points": operating_points(weighed, learnt=bool(learnt)),
            "metrics": first_choice_figures([name for name, _ in pairs], [chosen for _, chosen in pairs]),
        }
        order = np.argsort(-trial.confidence, kind="stable")
        table = {
            "trial_confidence": trial.confidence[order].astype(np.float32),
            "trial_score": trial.score[order].astype(np.float32),
            "trial_outcome": np.where(inside, trial.right, 2)[order].astype(np.uint8),  # 2: out of scope
        }
        return meta, table


def _strangers(trial: Trial) -> dict[str, float]:
    """Return below which score hardly any in-scope message lies; nothing where there are too few to say."""
    inside = np.flatnonzero(trial.in_scope)
    if len(inside) < _ENOUGH or trial.in_scope.all():
        return {}
    order = inside[np.argsort(trial.score[inside])]
    below = trial.weight[order].cumsum() / trial.weight[order].sum()
    score = float(trial.score[order[np.searchsorted(below, _MISTAKEN)]])
    return {"stranger_score": round(score, 5)} if score < 0 else {}


def calibrate(
    rows: Rows,
    margins: Floats,
    labels: Sequence[str],
    temperature: float | None = None,
    words: Sequence[Words] = (),
) -> Tried:
    """Fit the temperature to out-of-fold margins (tried rows × columns), unless it is given, and note every answer.

    With `words`, what the same rows' words say, the report learns from them how sure of an answer one may be.
    """
    tested = (margins[:, : len(labels)] != LACKING).any(axis=1)
    margins, named, weights = margins[tested], rows.labels[rows.tried][tested], rows.typical[rows.tried][tested]
    own = margins[:, : len(labels)]
    in_scope = named != OUT_OF_SCOPE
    truth = np.searchsorted(labels, named) * in_scope
    fair = in_scope & (own[np.arange(len(own)), truth] != LACKING)  # the fold's model knew the label
    fitted, loss = fit_temperature(own[fair], truth[fair], weights[fair])
    temperature = temperature or fitted
    chosen = own.argmax(axis=1)
    confidence, score = softmax(own, temperature).max(axis=1), scores(margins, len(labels))
    trial = Trial(confidence, score, in_scope, in_scope & (chosen == truth), weights)
    tried = Tried(temperature, loss, trial, named.tolist(), chosen.tolist())
    if not words:
        return tried
    said = [each for each, is_one in zip(words, tested.tolist(), strict=True) if is_one]
    pairs = zip(margins.tolist(), said, strict=True)
    found = np.array([signals(row, each, len(labels), temperature) for row, each in pairs])
    return replace(tried, found=found, folds=rows.folds[rows.tried][tested])
