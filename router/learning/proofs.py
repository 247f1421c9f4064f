"""The statistics behind what a model may do: is it no worse, surely worse, worse than the one before? Pure."""

from __future__ import annotations

from math import comb, exp, lgamma
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Truths = NDArray[np.bool_]
    Said = tuple[NDArray[np.floating[Any]], Truths]
    """How sure a model was of each answer, and whether it was right."""
    Measure = Callable[[NDArray[np.floating[Any]], Truths], float]

RESAMPLES = 2_000
_FEW_RESAMPLES = 200  # of what takes longer
_LOWER = 0.05


def lower_bound(before: Truths, after: Truths, seed: int) -> float:
    """Return the 5 % quantile of the accuracy difference over 2,000 paired bootstrap resamples.

    A resample's difference depends only on how many of its rows got better and how many worse, so these are drawn
    from their multinomial distribution, which is the same thing.
    """
    n = len(before)
    better, worse = changed(before, after)
    shares = np.array([better, worse, n - better - worse]) / n
    draws = np.random.default_rng(seed).multinomial(n, shares, size=RESAMPLES)
    return float(np.quantile((draws[:, 0] - draws[:, 1]) / n, _LOWER))


def changed(before: Truths, after: Truths) -> tuple[int, int]:
    """Return how many got better and how many worse."""
    return int((after & ~before).sum()), int((before & ~after).sum())


def accepted(routed_before: Truths, routed_after: Truths, target_error: float) -> float:
    """Return by how much more of all may go wrong because more is routed: of that, people accept so many wrong ones.

    Otherwise no better model could follow a champion that leaves much to people, for it routes more, and some wrongly.
    """
    return target_error * max(0.0, float(routed_after.mean() - routed_before.mean()))


def surely_grows(measure: Measure, before: Said, after: Said, seed: int) -> bool:
    """Return whether a measure of (confidence, truth) is larger after in 95 % of 200 resamples.

    Rows are drawn in pairs, unless the two speak of different numbers of them.
    """
    draws = np.random.default_rng(seed)
    grown = 0
    for _ in range(_FEW_RESAMPLES):
        rows = draws.integers(0, len(before[1]), len(before[1]))
        others = rows if len(before[1]) == len(after[1]) else draws.integers(0, len(after[1]), len(after[1]))
        grown += measure(after[0][others], after[1][others]) > measure(before[0][rows], before[1][rows])
    return grown >= (1 - _LOWER) * _FEW_RESAMPLES


def covered(confidence: NDArray[np.floating[Any]], right: Truths, target_error: float) -> float:
    """Return the largest share of messages, the surest first, of which at most `target_error` are wrong."""
    order = np.argsort(-confidence, kind="stable")
    wrong = (~right[order]).cumsum() / np.arange(1, len(order) + 1)
    ends = np.append(np.diff(confidence[order]) != 0, True)  # equally sure ones are routed together
    fits = np.flatnonzero((wrong <= target_error) & ends)
    return float((fits[-1] + 1) / len(order)) if len(fits) else 0.0


def sign_test(better: int, worse: int) -> float:
    """Return how likely so many or more get worse by chance, if each change is as likely for the better (exact).

    For paired shares this is McNemar's test (1947) in its exact, one-sided form.
    """
    n = better + worse
    return float(sum(comb(n, k) for k in range(worse, n + 1)) / 2**n)


def fisher_test(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Return how likely so many or more hits fall on `after` by chance, if both have the same rate.

    Each is (hits, cases). Fisher's exact test (1935), one-sided: it holds for any counts, and errs on the safe side.
    """
    (hits_before, n_before), (hits_after, n_after) = before, after
    hits = hits_before + hits_after
    whole = _log_comb(n_before + n_after, hits)
    ways = (_log_comb(n_after, k) + _log_comb(n_before, hits - k) for k in range(hits_after, min(hits, n_after) + 1)
            if hits - k <= n_before)  # fmt: skip
    return min(1.0, sum(exp(way - whole) for way in ways))


def _log_comb(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
