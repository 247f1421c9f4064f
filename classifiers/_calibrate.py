"""Turn margins into probabilities that mean what they say, and into thresholds for a wanted error rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

NEVER = 1.01
"""A least confidence that no message reaches: with it everything goes to the fallback."""

TARGETS = (0.005, *(n / 100 for n in range(1, 31)), 0.4, 0.5)
DEFAULT_TEMPERATURE = 0.3  # where there are too few rows to fit one
_LOWEST_SCORE = -1e6  # JSON has no minus infinity
_SCORE_STEPS = 20
_PRUDENCE = 1.2816  # one-sided 90 %; thresholds are the luckiest of many, and a handful of rows proves nothing
_MANY = 1000  # rows from which confidences that were learnt are taken at their word


def softmax(margins: Floats, temperature: float) -> Floats:
    """Return probabilities along the last axis: exp(margin / temperature), normalised."""
    scaled = (margins - margins.max(axis=-1, keepdims=True)) / temperature
    powers = np.exp(scaled)
    result: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return result


def scores(margins: Floats, labels: int) -> Floats:
    """Return how surely each row (last axis) is in scope: the largest margin of the first `labels` columns.

    Where one more column holds the margin for "out of scope", the lead over it.
    """
    best: Floats = margins[..., :labels].max(axis=-1)
    return best - margins[..., labels] if margins.shape[-1] > labels else best


def fit_temperature(margins: Floats, truth: NDArray[np.intp], weights: Floats) -> tuple[float, float]:
    """Return the temperature that minimises the weighted log-loss of the true labels, and that loss per row.

    `margins` (rows × labels) must be out-of-fold, `truth` holds column numbers. One scalar, as in Guo et al. 2017
    (On Calibration of Modern Neural Networks); found by golden-section search over its logarithm.
    """
    if not len(truth):
        return DEFAULT_TEMPERATURE, 0.0

    def loss(log_temperature: float) -> float:
        likely = softmax(margins, float(np.exp(log_temperature)))[np.arange(len(truth)), truth]
        return float(-(weights * np.log(np.maximum(likely, 1e-12))).sum() / weights.sum())

    best = _golden_section(loss, np.log(0.01), np.log(5.0))
    return float(np.exp(best)), loss(best)


def _golden_section(function: Any, low: float, high: float) -> float:
    """Return where a one-humped function is least, to about 1e-4 of the interval."""
    ratio = (5**0.5 - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(20):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2


@dataclass(frozen=True, slots=True)
class Trial:
    """Out-of-fold answers, one per row: confidence, score, whether in scope, whether right, and the row's weight."""

    confidence: Floats
    score: Floats
    in_scope: NDArray[np.bool_]
    right: NDArray[np.bool_]
    weight: Floats


def share_weights(weights: Floats, in_scope: NDArray[np.bool_], out_of_scope_share: float) -> Floats:
    """Return row weights with which the out-of-scope rows make up the given share, however many were collected."""
    inside, outside = float(weights[in_scope].sum()), float(weights[~in_scope].sum())
    if not (inside and outside):
        return weights
    return np.where(in_scope, 1.0, out_of_scope_share / (1 - out_of_scope_share) * inside / outside) * weights


def operating_points(trial: Trial, targets: Sequence[float] = TARGETS, *, learnt: bool = False) -> list[list[float]]:
    """Return `[target_error, min_confidence, min_score, coverage]` for each target.

    Of all pairs of thresholds whose routed rows are wrong at most `target_error` of the time, the one that routes most.
    The upper end of the error's one-sided 90 % interval counts, by Wilson's formula; but if the confidence was `learnt`
    from many rows, out of fold, the error that was seen or that the confidences expect, whichever is the greater: the
    latter is half as much a matter of chance. Coverage is the weighted share of in-scope rows routed. Where nothing
    qualifies, `min_confidence` is `NEVER`.
    """
    prudent = not learnt or len(trial.confidence) < _MANY
    best = {target: [target, NEVER, _LOWEST_SCORE, 0.0] for target in targets}
    order = np.argsort(-trial.confidence, kind="stable")
    for min_score in _score_steps(trial.score):
        chosen = order[trial.score[order] >= min_score]
        if not len(chosen):
            continue
        upper, coverage = _risk(trial, chosen, prudent=prudent)
        for target, point in best.items():
            fits = np.flatnonzero(upper <= target)
            if len(fits) and coverage[fits[-1]] > point[3]:
                least = float(trial.confidence[chosen[fits[-1]]])
                best[target] = [target, least, min_score, float(coverage[fits[-1]])]
    return [_rounded(point) for point in best.values()]


def _score_steps(score: Floats) -> list[float]:
    if not len(score):
        return []
    quantiles = np.quantile(score, np.linspace(0, 0.8, _SCORE_STEPS))
    return [_LOWEST_SCORE, *(float(step) for step in quantiles[1:])]


def _risk(trial: Trial, chosen: NDArray[np.intp], *, prudent: bool) -> tuple[Floats, Floats]:
    """Return the error to reckon with and the in-scope coverage if the first 1, 2, 3 … of the chosen are routed."""
    weight = trial.weight[chosen]
    total = weight.cumsum()
    wrong = (weight * ~trial.right[chosen]).cumsum() / total
    if prudent:
        effective = total**2 / (weight**2).cumsum()  # Kish's effective sample size
        upper = _wilson_upper(wrong, effective)
    else:
        upper = np.maximum(wrong, (weight * (1 - trial.confidence[chosen])).cumsum() / total)
    coverage = (weight * trial.in_scope[chosen]).cumsum() / max(1e-9, float(trial.weight[trial.in_scope].sum()))
    ends = np.append(np.diff(trial.confidence[chosen]) != 0, True)  # equal confidences are routed together
    return np.where(ends, upper, np.inf), coverage


def _wilson_upper(share: Floats, count: Floats) -> Floats:
    z2 = _PRUDENCE**2
    spread = np.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    upper: Floats = (share + z2 / (2 * count) + _PRUDENCE * spread) / (1 + z2 / count)
    return upper


def _rounded(point: list[float]) -> list[float]:
    """Round down what is compared with >=, so that the row which set a threshold passes it."""
    target, confidence, score, coverage = point
    return [target, np.floor(confidence * 1e5).item() / 1e5, np.floor(score * 1e5).item() / 1e5, round(coverage, 4)]


def min_confidence_for(meta: Mapping[str, Any], target_error: float) -> tuple[float, float]:
    """Return the least confidence and the least score for a wanted error rate, from a model's metadata.

    A message is routed if its confidence and its score both reach them. Between two stored targets the stricter one
    counts; below the strictest, or without any, nothing is routed (`NEVER`).
    """
    points = [point for point in meta.get("operating_points", ()) if point[0] <= target_error + 1e-9]
    if not points:
        return NEVER, _LOWEST_SCORE
    _target, confidence, score, _coverage = max(points)
    return float(confidence), float(score)
