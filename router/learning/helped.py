"""What each source of training messages helped: the model trained once more without it, asked the same messages."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from router.errors import SignpostError
from router.learning.lessons import CORPUS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from router.interfaces import Classifier, Example, Progress

    Fit = Callable[[Sequence[Example], Sequence[Example], Progress], Classifier]
    """Trains on examples (glossary terms among them) and on out-of-scope messages."""
    Truths = NDArray[np.bool_]

_RESAMPLES = 2_000
_BATCH = 256


def sources_of(rows: Sequence[Example]) -> list[str]:
    """Return the sources of messages, in order; there is something to compare where there are two or more."""
    return list(dict.fromkeys(row.source for row in rows))


def compare_sources(
    fit: Fit,
    whole: Classifier,
    held_out: Sequence[Example],
    progress: Progress,
    *,
    training: Sequence[Example],
    terms: Sequence[Example] = (),
    strangers: Sequence[Example] = (),
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Return for each source how good the model is with all sources (`whole`) and without this one.

    Every model is asked the same held-out messages, which none learnt from. `difference` is what the source helped,
    as a share of them, with its 95 % interval by paired bootstrap; figures are None where too little is left to learn
    from. The glossaries belong to the corpus. Takes as many trainings as there are sources.
    """
    names = sources_of([*training, *strangers])
    right = _right(whole, held_out)
    counts = Counter(row.source for row in (*training, *strangers))
    result = []
    for number, name in enumerate(names):
        left = [row for row in training if row.source != name]
        left_terms = [] if name == CORPUS else terms
        tell = _telling(progress, name, number, len(names))
        try:
            without = _right(
                fit([*left, *left_terms], [row for row in strangers if row.source != name], tell), held_out
            )
        except SignpostError:  # fewer than two labels are left
            without = None
        result.append({"source": name, "messages": counts[name], **_figures(held_out, right, without, seed)})
    progress("done", 1.0)
    return result


def _telling(progress: Progress, name: str, number: int, total: int) -> Progress:
    return lambda _doing, share: progress(f"learning without {name}", (number + share) / total)


def _right(classifier: Classifier, rows: Sequence[Example]) -> Truths:
    inputs = [row.input for row in rows]
    starts = range(0, len(inputs), _BATCH)
    answers = [answer for start in starts for answer in classifier.predict(inputs[start : start + _BATCH])]
    return np.array([a.ranking[0][0] == row.department for a, row in zip(answers, rows, strict=True)], dtype=bool)


def _figures(held_out: Sequence[Example], right: Truths, without: Truths | None, seed: int) -> dict[str, Any]:
    names = np.array([row.department for row in held_out])
    return {
        "held_out": len(held_out),
        **_pair(right, without),
        "interval": None if without is None else _interval(right, without, seed),
        "per_department": {
            name: {
                "n": int((mask := names == name).sum()),
                **_pair(right[mask], None if without is None else without[mask]),
            }
            for name in sorted({row.department for row in held_out})
        },
    }


def _pair(right: Truths, without: Truths | None) -> dict[str, float | None]:
    both = without is not None and len(right) > 0
    return {
        "with": round(float(right.mean()), 4) if len(right) else None,
        "without": round(float(without.mean()), 4) if without is not None and both else None,
        "difference": round(float(right.mean() - without.mean()), 4) if without is not None and both else None,
    }


def _interval(right: Truths, without: Truths, seed: int) -> list[float] | None:
    """Return the 95 % interval of the difference: resampling rows is drawing how many got better and worse."""
    n = len(right)
    if not n:
        return None
    better, worse = int((right & ~without).sum()), int((without & ~right).sum())
    draws = np.random.default_rng(seed).multinomial(n, np.array([better, worse, n - better - worse]) / n, _RESAMPLES)
    low, high = np.quantile((draws[:, 0] - draws[:, 1]) / n, (0.025, 0.975))
    return [round(float(low), 4), round(float(high), 4)]
