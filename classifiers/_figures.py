"""Figures with 95 % intervals: shares by Wilson's formula, everything else by a seeded bootstrap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.intp]

Z = 1.959964  # two-sided 95 %
RESAMPLES = 1000
BINS = 15


def share(right: int, n: int) -> tuple[float | None, list[float] | None]:
    """Return right / n and its 95 % interval (Wilson 1927); None for both where n is 0."""
    if n == 0:
        return None, None
    part = right / n
    centre = part + Z**2 / (2 * n)
    spread = Z * (part * (1 - part) / n + Z**2 / (4 * n**2)) ** 0.5
    scale = 1 + Z**2 / n
    return round(part, 4), [
        round(max(0.0, (centre - spread) / scale), 4),
        round(min(1.0, (centre + spread) / scale), 4),
    ]


def put_share(figures: dict[str, Any], name: str, right: int, n: int) -> None:
    """Put a share under its name, and its interval under `intervals`."""
    figures[name], figures.setdefault("intervals", {})[name] = share(right, n)


def bootstrap(statistic: Callable[[Numbers], float], n: int, seed: int = 0) -> list[float] | None:
    """Return the 95 % percentile interval of a statistic of row numbers, over rows drawn with replacement."""
    if n == 0:
        return None
    draws = np.random.default_rng(seed)
    values = [statistic(draws.integers(0, n, n)) for _ in range(RESAMPLES)]
    low, high = np.quantile(values, (0.025, 0.975))
    return [round(float(low), 4), round(float(high), 4)]


def macro_f1(truth: Numbers, chosen: Numbers, labels: int) -> float:
    """Return the mean F1 over the labels that occur in `truth`; both hold numbers 0..labels-1."""
    right = np.bincount(truth[truth == chosen], minlength=labels)
    actual, predicted = np.bincount(truth, minlength=labels), np.bincount(chosen, minlength=labels)
    present = actual > 0
    return float((2 * right[present] / (actual + predicted)[present]).mean()) if present.any() else 0.0


def expected_calibration_error(confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_]) -> float:
    """Return the mean distance of confidence and accuracy over 15 bins of equal width (Guo et al. 2017)."""
    if not len(right):
        return 0.0
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def auroc(confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_]) -> float:
    """Return how often a right answer is surer than a wrong one, half where they tie; 0.5 if all are the same."""
    if right.all() or not right.any():
        return 0.5
    wrong = np.sort(confidence[~right])
    below = np.searchsorted(wrong, confidence[right], "left")
    level = np.searchsorted(wrong, confidence[right], "right") - below
    return float((below + level / 2).mean() / len(wrong))


def aurc(confidence: NDArray[np.floating[Any]], right: NDArray[np.bool_]) -> float:
    """Return the area under the risk-coverage curve: how many of the surest are wrong, in the mean over all shares."""
    wrong = ~right[np.argsort(-confidence, kind="stable")]
    return float((wrong.cumsum() / np.arange(1, len(wrong) + 1)).mean()) if len(wrong) else 0.0


def first_choice_figures(truth: Sequence[str], chosen: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """Return `n`, `accuracy`, `macro_f1` and `per_department` (n, precision, recall, f1) with intervals."""
    names = sorted({*truth, *chosen})
    number = {name: place for place, name in enumerate(names)}
    actual = np.array([number[name] for name in truth], dtype=np.intp)
    predicted = np.array([number[name] for name in chosen], dtype=np.intp)
    figures: dict[str, Any] = {"n": len(truth)}
    put_share(figures, "accuracy", int((actual == predicted).sum()), len(truth))
    figures["macro_f1"] = round(macro_f1(actual, predicted, len(names)), 4) if len(truth) else None
    figures["intervals"]["macro_f1"] = bootstrap(
        lambda rows: macro_f1(actual[rows], predicted[rows], len(names)), len(truth), seed
    )
    figures["per_department"] = {
        name: _department(actual == place, predicted == place) for name, place in number.items()
    }
    return figures


def _department(actual: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> dict[str, Any]:
    figures: dict[str, Any] = {"n": int(actual.sum())}
    right = int((actual & predicted).sum())
    put_share(figures, "precision", right, int(predicted.sum()))
    put_share(figures, "recall", right, figures["n"])
    total = figures["n"] + int(predicted.sum())
    figures["f1"] = round(2 * right / total, 4) if total else None
    return figures
