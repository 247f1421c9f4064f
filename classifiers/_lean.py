"""Score one message at a time without scikit-learn: dictionary look-ups and one small matrix product.

Gives the margins of the trained pipeline (both TF-IDF blocks, each with length one, times the coefficients) within
float32 rounding, ten times faster, because nothing is validated and each word's n-grams are looked up only once.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from classifiers._confidence import Words
from classifiers._ngrams import END, START, char_ngrams, marked, word_ngrams, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from router.interfaces import ModelInput

    Floats = NDArray[np.float32]
    Rows = NDArray[np.int32]
    Counts = NDArray[np.intp]
    Fields = Sequence[Sequence[str]]


class _Text(NamedTuple):
    """The rows of a text's known terms, words first, how often each occurs, and their TF-IDF values."""

    rows: Rows
    counts: Counts
    values: Floats
    wordy: int  # how many rows are of words
    known: int  # how many of its words are known
    total: int


NONE = -1  # no row
_MEMO_WORDS = 100_000
_MEMO_LENGTH = 40  # characters: longer "words" are links and noise that don't come back
_MOST_AHEAD = 256  # messages: several batches


def pack_terms(terms: Iterable[str]) -> NDArray[np.uint8]:
    """Return terms as one array of UTF-8 bytes, parted by line feeds (which no term contains)."""
    return np.frombuffer("\n".join(terms).encode(), dtype=np.uint8)


def unpack_terms(packed: NDArray[np.uint8]) -> dict[str, int]:
    """Return each term's number."""
    text = packed.tobytes().decode()
    return {term: number for number, term in enumerate(text.split("\n"))} if text else {}


class LeanScorer:
    """The margins of a linear model over word and character n-grams. Thread-safe: only two memos change.

    Rows of `idf` (terms) and `coefficients` (terms × labels) are the word terms, then the character terms.
    """

    def __init__(  # noqa: PLR0917  the arrays of an artifact
        self,
        word_terms: dict[str, int],
        char_terms: dict[str, int],
        idf: Floats,
        coefficients: Floats,
        bias: Floats,
        likeness: Floats | None = None,
    ) -> None:
        self._words = WordTerms(word_terms)
        self._char_rows = char_terms
        self._first_char = len(word_terms)
        self._idf = idf
        self._coefficients = coefficients
        self._bias = bias
        self._likeness = likeness
        self._memo: dict[str, Rows] = {}
        self._ahead: dict[ModelInput, _Text] = {}

    @property
    def terms(self) -> int:
        """How many terms there are."""
        return len(self._idf)

    def knows(self, word: str) -> bool:
        """Return whether it has met a word, as `classifiers._ngrams.words` gives it."""
        return self._words.knows(word)

    @property
    def columns(self) -> int:
        """How many margins there are."""
        return len(self._bias)

    def margins(self, model_input: ModelInput) -> Floats:
        """Return one margin per label."""
        return self.read(model_input)[0]

    def read(self, model_input: ModelInput) -> tuple[Floats, Words | None]:
        """Return one margin per label, and what the words say beside (None where the model hasn't learnt that)."""
        text = self._ahead.pop(model_input, None) or self._features(words(model_input))
        margins: Floats = text.values @ self._coefficients[text.rows] + self._bias
        if self._likeness is None:
            return margins, None
        likeness = text.values[: text.wordy] @ self._likeness[text.rows[: text.wordy]]
        return margins, Words(likeness.tolist(), text.known, text.total)

    def margin(self, model_input: ModelInput, coefficients: Floats) -> float:
        """Return the sum for one more column of coefficients (terms), without a bias.

        What urgency is asked about is asked about its department next: the features are kept for that.
        """
        text = self._features(words(model_input))
        if len(self._ahead) >= _MOST_AHEAD:
            self._ahead.clear()
        self._ahead[model_input] = text
        return float(text.values @ coefficients[text.rows])

    def explain(self, model_input: ModelInput, column: int, most: int) -> list[tuple[str, float]]:
        """Return the words that speak for (+) and against (-) a label compared with the mean of the others."""
        return self._spoken(model_input, lambda rows: self._lead(rows, column), most)

    def spoken(self, model_input: ModelInput, coefficients: Floats, most: int) -> list[tuple[str, float]]:
        """Return the words that speak for (+) and against (-) what one more column of coefficients stands for."""
        return self._spoken(model_input, lambda rows: coefficients[rows], most)

    def _spoken(
        self, model_input: ModelInput, weights_of: Callable[[Rows], Floats], most: int
    ) -> list[tuple[str, float]]:
        """Return words with what they add, strongest first.

        Character n-grams count for the words they come from, a pair of words half for each.
        """
        fields = words(model_input)
        text = self._features(fields)
        gains = text.values * weights_of(text.rows) / text.counts
        gain_of = dict(zip(text.rows.tolist(), gains.tolist(), strict=True))
        weights: defaultdict[str, float] = defaultdict(float)
        for term, row in zip(word_ngrams(fields), self._words.rows(fields).tolist(), strict=True):
            parts = term.split(" ")
            for word in parts:
                weights[word] += gain_of.get(row, 0.0) / len(parts)
        for word in (word for field in fields for word in field):
            weights[word] += sum(gain_of[row] for row in self._chars(word).tolist())
        spoken = ((word, round(weight, 4)) for word, weight in weights.items() if word not in {START, END})
        return sorted((pair for pair in spoken if pair[1]), key=lambda pair: (-abs(pair[1]), pair[0]))[:most]

    def _lead(self, rows: Rows, column: int) -> Floats:
        """Return each row's coefficient for the label less the mean of the other labels'."""
        coefficients = self._coefficients[rows]
        own = coefficients[:, column]
        lead: Floats = own - (coefficients.sum(axis=1) - own) / max(1, coefficients.shape[1] - 1)
        return lead

    def _features(self, fields: Fields) -> _Text:
        """Return what is known of a text: in each block (1 + ln count) · idf scaled to length one, as scikit-learn's.

        Rows of words come before those of characters, so that both blocks are sorted and counted at once.
        """
        found = self._words.rows(fields)
        total = (len(found) + 1) // 2  # words and marks come first, then their pairs
        here = found != NONE
        known = int(np.count_nonzero(here[:total]))
        of_chars = (self._chars(word) for field in fields for word in field)
        rows, counts = _counted(np.concatenate([found[here], *of_chars]))
        values = (1 + np.log(counts.astype(np.float32))) * self._idf[rows]
        wordy = int(rows.searchsorted(self._first_char))
        for block in (slice(wordy), slice(wordy, None)):
            values[block] /= np.sqrt(values[block] @ values[block]) or np.float32(1)
        return _Text(rows, counts, values, wordy, known, total)

    def _chars(self, word: str) -> Rows:
        """Return the rows of a word's character n-grams, which never cross a word and so can be remembered."""
        known = self._memo.get(word)
        if known is not None:
            return known
        look_up, first = self._char_rows.get, self._first_char
        found = [row + first for gram in char_ngrams(word) if (row := look_up(gram)) is not None]
        rows = np.array(found, dtype=np.int32)
        if len(word) <= _MEMO_LENGTH and len(self._memo) < _MEMO_WORDS:
            self._memo[word] = rows
        return rows


class _Numbers(dict[str, int]):
    """Numbers words as they come."""

    def __missing__(self, word: str) -> int:
        """Give a word the next number."""
        self[word] = number = len(self)
        return number


class WordTerms:
    """The rows of words and of pairs of words.

    A pair is looked up by the numbers of its words in a sorted array: hundreds of thousands of texts would take ten
    times the memory, and looking for one of them mostly means waiting for memory.
    """

    def __init__(self, terms: Mapping[str, int]) -> None:
        parts, number = [term.partition(" ") for term in terms], _Numbers()
        first = np.fromiter((number[part[0]] for part in parts), dtype=np.int64, count=len(parts))
        second = np.fromiter((number[part[2]] if part[1] else NONE for part in parts), dtype=np.int64, count=len(parts))
        rows, is_pair = np.fromiter(terms.values(), dtype=np.int32, count=len(parts)), second != NONE
        self._numbers = dict(number)
        self._unknown = len(number)  # the number of all other words, which no pair has
        self._alone = np.full(self._unknown + 1, NONE, dtype=np.int32)
        self._alone[first[~is_pair]] = rows[~is_pair]
        pairs = self._pair(first, second)[is_pair]
        order = np.argsort(pairs)
        self._pairs = np.append(pairs[order], np.iinfo(np.int64).max)  # an end that is never found
        self._rows = np.append(rows[is_pair][order], np.int32(NONE))

    def _pair(self, first: Any, second: Any) -> Any:
        return first * (self._unknown + 1) + second

    def knows(self, word: str) -> bool:
        """Return whether a word is a term."""
        return bool(self._alone[self._numbers.get(word, self._unknown)] != NONE)

    def rows(self, fields: Fields) -> Rows:
        """Return the row of each of a text's terms (`word_ngrams`), `NONE` where it has none."""
        numbers, unknown = self._numbers.get, self._unknown
        found = np.array([numbers(word, unknown) for word in marked(fields)], dtype=np.int64)
        pairs = self._pair(found[:-1], found[1:])
        places = self._pairs.searchsorted(pairs)
        of_pairs = np.where(self._pairs[places] == pairs, self._rows[places], NONE)
        return np.concatenate([self._alone[found], of_pairs], dtype=np.int32)


def _counted(every: Rows) -> tuple[Rows, Counts]:
    """Return the distinct rows in order, and how often each occurs: numpy's `unique` without its many cases."""
    every.sort()
    new = np.empty(len(every) + 1, dtype=np.bool_)
    new[0] = new[-1] = True
    np.not_equal(every[1:], every[:-1], out=new[1:-1])
    begins = np.flatnonzero(new)  # and the end
    return every[begins[:-1]], begins[1:] - begins[:-1]
