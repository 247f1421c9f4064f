"""Train the linear model on more rows than fit into one matrix: the same features, learnt a chunk at a time.

The support-vector machine takes more than twice as long for twice the rows; stochastic gradient descent doesn't, and
needs no more memory than its coefficients. The terms are those of a sample of the rows: what doesn't occur there is
too rare to matter. So the model is served, and explained, like any other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import SGDClassifier

from classifiers._augment import in_text_style, with_typos
from classifiers._ngrams import char_ngrams, word_ngrams, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from random import Random

    from numpy.typing import NDArray

    from router.interfaces import ModelInput

    Floats = NDArray[np.floating[Any]]
    Numbers = NDArray[np.intp]

ABOVE_ROWS = 30_000
"""From here on the support-vector machine takes minutes."""

SAMPLE = 30_000  # rows whose terms are known
HELD_OUT = 10_000  # rows that temperature and thresholds are read off, at most
_HELD_OUT_SHARE = 0.1
_CHUNK = 10_000  # rows
_SEEN = 400_000  # rows looked at in all, so that fewer rows are looked at more often
_MOST_EPOCHS = 10
KEPT_VALUES = 30_000_000  # of chunks that are looked at more than once; twelve bytes each
_MEMO_WORDS = 300_000
_MEMO_LENGTH = 40  # characters
_STRICTNESS = 0.2  # how strongly coefficients are held back, divided by the number of rows
_EVEN = 0.5  # between labels that count as often as they come (0) and labels that all count alike (1): both did worse
_THREADS = 2  # labels learnt at the same time; the result is the same with any number
_MOST_COPIES = 100_000
_COPIED = 0.15  # of the rows: once with typing errors, once in text style


@dataclass(slots=True)
class Vocabulary:
    """The terms that are known, and each word's character n-grams among them, which are looked up once."""

    word_terms: dict[str, int]
    char_terms: dict[str, int]
    _memo: dict[str, list[int]] = field(default_factory=dict)

    def counts(self, inputs: Iterable[ModelInput]) -> list[Any]:
        """Return the counts of word terms and of character terms (texts × terms, CSR); unknown terms don't count."""
        rows: tuple[list[list[int]], list[list[int]]] = ([], [])
        for model_input in inputs:
            fields = words(model_input)
            look_up = self.word_terms.get
            rows[0].append([found for term in word_ngrams(fields) if (found := look_up(term)) is not None])
            rows[1].append([number for said in fields for word in said for number in self._chars(word)])
        return [_matrix(part, len(terms)) for part, terms in zip(rows, (self.word_terms, self.char_terms), strict=True)]

    def _chars(self, word: str) -> list[int]:
        known = self._memo.get(word)
        if known is None:
            look_up = self.char_terms.get
            known = [found for gram in char_ngrams(word) if (found := look_up(gram)) is not None]
            if len(word) <= _MEMO_LENGTH and len(self._memo) < _MEMO_WORDS:
                self._memo[word] = known
        return known


def _matrix(rows: Sequence[Sequence[int]], terms: int) -> Any:
    ends = np.cumsum([0, *map(len, rows)])
    columns = np.fromiter((number for row in rows for number in row), dtype=np.int32, count=int(ends[-1]))
    counts = csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(rows), terms))
    counts.sum_duplicates()
    return counts


def sampled(labels: Sequence[str], most: int, seed: int) -> Numbers:
    """Return sorted row numbers, about so many: each label has its share, but at least a hundred if it can."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    names = np.array(labels)[shuffled]
    share, chosen = min(1.0, most / len(labels)), []
    for label, count in sorted(Counter(labels).items()):
        chosen.append(shuffled[names == label][: max(min(100, count), int(share * count))])
    return np.sort(np.concatenate(chosen))


class Learner:
    """Learns margins (one column per label) from chunks; `values` are features as `classifiers._train` makes them."""

    def __init__(self, columns: Sequence[str], rows: int, seed: int) -> None:
        self.columns = columns
        self._sgd = SGDClassifier(loss="log_loss", alpha=_STRICTNESS / rows, random_state=seed, n_jobs=_THREADS)

    def learn(self, values: Any, labels: NDArray[np.str_], weights: Floats) -> None:
        """Take one step per row and label."""
        self._sgd.partial_fit(values, labels, classes=np.array(self.columns), sample_weight=weights)

    def coefficients(self) -> tuple[Floats, Floats]:
        """Return coefficients (terms × columns) and bias."""
        own, bias = self._sgd.coef_, self._sgd.intercept_
        if len(self.columns) == 2:  # scikit-learn keeps only the second label's
            own, bias = np.vstack((-own, own)), np.array([-bias[0], bias[0]])
        return np.asfortranarray(own).T, bias  # by terms: a C-ordered matrix would be copied at every look


def epochs(rows: int) -> int:
    """Return how often every row is looked at: few rows more often."""
    return max(1, min(_MOST_EPOCHS, round(_SEEN / rows)))


def held_out(rows: int) -> int:
    """Return how many rows are kept back at first, for temperature and thresholds."""
    return min(HELD_OUT, int(rows * _HELD_OUT_SHARE))


def chunks(numbers: Numbers, seed: int) -> Iterator[Numbers]:
    """Yield the numbers in an order of their own for each seed, a chunk at a time."""
    order = np.random.default_rng(seed).permutation(numbers)
    yield from (order[start : start + _CHUNK] for start in range(0, len(order), _CHUNK))


def balanced(labels: Sequence[str]) -> dict[str, float]:
    """Return how much a row of each label counts: one of a rare label more, yet not so that all labels count alike."""
    counts = Counter(labels)
    return {label: (len(labels) / (len(counts) * count)) ** _EVEN for label, count in counts.items()}


def noisy(inputs: Sequence[ModelInput], total: int, random: Random) -> list[tuple[int, ModelInput]]:
    """Return noisy copies of some of a chunk's inputs, each with its place; `total` rows get a bounded number."""
    share = min(_COPIED, _MOST_COPIES / total)
    makers: tuple[Callable[[ModelInput, Random], ModelInput], ...] = (with_typos, in_text_style)
    return [
        (place, make(said, random)) for make in makers for place, said in enumerate(inputs) if random.random() < share
    ]
