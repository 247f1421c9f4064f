"""Train the linear model with scikit-learn. Only this module and `_counts` need it: serving a model doesn't."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
import sklearn
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.svm import LinearSVC

from classifiers._artifact import Artifact
from classifiers._augment import in_text_style, with_typos
from classifiers._bayes import centroids, opinions, summed
from classifiers._confidence import Words
from classifiers._corpus import GLOSSARY, OUT_OF_SCOPE
from classifiers._counts import count_terms
from classifiers._folds import deal
from classifiers._lean import pack_terms
from classifiers._text import from_text
from classifiers._tried import LACKING, calibrate
from classifiers._urgent import learn as learn_urgency
from classifiers._urgent import marks
from router.errors import SignpostError
from router.interfaces import Example

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from classifiers.linear import LinearSettings
    from router.interfaces import ModelInput, Progress

    Floats = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

C_CHOICES = (0.1, 0.3, 1.0)
"""How closely to follow the training rows: little data asks for less, much for more."""

BAYES_CHOICES = (0.0, 0.5)
"""How much counting words (`classifiers._bayes`) adds to it."""

_RARE_FROM_ROWS = 200  # with fewer rows every term counts, even one seen once
_EVERY_FOLD = -1
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
    def learn(cls, counts: Sequence[Any], weights: tuple[float, ...], rarest: int) -> Features:
        """Learn from the training rows' counts, one matrix per block; drop terms in fewer rows than `rarest`."""
        kept = [np.flatnonzero(block.getnnz(axis=0) >= rarest) for block in counts]
        parts = zip(counts, kept, strict=True)
        return cls(kept, [TfidfTransformer(sublinear_tf=True).fit(block[:, part]) for block, part in parts], weights)

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
    """How to fit: the machine's C, and how much the counted words add to it."""

    c: float
    bayes: float


def train(
    examples: Sequence[Example],
    out_of_scope: Sequence[ModelInput],
    settings: LinearSettings,
    progress: Progress,
    *,
    seed: int,
    descriptions: Mapping[str, str],
) -> Artifact:
    """Train and calibrate; see `classifiers.linear.train`."""
    glossary = [example for example in examples if example.source == GLOSSARY]
    messages = [example for example in examples if example.source != GLOSSARY]
    inside = [example for example in messages if example.department != OUT_OF_SCOPE]
    outside = [Example(input=row, department=OUT_OF_SCOPE) for row in out_of_scope]
    outside += [example for example in messages if example.department == OUT_OF_SCOPE]
    labels = sorted({example.department for example in inside})
    if len(labels) < 2:
        raise SignpostError(f"training needs messages of at least two departments; there are {len(labels)}")
    progress("reading the messages", 0.0)
    hints = [*_weighed(glossary, settings.glossary_weight), *_described(descriptions)]
    rows = collect(inside, outside, [hint for hint in hints if hint.department in labels], settings, seed)
    counts, terms = count_terms(rows.inputs)
    columns = [*labels, OUT_OF_SCOPE] if outside and settings.learn_out_of_scope else labels
    trainer = Trainer(rows, counts, np.array([" " not in term for term in terms[0]]), columns, settings, seed)
    choice, margins, words = trainer.out_of_fold(labels, progress)
    progress("training the model", 0.8)
    everything = np.ones(len(rows.inputs), dtype=bool)
    fitted = trainer.fit(everything, [choice])
    meta, arrays = calibrate(rows, margins, labels, words=words).report(labels, settings.out_of_scope_share)
    if settings.encoder:
        from classifiers._fusion_train import with_encoder  # noqa: PLC0415  an extra that few have

        meta, arrays = with_encoder(
            meta, arrays, rows, margins, columns, settings=settings, progress=progress, said=words
        )
    more_meta, more = _urgency(marks(inside, len(outside)), rows, fitted.features, counts, seed)
    meta |= {"c": choice.c, "bayes": choice.bayes} | more_meta
    meta |= {"labels": labels, "rows": len(inside), "out_of_scope_rows": len(outside), "seed": seed}
    meta |= {"settings": settings.model_dump(mode="json")}
    meta |= {"libraries": {module.__name__: module.__version__ for module in (np, scipy, sklearn)}}
    progress("done", 1.0)
    return Artifact("linear", arrays | pack_model(fitted, terms) | more, meta)


def _urgency(
    urgent: NDArray[np.int8], rows: Rows, features: Features, counts: Sequence[Any], seed: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Learn which of the tried rows, which come first, are urgent; from copies of them it would learn nothing new."""
    tried = len(urgent)
    values = features.values([block[:tried] for block in counts]) if (urgent > 0).any() else None
    return learn_urgency(values, urgent, rows.weights[:tried], rows.folds[:tried], seed)


def _weighed(glossary: Sequence[Example], weight: float) -> list[Example]:
    return [replace(term, weight=term.weight * weight) for term in glossary if weight > 0]


def _described(descriptions: Mapping[str, str]) -> list[Example]:
    """Return what departments say of themselves as one more message each, beginning with the label in words."""
    words = {label: label.replace("-", " ").replace("_", " ") for label in descriptions}
    return [
        Example(input=from_text("", f"{words[label]}. {text}"), department=label)
        for label, text in descriptions.items()
    ]


def collect(
    inside: Sequence[Example],
    outside: Sequence[Example],
    hints: Sequence[Example],
    settings: LinearSettings,
    seed: int,
) -> Rows:
    """Put every row in one order; a noisy copy shares its original's fold, a hint is learnt in every fold."""
    messages = [*inside, *outside]
    inputs, labels = [message.input for message in messages], [message.department for message in messages]
    weights = [*(message.weight for message in inside), *([1.0] * len(outside))]  # those hard to tell teach most
    typical = [message.typical for message in messages]
    folds = deal(labels, [message.group for message in messages], settings.folds, seed).tolist()
    tried = len(inputs)
    if settings.augment and len(inside) >= settings.augment_from * len(set(labels)):
        random = Random(seed)
        for number in range(len(inside)):
            for copy in (with_typos, in_text_style):
                inputs.append(copy(inputs[number], random))
                labels.append(labels[number])
                weights.append(weights[number] * settings.augment_weight)
                folds.append(folds[number])
    inputs += [hint.input for hint in hints]
    labels += [hint.department for hint in hints]
    weights += [hint.weight for hint in hints]
    folds += [_EVERY_FOLD] * len(hints)
    typical += [0.0] * (len(inputs) - tried)
    mask, dealt = np.arange(len(inputs)) < tried, np.array(folds, dtype=np.intp)
    return Rows(inputs, np.array(labels), np.array(weights), dealt, mask, np.array(typical))


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

        Margins and words are those of the tried rows. What isn't set is the choice with the least log-loss on the first
        fold, so that only one fold is fitted several times.
        """
        set_c, set_bayes = self.settings.c, self.settings.bayes
        choices: Sequence[Choice] = [
            Choice(c, bayes)
            for c in (C_CHOICES if set_c is None else (set_c,))
            for bayes in (BAYES_CHOICES if set_bayes is None else (set_bayes,))
        ]
        folds = self.settings.folds
        tried = int(self.rows.tried.sum())
        margins: Floats = np.full((tried, len(self.columns)), LACKING)
        words = [Words([0.0] * len(self.columns), 0, 0)] * tried
        for fold in range(folds):
            progress(f"testing on held-out messages ({fold + 1} of {folds})", 0.1 + 0.7 * fold / folds)
            answers = [np.where(margins == LACKING, part, margins) for part in self._held_out(fold, choices, words)]
            losses = [calibrate(self.rows, answer, labels).loss for answer in answers]
            best = losses.index(min(losses))
            choices, margins = [choices[best]], answers[best]
        return choices[0], margins, words

    def _held_out(self, fold: int, choices: Sequence[Choice], words: list[Words]) -> list[Floats]:
        """Return the margins of one fold's rows (the other rows lacking), per choice; note their words."""
        rest, tried = self.rows.folds != fold, self.rows.tried
        result: list[Floats] = [np.full((int(tried.sum()), len(self.columns)), LACKING) for _ in choices]
        held_out = np.flatnonzero(tried & ~rest)
        if len(held_out) and len(set(self.rows.labels[rest]) & set(self.columns)) > 1:
            fitted = self.fit(rest, choices)
            counts = [block[held_out] for block in self.counts]
            values = fitted.features.values(counts)
            for row, said in zip(held_out.tolist(), fitted.words(counts[0], values, self.single), strict=True):
                words[row] = said
            for margins, model in zip(result, fitted.models, strict=True):
                margins[held_out] = model.margins(values)
        return result

    def fit(self, chosen: Mask, choices: Sequence[Choice]) -> Fitted:
        """Fit features and, per choice, a classifier on the chosen rows whose label is one of the columns."""
        numbers = np.flatnonzero(chosen & np.isin(self.rows.labels, self.columns))
        counts = [block[numbers] for block in self.counts]
        features = Features.learn(counts, (self.settings.word_weight, 1.0), self._rarest(len(numbers)))
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


def pack_model(fitted: Fitted, terms: Sequence[Sequence[str]]) -> dict[str, NDArray[Any]]:
    """Return the arrays that the lean scorer needs; the blocks' weights go into the coefficients."""
    features, model = fitted.features, fitted.models[0]
    kept_terms = [pack_terms(names[row] for row in kept) for names, kept in zip(terms, features.kept, strict=True)]
    weights = np.concatenate([np.full(len(kept), w) for kept, w in zip(features.kept, features.weights, strict=True)])
    return {
        "word_terms": kept_terms[0],
        "char_terms": kept_terms[1],
        "idf": np.concatenate([tfidf.idf_ for tfidf in features.tfidf]).astype(np.float32),
        "coefficients": np.ascontiguousarray(model.coefficients * weights[:, None], dtype=np.float32),
        "bias": model.bias.astype(np.float32),
        "likeness": np.ascontiguousarray(fitted.likeness, dtype=np.float32),
    }
