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
from classifiers._calibrate import Trial, fit_temperature, operating_points, scores, share_weights, softmax
from classifiers._corpus import GLOSSARY, OUT_OF_SCOPE
from classifiers._counts import count_terms
from classifiers._figures import first_choice_figures
from classifiers._folds import deal
from classifiers._lean import pack_terms
from classifiers._text import from_text
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

_RARE_FROM_ROWS = 200  # with fewer rows every term counts, even one seen once
_LACKING = -2.0  # the margin of a label of which a fold's training rows held none
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
    outside = [*out_of_scope, *(example.input for example in messages if example.department == OUT_OF_SCOPE)]
    labels = sorted({example.department for example in inside})
    if len(labels) < 2:
        raise SignpostError(f"training needs messages of at least two departments; there are {len(labels)}")
    progress("reading the messages", 0.0)
    hints = [*_weighed(glossary, settings.glossary_weight), *_described(descriptions)]
    rows = collect(inside, outside, [hint for hint in hints if hint.department in labels], settings, seed)
    counts, terms = count_terms(rows.inputs)
    columns = [*labels, OUT_OF_SCOPE] if outside and settings.learn_out_of_scope else labels
    trainer = Trainer(rows, counts, columns, settings, seed)
    c, margins = trainer.out_of_fold(labels, progress)
    progress("training the model", 0.8)
    everything = np.ones(len(rows.inputs), dtype=bool)
    features, (final,) = trainer.fit(everything, [c])
    meta, arrays = calibrate(rows, margins, labels).report(labels, settings.out_of_scope_share)
    meta |= {"c": c}
    meta |= {"labels": labels, "rows": len(inside), "out_of_scope_rows": len(outside), "seed": seed}
    meta |= {"settings": settings.model_dump(mode="json")}
    meta |= {"libraries": {module.__name__: module.__version__ for module in (np, scipy, sklearn)}}
    progress("done", 1.0)
    return Artifact("linear", arrays | pack_model(features, final, terms), meta)


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
    outside: Sequence[ModelInput],
    hints: Sequence[Example],
    settings: LinearSettings,
    seed: int,
) -> Rows:
    """Put every row in one order; a noisy copy shares its original's fold, a hint is learnt in every fold."""
    inputs = [*(example.input for example in inside), *outside]
    labels = [*(example.department for example in inside), *([OUT_OF_SCOPE] * len(outside))]
    weights = [*(example.weight for example in inside), *([1.0] * len(outside))]
    folds = deal(
        labels, [*(example.group for example in inside), *([""] * len(outside))], settings.folds, seed
    ).tolist()
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
    mask = np.arange(len(inputs)) < tried
    return Rows(inputs, np.array(labels), np.array(weights), np.array(folds, dtype=np.intp), mask)


@dataclass(frozen=True, slots=True)
class Trainer:
    """Fits the pipeline on parts of the rows, whose terms were counted once. One column of margins per label."""

    rows: Rows
    counts: Sequence[Any]
    columns: Sequence[str]
    settings: LinearSettings
    seed: int

    def out_of_fold(self, labels: Sequence[str], progress: Progress) -> tuple[float, Floats]:
        """Return C and margins (tried rows × columns), each from a model that didn't see the row's group.

        Unless it is set, C is the choice with the least log-loss on the first fold, so that only one fold is fitted
        several times.
        """
        choices: Sequence[float] = (self.settings.c,) if self.settings.c is not None else C_CHOICES
        folds = self.settings.folds
        margins: Floats = np.full((int(self.rows.tried.sum()), len(self.columns)), _LACKING)
        for fold in range(folds):
            progress(f"testing on held-out messages ({fold + 1} of {folds})", 0.1 + 0.7 * fold / folds)
            answers = [np.where(margins == _LACKING, part, margins) for part in self._held_out(fold, choices)]
            losses = [calibrate(self.rows, answer, labels).loss for answer in answers]
            best = losses.index(min(losses))
            choices, margins = [choices[best]], answers[best]
        return choices[0], margins

    def _held_out(self, fold: int, choices: Sequence[float]) -> list[Floats]:
        """Return the margins of one fold's rows (the other rows lacking), per choice of C."""
        rest, tried = self.rows.folds != fold, self.rows.tried
        result: list[Floats] = [np.full((int(tried.sum()), len(self.columns)), _LACKING) for _ in choices]
        held_out = np.flatnonzero(tried & ~rest)
        if len(held_out) and len(set(self.rows.labels[rest]) & set(self.columns)) > 1:
            features, models = self.fit(rest, choices)
            values = features.values([block[held_out] for block in self.counts])
            for margins, model in zip(result, models, strict=True):
                margins[held_out] = model.margins(values)
        return result

    def fit(self, chosen: Mask, choices: Sequence[float]) -> tuple[Features, list[Linear]]:
        """Fit features and, per choice of C, a classifier on the chosen rows whose label is one of the columns."""
        numbers = np.flatnonzero(chosen & np.isin(self.rows.labels, self.columns))
        counts = [block[numbers] for block in self.counts]
        features = Features.learn(counts, (self.settings.word_weight, 1.0), self._rarest(len(numbers)))
        values, labels, weights = features.values(counts), self.rows.labels[numbers], self.rows.weights[numbers]
        models = []
        for c in choices:
            svc = LinearSVC(C=c, class_weight="balanced", random_state=self.seed, max_iter=_MOST_STEPS, tol=TOLERANCE)
            models.append(_widened(svc.fit(values, labels, sample_weight=weights), self.columns))
        return features, models

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
    wide_bias = np.full(len(columns), _LACKING)
    wide_bias[places] = bias
    return Linear(coefficients, wide_bias)


@dataclass(frozen=True, slots=True)
class Tried:
    """What the out-of-fold margins say: the temperature that fits them, its mean log-loss, and the answers."""

    temperature: float
    loss: float
    trial: Trial
    named: list[str]
    chosen: list[int]

    def report(self, labels: Sequence[str], out_of_scope_share: float) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the metadata with thresholds and figures, and the table they were read off, surest first."""
        trial, inside = self.trial, self.trial.in_scope
        weighed = replace(trial, weight=trial.weight * share_weights(inside, out_of_scope_share))
        pairs = [(name, labels[number]) for name, number in zip(self.named, self.chosen, strict=True)]
        pairs = [pair for pair in pairs if pair[0] != OUT_OF_SCOPE]
        meta = {
            "temperature": self.temperature,
            "operating_points": operating_points(weighed),
            "metrics": first_choice_figures([name for name, _ in pairs], [chosen for _, chosen in pairs]),
        }
        order = np.argsort(-trial.confidence, kind="stable")
        table = {
            "trial_confidence": trial.confidence[order].astype(np.float32),
            "trial_score": trial.score[order].astype(np.float32),
            "trial_outcome": np.where(inside, trial.right, 2)[order].astype(np.uint8),  # 2: out of scope
        }
        return meta, table


def calibrate(rows: Rows, margins: Floats, labels: Sequence[str]) -> Tried:
    """Fit the temperature to out-of-fold margins (tried rows × columns) and note every answer."""
    tested = (margins[:, : len(labels)] != _LACKING).any(axis=1)
    margins, named, weights = margins[tested], rows.labels[rows.tried][tested], rows.weights[rows.tried][tested]
    own = margins[:, : len(labels)]
    in_scope = named != OUT_OF_SCOPE
    truth = np.searchsorted(labels, named) * in_scope
    fair = in_scope & (own[np.arange(len(own)), truth] != _LACKING)  # the fold's model knew the label
    temperature, loss = fit_temperature(own[fair], truth[fair], weights[fair])
    chosen = own.argmax(axis=1)
    confidence, score = softmax(own, temperature).max(axis=1), scores(margins, len(labels))
    trial = Trial(confidence, score, in_scope, in_scope & (chosen == truth), weights)
    return Tried(temperature, loss, trial, named.tolist(), chosen.tolist())


def pack_model(features: Features, model: Linear, terms: Sequence[Sequence[str]]) -> dict[str, NDArray[Any]]:
    """Return the arrays that the lean scorer needs; the blocks' weights go into the coefficients."""
    kept_terms = [pack_terms(names[row] for row in kept) for names, kept in zip(terms, features.kept, strict=True)]
    weights = np.concatenate([np.full(len(kept), w) for kept, w in zip(features.kept, features.weights, strict=True)])
    return {
        "word_terms": kept_terms[0],
        "char_terms": kept_terms[1],
        "idf": np.concatenate([tfidf.idf_ for tfidf in features.tfidf]).astype(np.float32),
        "coefficients": np.ascontiguousarray(model.coefficients * weights[:, None], dtype=np.float32),
        "bias": model.bias.astype(np.float32),
    }
