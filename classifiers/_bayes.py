"""A second opinion from counting: complement naive Bayes over words, added to the support-vector machine's columns.

The machine draws its borders where messages are hard to tell apart; counting says how common a word is in a
department's messages and terms. Being linear too, their sum costs nothing more to serve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

_SMOOTHING = 0.3  # what every term is counted beforehand


def summed(values: Any, labels: NDArray[np.str_], weights: Floats, columns: Sequence[str]) -> Floats:
    """Return the weighted sum of each label's rows (labels × terms); zero for a label without rows."""
    numbers = {label: number for number, label in enumerate(columns)}
    places = [numbers[label] for label in labels.tolist()]
    shape = (len(columns), len(places))
    result: Floats = (csr_matrix((weights, (places, np.arange(len(places)))), shape=shape) @ values).toarray()
    return result


def centroids(sums: Floats) -> Floats:
    """Return the direction of each label's rows (terms × labels, each column of length one; zero without rows)."""
    lengths = np.sqrt((sums**2).sum(axis=1))
    result: Floats = (sums / np.where(lengths > 0, lengths, 1.0)[:, None]).T
    return result


def opinions(sums: Floats) -> Floats:
    """Return what each term says for each label (terms × labels), in the mean over labels nothing.

    Complement naive Bayes (Rennie et al. 2003, Tackling the Poor Assumptions of Naive Bayes Text Classifiers): a term
    speaks for a label by being rare among all others, so that labels with few rows aren't at a disadvantage. `sums`
    are those of `summed`; a label whose rows hold nothing gets no opinion.
    """
    there = sums.any(axis=1)
    if there.sum() < 2:
        return np.zeros(sums.T.shape)
    others = sums.sum(axis=0) - sums[there] + _SMOOTHING
    own = -np.log(others / others.sum(axis=1, keepdims=True))
    result = np.zeros(sums.T.shape)
    result[:, there] = (own - own.mean(axis=0)).T
    return result
