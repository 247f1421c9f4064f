"""How alike texts are, by the words and parts of words the linear model reads. For training: needs scikit-learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers._counts import count_terms
from classifiers._trainer import Features

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from router.interfaces import ModelInput

_AT_ONCE = 4_000_000  # cosines held at once: 32 MB


class Likeness:
    """The TF-IDF values of some texts; a word that only one of them holds makes nothing alike."""

    def __init__(self, inputs: Sequence[ModelInput]) -> None:
        counts, _terms = count_terms(inputs)
        values = Features.learn(counts, (1.0, 1.0), rarest=2).values(counts)
        self._values: Any = values / np.sqrt(2)  # words and parts have length one each

    def nearest(self, these: Sequence[int], those: Sequence[int], nth: int) -> NDArray[np.floating[Any]]:
        """Return for each of these texts, by number, the cosine of the nth nearest of those."""
        parts = [np.partition(part, -nth, axis=1)[:, -nth] for part in self._cosines(these, those)]
        return np.concatenate(parts) if parts else np.empty(0)

    def within(self, these: Sequence[int], those: Sequence[int], cosine: float) -> NDArray[np.bool_]:
        """Return for each of these texts which of those are at least so near."""
        parts = [part >= cosine for part in self._cosines(these, those)]
        return np.concatenate(parts) if parts else np.empty((0, len(those)), dtype=bool)

    def count_within(self, these: Sequence[int], those: Sequence[int], cosine: float) -> NDArray[np.int_]:
        """Return for each of these texts how many of those are at least so near, itself not counted."""
        columns = np.asarray(those, dtype=int)
        counts, start = np.zeros(len(these), dtype=int), 0
        for part in self._cosines(these, those):
            own = columns == np.asarray(these[start : start + len(part)], dtype=int)[:, None]
            counts[start : start + len(part)] = ((part >= cosine) & ~own).sum(axis=1)
            start += len(part)
        return counts

    def _cosines(self, these: Sequence[int], those: Sequence[int]) -> Iterator[NDArray[np.floating[Any]]]:
        """Yield the cosines of some of these texts with all of those, never many at once."""
        others = self._values[list(those)].T
        step = max(1, _AT_ONCE // max(1, len(those)))
        for start in range(0, len(these), step):
            yield (self._values[list(these[start : start + step])] @ others).toarray()
