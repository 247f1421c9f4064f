"""Tell urgent messages from others: one more column of coefficients on the departments' terms, learnt beside them.

It stands beside the words of `router.routing.urgent`, which need no model: it finds what no list of phrases foresees.
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers._calibrate import NEVER
from router.errors import BadArtifact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from classifiers._lean import LeanScorer
    from router.interfaces import Example, ModelInput

    Floats = NDArray[np.floating[Any]]
    Marks = NDArray[np.int8]

URGENT, NOT_URGENT, UNKNOWN = 1, 0, -1
LEAST_ROWS = 40  # urgent ones: from fewer nothing can be learnt, and nothing be measured
THRESHOLD = 0.55
"""The probability from which the model raises an alarm: more likely urgent than not. It is meant for real mail, where
harmless messages are commoner than among the bundled ones: each row counts as `typical` as it is. The whole model is a
little surer than those whose answers the probabilities come from. Asked about thirds of the corpus that it hadn't seen,
it was right, where no phrase told of it, in one of four messages between 0.5 and 0.55, in half of those up to 0.6."""

_LEAST_RIGHT = 0.5  # of the alarms, out of fold: a model that is wrong more often raises none

_SMOOTHING = 0.3  # what every term is counted beforehand, as in `classifiers._bayes`
_C = 1.0  # by cross-validation; a closer fit than for departments, since an alarm may hang on one pair of words


def marks(messages: Sequence[Example]) -> Marks:
    """Return what is known of each message, in scope or not: what a district's fallback gets may be urgent, too.

    Where a source marks none of its messages as urgent, nobody has looked: of all of them nothing is known.
    """
    looked_at = {message.source for message in messages if message.urgent}
    return np.array([_mark(message, message.source in looked_at) for message in messages], dtype=np.int8)


def _mark(message: Example, looked_at: bool) -> int:
    if message.urgent:
        return URGENT
    return NOT_URGENT if looked_at and message.urgent is not None else UNKNOWN


def learn(
    values: Any, urgent: Marks, folds: NDArray[np.intp], seed: int, *, weights: Floats, typical: Floats
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return metadata and arrays to add to a model, both empty where too few rows are marked.

    `values` (rows × terms) are the model's own features. Probabilities come from margins of rows that were not trained
    on, each counted as `typical` as it is.
    """
    known = urgent != UNKNOWN
    if min((urgent == URGENT).sum(), (urgent == NOT_URGENT).sum()) < LEAST_ROWS:
        return {}, {}
    margins = np.full(len(urgent), np.nan)
    for fold in np.unique(folds[known]):
        rest, held_out = known & (folds != fold), known & (folds == fold)
        if len(np.unique(urgent[rest])) == 2:
            coefficients, bias = _fit(values[rest], urgent[rest], weights[rest], seed)
            margins[held_out] = values[held_out] @ coefficients + bias
    answered = ~np.isnan(margins)
    meta = _limits(margins[answered], urgent[answered] == URGENT, typical[answered])
    coefficients, bias = _fit(values[known], urgent[known], weights[known], seed)
    arrays = {
        "urgent_coefficients": coefficients.astype(np.float32),
        "urgent_bias": np.array([bias], dtype=np.float32),
    }
    return {"urgent": meta}, arrays


def _fit(values: Any, urgent: Marks, weights: Floats, seed: int) -> tuple[Floats, float]:
    """Return coefficients and bias: the sum of two machines, one of which sees terms by how much they tell.

    That one's terms are multiplied by the logarithm of how much commoner they are among the urgent (Wang and Manning
    2012, Baselines and Bigrams). Out of fold the sum found 60 % of the bundled ones instead of 55 %, as surely.
    """
    from scipy.sparse import diags_array  # noqa: PLC0415  serving doesn't need it

    told = _telling(values, urgent == URGENT, weights)
    plain, plain_bias = _machine(values, urgent, weights, seed)
    telling, telling_bias = _machine(values @ diags_array(told), urgent, weights, seed)
    return plain + told * telling, plain_bias + telling_bias


def _telling(values: Any, urgent: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the logarithm of how much commoner each term is in the urgent rows than in the others."""
    there = values.astype(bool).astype(np.float64)
    own, others = (_SMOOTHING + there[rows].T @ weights[rows] for rows in (urgent, ~urgent))
    ratio: Floats = np.log((own / own.sum()) / (others / others.sum()))
    return ratio


def _machine(values: Any, urgent: Marks, weights: Floats, seed: int) -> tuple[Floats, float]:
    from sklearn.svm import LinearSVC  # noqa: PLC0415  as above

    svc = LinearSVC(C=_C, random_state=seed, max_iter=20_000, tol=1e-2)
    svc.fit(values, urgent == URGENT, sample_weight=weights)
    return svc.coef_[0], float(svc.intercept_[0])


def _limits(margins: Floats, urgent: NDArray[np.bool_], typical: Floats) -> dict[str, Any]:
    """Return how margins become probabilities (Platt 1999), the threshold, and what it held out of fold."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    line = LogisticRegression(C=1e6).fit(margins[:, None], urgent, sample_weight=typical)
    slope, offset = float(line.coef_[0, 0]), float(line.intercept_[0])
    alarms = probability(margins, slope, offset) >= THRESHOLD
    useful = slope > 0 and alarms.any() and _share(urgent, alarms, typical) >= _LEAST_RIGHT
    return {
        "slope": slope,
        "offset": offset,
        "threshold": THRESHOLD if useful else NEVER,
        "rows": int(urgent.sum()),
        "recall": round(_share(alarms, urgent, typical), 4),
        "precision": round(_share(urgent, alarms, typical), 4) if alarms.any() else None,
    }


def _share(these: NDArray[np.bool_], of: NDArray[np.bool_], typical: Floats) -> float:
    return float((these * typical)[of].sum() / typical[of].sum())


def probability(margins: Any, slope: float, offset: float) -> Any:
    """Return the probability that goes with margins."""
    return 1 / (1 + np.exp(-np.clip(slope * margins + offset, -500, 500)))


class UrgentSense:
    """What a loaded model knows of urgency (`router.interfaces.UrgentSense`)."""

    def __init__(
        self, scorer: LeanScorer, coefficients: NDArray[np.float32], bias: float, meta: Mapping[str, Any]
    ) -> None:
        self.threshold = float(meta["threshold"])
        self._scorer = scorer
        self._coefficients = coefficients
        self._bias = bias
        self._line = float(meta["slope"]), float(meta["offset"])

    def likely(self, inputs: Sequence[ModelInput]) -> list[float]:
        """Return how likely each message is urgent, 0..1."""
        slope, offset = self._line
        margins = (self._scorer.margin(each, self._coefficients) + self._bias for each in inputs)
        # As `probability`, whose numpy takes ten times as long over a single number.
        return [1 / (1 + exp(-max(-500.0, min(500.0, slope * margin + offset)))) for margin in margins]

    def explain(self, model_input: ModelInput, most: int = 12) -> list[tuple[str, float]]:
        """Return the words that spoke most strongly for (+) and against (-) urgency, strongest first."""
        return self._scorer.spoken(model_input, self._coefficients, most)


def load(scorer: LeanScorer, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> UrgentSense | None:
    """Return the model's sense of urgency, None if it learnt none; raise `BadArtifact` if its parts don't fit."""
    if "urgent" not in meta:
        return None
    coefficients, bias = arrays["urgent_coefficients"], arrays["urgent_bias"]
    if coefficients.shape != (scorer.terms,) or bias.shape != (1,):
        raise BadArtifact("the linear model's coefficients for urgency don't fit its vocabulary")
    sense = UrgentSense(scorer, coefficients, float(bias[0]), meta["urgent"])
    figures = (sense.threshold, float(bias[0]), *sense._line)
    if not (np.isfinite(coefficients).all() and np.isfinite(figures).all()):
        raise BadArtifact("the linear model holds numbers for urgency that aren't finite")
    return sense
