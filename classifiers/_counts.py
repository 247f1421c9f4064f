"""Count the terms of many texts into sparse matrices, once for all folds. Needs scipy: for training only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix

from classifiers._ngrams import char_ngrams, word_ngrams, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from router.interfaces import ModelInput


class TermCounter:
    """Collects texts as rows of term numbers; a term gets the next number when it is first seen."""

    def __init__(self) -> None:
        self.terms: dict[str, int] = {}
        self._rows: list[NDArray[np.int32]] = []

    def number(self, terms: Iterable[str]) -> NDArray[np.int32]:
        """Return the terms' numbers, one per occurrence."""
        known = self.terms
        return np.fromiter((known.setdefault(term, len(known)) for term in terms), dtype=np.int32)

    def add(self, numbers: Sequence[NDArray[np.int32]]) -> None:
        """Add one text's terms as the next row."""
        self._rows.append(np.concatenate([np.empty(0, dtype=np.int32), *numbers]))

    def matrix(self) -> Any:
        """Return the counts (texts × terms) as a CSR matrix of float64."""
        ends = np.cumsum([0, *(len(row) for row in self._rows)])
        columns = np.concatenate([np.empty(0, dtype=np.int32), *self._rows])
        shape = (len(self._rows), len(self.terms))
        counts = csr_matrix((np.ones(len(columns)), columns, ends), shape=shape)
        counts.sum_duplicates()
        return counts


def count_terms(inputs: Sequence[ModelInput]) -> tuple[list[Any], list[list[str]]]:
    """Return the counts of word terms and of character terms (texts × terms), and the terms of each."""
    word_counter, char_counter = TermCounter(), TermCounter()
    memo: dict[str, NDArray[np.int32]] = {}
    for model_input in inputs:
        fields = words(model_input)
        word_counter.add([word_counter.number(word_ngrams(fields))])
        every = [word for field in fields for word in field]
        for word in every:
            if word not in memo:
                memo[word] = char_counter.number(char_ngrams(word))
        char_counter.add([memo[word] for word in every])
    counters = (word_counter, char_counter)
    return [counter.matrix() for counter in counters], [list(counter.terms) for counter in counters]
