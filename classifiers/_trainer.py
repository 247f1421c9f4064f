"""Fit the linear pipeline on parts of the rows, and choose how: the machinery of `classifiers._train`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.svm import LinearSVC

from classifiers._bayes import centroids, opinions, summed
from classifiers._confidence import Words
from classifiers._tried import LACKING, calibrate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from classifiers.linear import LinearSettings
    from router.interfaces import ModelInput, Progress

    Floats = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

C_CHOICES = (0.1, 0.3, 1.0)
"""How closely to follow the training rows: little data asks for less, much for more; the first is for little only."""

BAYES_CHOICES = (0.0, 0.5)
"""How much counting words (`classifiers._bayes`) adds to it."""

WORD_WEIGHT_CHOICES = (0.7, 1.0)
"""How much words count beside their parts. With many messages it makes no difference."""

RARITY_CHOICES = (0.5, 1.5)
"""How much rare terms count, beside 1: the power of their idf. Short questions ask for less, long mail for more."""

_FEW_ROWS = 3_000  # up to here every choice is tried on every fold
_MANY_ROWS = 6_000  # from here on a row has one noisy copy instead of two while it is tried
_RARE_FROM_ROWS = 200  # with fewer rows every term counts, even one seen once
EVERY_FOLD = -1
TOLERANCE = 1e-2  # of the solver; a closer fit changed no figure and took half as long again
_MOST_STEPS = 20_000  # of the solver; a few hundred do


@dataclass(frozen=True, slots=True)
class Rows:
    """All that is trained on or tried, in one order: examples, out-of-scope rows, noisy copies, descriptions."""

    inputs: list[ModelInput]
    labels: NDArray[np.str_]
    weights: Floats
    folds: NDArray[np.intp]
    tried: Mask  # examples and out-of-scope rows
    typical: Floats  # how much each counts in what is measured


@dataclass(frozen=True, slots=True)
class Features:
    """How counts become values: the terms kept (per block), their idf, and how much each block counts."""

    kept: list[NDArray[np.intp]]
    tfidf: list[TfidfTransformer]
    weights: tuple[float, ...]

    @classmethod
    def learn(cls, counts: Sequence[Any], weights: tuple[float, ...], rarest: int, rarity: float = 1.0) -> Features:
        """Learn from the training rows' counts, one matrix per block; drop terms in fewer rows than `rarest`.

        The idf is taken to the power of `rarity`.
        """
        kept = [np.flatnonzero(block.getnnz(axis=0) >= rarest) for block in counts]
        parts = zip(counts, kept, strict=True)
        tfidf = [TfidfTransformer(sublinear_tf=True).fit(block[:, part]) for block, part in parts]
        for each in tfidf:
            each.idf_ = each.idf_**rarity
        return cls(kept, tfidf, weights)

    def values(self, counts: Sequence[Any]) -> Any:
        """Return the rows' TF-IDF values, each block of length one times its weight (CSR)."""
        blocks = zip(counts, self.kept, self.tfidf, self.weights, strict=True)
        return hstack([tfidf.transform(block[:, kept]) * weight for block, kept, tfidf, weight in blocks]).tocsr()


@dataclass(frozen=True, slots=True)
class Linear:
    """Coefficients (terms × columns) and bias."""

    coefficients: Floats
    bias: Floats

    def margins(self, values: Any) -> Floats:
        """Return margins (rows × columns)."""
        result: Floats = values @ self.coefficients + self.bias
        return result

    def plus(self, coefficients: Floats) -> Linear:
        """Return the sum with coefficients for the first terms."""
        total = self.coefficients.copy()
        total[: len(coefficients)] += coefficients
        return Linear(total, self.bias)


@dataclass(frozen=True, slots=True)
class Choice:
    """How to fit: the machine's C, what counting words adds, what words count beside their parts, and rare terms."""

    c: float
    bayes: float
    word_weight: float = 1.0
    rarity: float = 1.0


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted pipeline, in one or more variants; `likeness` (word terms × columns) is where each column's rows lie."""

    features: Features
    models: list[Linear]
    likeness: Floats

    def words(self, counts: Any, values: Any, single: Mask) -> list[Words]:
        """Return what the words of some rows say, from their counts and values; `single` tells which are one word."""
        kept = np.zeros(len(single), dtype=bool)
        kept[self.features.kept[0]] = True
        known, total = (counts[:, which].sum(axis=1).ravel().tolist()[0] for which in (kept & single, single))
        likeness = values[:, : len(self.likeness)] @ self.likeness / (self.features.weights[0] or 1.0)
        return [Words(*row) for row in zip(likeness.tolist(), known, total, strict=True)]


@dataclass(frozen=True, slots=True)
class Trainer:
    """Fits the pipeline on parts of the rows, whose terms were counted once. One column of margins per label."""

    rows: Rows
    counts: Sequence[Any]
    single: Mask  # which word terms are one word
    columns: Sequence[str]
    settings: LinearSettings
    seed: int

    def out_of_fold(self, labels: Sequence[str], progress: Progress) -> tuple[Choice, Floats, list[Words]]:
        """Return how to fit, and what a model that didn't see the row's group says of it.

        Margins and words are those of the tried rows. What isn't set is the choice with the least log-loss: on all
        folds where there are few rows, else on the first one, without noisy copies. How much rare terms count is tried
        with the best of the other choices.
        """
        folds, tried = self.settings.folds, int(self.rows.tried.sum())
        choices = self._choices(few=tried <= _FEW_ROWS)
        progress("choosing how closely to follow the messages", 0.05)
        open_still = len(choices) > 1 or self.settings.rarity is None
        best = self._best(choices, labels, few=tried <= _FEW_ROWS) if open_still else choices[0]
        margins: Floats = np.full((tried, len(self.columns)), LACKING)
        words = [Words([0.0] * len(self.columns), 0, 0)] * tried
        shown = self.rows.tried | (self.rows.folds == EVERY_FOLD) | self._copies(1 if tried >= _MANY_ROWS else 2)
        for fold in range(folds):
            progress(f"testing on held-out messages ({fold + 1} of {folds})", 0.25 + 0.55 * fold / folds)
            (part,) = self._held_out(fold, [best], shown, words)
            margins = np.where(margins == LACKING, part, margins)
        return best, margins, words

    def _choices(self, *, few: bool) -> list[Choice]:
        """Return every choice that the settings leave open."""
        given = self.settings
        cs = C_CHOICES if self.rows.tried.sum() < _MANY_ROWS else C_CHOICES[1:]
        return [
            Choice(c, bayes, word_weight, 1.0 if given.rarity is None else given.rarity)
            for c in (cs if given.c is None else (given.c,))
            for bayes in (BAYES_CHOICES if given.bayes is None else (given.bayes,))
            for word_weight in (_word_weights(few) if given.word_weight is None else (given.word_weight,))
        ]

    def _copies(self, most: int) -> Mask:
        """Return which rows are noisy copies, at most so many of each message."""
        copies = np.flatnonzero(~self.rows.tried & (self.rows.folds != EVERY_FOLD))
        chosen = np.zeros(len(self.rows.labels), dtype=bool)
        chosen[copies if most == 2 else copies[np.arange(len(copies)) % 4 % 3 == 0]] = (
            True  # in turns one kind and the other
        )
        return chosen

    def _best(self, choices: Sequence[Choice], labels: Sequence[str], *, few: bool) -> Choice:
        """Return the choice with the least log-loss on rows that weren't learnt from."""
        losses = self._losses(choices, labels, few=few)
        least = min(losses)
        best = choices[losses.index(least)]
        if self.settings.rarity is not None:
            return best
        for rarity in RARITY_CHOICES:
            (loss,) = self._losses([replace(best, rarity=rarity)], labels, few=few)
            if loss < least:  # the other direction then does worse
                return replace(best, rarity=rarity)
        return best

    def _losses(self, choices: Sequence[Choice], labels: Sequence[str], *, few: bool) -> list[float]:
        shown = np.ones(len(self.rows.labels), dtype=bool) if few else ~self._copies(2)
        shape = (int(self.rows.tried.sum()), len(self.columns))
        margins: list[Floats] = [np.full(shape, LACKING) for _ in choices]
        for fold in range(self.settings.folds if few else 1):
            parts = self._held_out(fold, choices, shown)
            margins = [np.where(known == LACKING, part, known) for known, part in zip(margins, parts, strict=True)]
        return [calibrate(self.rows, answer, labels).loss for answer in margins]

    def _held_out(
        self, fold: int, choices: Sequence[Choice], shown: Mask, words: list[Words] | None = None
    ) -> list[Floats]:
        """Return the margins of one fold's rows (the other rows lacking), per choice; note their words.

        Of the other folds' rows those that are `shown` are learnt from.
        """
        rest, tried = (self.rows.folds != fold) & shown, self.rows.tried
        result: list[Floats] = [np.full((int(tried.sum()), len(self.columns)), LACKING) for _ in choices]
        held_out = np.flatnonzero(tried & (self.rows.folds == fold))
        if not len(held_out) or len(set(self.rows.labels[rest]) & set(self.columns)) < 2:
            return result
        counts = [block[held_out] for block in self.counts]
        for word_weight in {choice.word_weight: None for choice in choices}:
            places = [place for place, choice in enumerate(choices) if choice.word_weight == word_weight]
            fitted = self.fit(rest, [choices[place] for place in places])
            values = fitted.features.values(counts)
            for place, model in zip(places, fitted.models, strict=True):
                result[place][held_out] = model.margins(values)
            if words is not None:
                for row, said in zip(held_out.tolist(), fitted.words(counts[0], values, self.single), strict=True):
                    words[row] = said
        return result

    def fit(self, chosen: Mask, choices: Sequence[Choice]) -> Fitted:
        """Fit features and, per choice, a classifier on the chosen rows whose label is one of the columns.

        All choices have the same word weight and rarity.
        """
        numbers = np.flatnonzero(chosen & np.isin(self.rows.labels, self.columns))
        counts = [block[numbers] for block in self.counts]
        form = choices[0]
        features = Features.learn(counts, (form.word_weight, 1.0), self._rarest(len(numbers)), form.rarity)
        values, labels, weights = features.values(counts), self.rows.labels[numbers], self.rows.weights[numbers]
        wordy = len(features.kept[0])
        sums = summed(values[:, :wordy], labels, weights, self.columns)
        counted = opinions(sums)
        machines: dict[float, Linear] = {}
        for c in {choice.c: None for choice in choices}:
            svc = LinearSVC(C=c, class_weight="balanced", random_state=self.seed, max_iter=_MOST_STEPS, tol=TOLERANCE)
            machines[c] = _widened(svc.fit(values, labels, sample_weight=weights), self.columns)
        models = [machines[choice.c].plus(counted * choice.bayes) for choice in choices]
        return Fitted(features, models, centroids(sums))

    def _rarest(self, rows: int) -> int:
        """Return in how many rows a term must stand: what stands in one only teaches little and costs much."""
        return 2 if rows >= _RARE_FROM_ROWS else 1


def _word_weights(few: bool) -> tuple[float, ...]:
    return WORD_WEIGHT_CHOICES if few else WORD_WEIGHT_CHOICES[-1:]


def _widened(svc: LinearSVC, columns: Sequence[str]) -> Linear:
    """Return one column of coefficients per label; one without training rows gets a constant low margin."""
    own, bias = svc.coef_, svc.intercept_
    if len(svc.classes_) == 2:  # scikit-learn keeps only the second label's
        own, bias = np.vstack((-own, own)), np.array([-bias[0], bias[0]])
    places = [list(columns).index(label) for label in svc.classes_]
    coefficients = np.zeros((own.shape[1], len(columns)))
    coefficients[:, places] = own.T
    wide_bias = np.full(len(columns), LACKING)
    wide_bias[places] = bias
    return Linear(coefficients, wide_bias)
