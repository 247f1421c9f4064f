"""Train the linear model with scikit-learn. Only this module and `_counts` need it: serving a model doesn't."""

from __future__ import annotations

from dataclasses import dataclass
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
from classifiers._corpus import OUT_OF_SCOPE
from classifiers._counts import count_terms
from classifiers._figures import first_choice_figures
from classifiers._folds import deal
from classifiers._lean import pack_terms
from classifiers._text import from_text
from router.errors import SignpostError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from classifiers.linear import LinearSettings
    from router.interfaces import Example, ModelInput, Progress

    Floats = NDArray[np.floating[Any]]
    Mask = NDArray[np.bool_]

_RARE_FROM_ROWS = 200  # with fewer rows every term counts, even one seen once
_LACKING = -2.0  # the margin of a label of which a fold's training rows held none
_EVERY_FOLD = -1
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
class Fitted:
    """A fitted pipeline: the terms it kept and their idf (per block), coefficients (terms × labels) and bias."""

    kept: list[NDArray[np.intp]]
    tfidf: list[TfidfTransformer]
    coefficients: Floats
    bias: Floats

    def margins(self, counts: Sequence[Any]) -> Floats:
        """Return the margins (rows × labels) of counted texts."""
        blocks = zip(counts, self.kept, self.tfidf, strict=True)
        values = hstack([tfidf.transform(block[:, kept]) for block, kept, tfidf in blocks]).tocsr()
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
    inside = [example for example in examples if example.department != OUT_OF_SCOPE]
    outside = [*out_of_scope, *(example.input for example in examples if example.department == OUT_OF_SCOPE)]
    labels = sorted({example.department for example in inside})
    if len(labels) < 2:
        raise SignpostError(f"training needs messages of at least two departments; there are {len(labels)}")
    progress("reading the messages", 0.0)
    rows = collect(inside, outside, settings, seed, descriptions)
    counts, terms = count_terms(rows.inputs)
    columns = [*labels, OUT_OF_SCOPE] if outside and settings.learn_out_of_scope else labels
    trainer = Trainer(rows, counts, columns, settings, seed)
    margins = trainer.out_of_fold(progress)
    progress("training the model", 0.8)
    final = trainer.fit(np.ones(len(rows.inputs), dtype=bool))
    meta, arrays = calibrate(rows, margins, labels, settings)
    meta |= {"labels": labels, "rows": len(inside), "out_of_scope_rows": len(outside), "seed": seed}
    meta |= {"settings": settings.model_dump(mode="json")}
    meta |= {"libraries": {module.__name__: module.__version__ for module in (np, scipy, sklearn)}}
    progress("done", 1.0)
    return Artifact("linear", arrays | pack_model(final, terms), meta)


def collect(
    inside: Sequence[Example],
    outside: Sequence[ModelInput],
    settings: LinearSettings,
    seed: int,
    descriptions: Mapping[str, str],
) -> Rows:
    """Put every row in one order; a noisy copy shares its original's fold, a description is in every fold."""
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
    for label, description in descriptions.items():
        if label in set(labels):
            inputs.append(from_text("", f"{label.replace('-', ' ').replace('_', ' ')}. {description}"))
            labels.append(label)
            weights.append(1.0)
            folds.append(_EVERY_FOLD)
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

    def out_of_fold(self, progress: Progress) -> Floats:
        """Return margins (tried rows × columns), each from a model that saw neither the row nor its group."""
        rows, folds = self.rows, self.settings.folds
        margins: Floats = np.full((int(rows.tried.sum()), len(self.columns)), _LACKING)
        for fold in range(folds):
            progress(f"testing on held-out messages ({fold + 1} of {folds})", 0.1 + 0.7 * fold / folds)
            held_out = np.flatnonzero(rows.tried & (rows.folds == fold))
            rest = rows.folds != fold
            if len(held_out) and len(set(rows.labels[rest]) & set(self.columns)) > 1:
                margins[held_out] = self.fit(rest).margins([block[held_out] for block in self.counts])
        return margins

    def fit(self, chosen: Mask) -> Fitted:
        """Fit both TF-IDF blocks and the classifier on the chosen rows whose label is one of the columns."""
        numbers = np.flatnonzero(chosen & np.isin(self.rows.labels, self.columns))
        rarest = 2 if len(numbers) >= _RARE_FROM_ROWS else 1
        kept, tfidf, values = [], [], []
        for block in self.counts:
            part = block[numbers]
            kept.append(np.flatnonzero(part.getnnz(axis=0) >= rarest))
            tfidf.append(TfidfTransformer(sublinear_tf=True))
            values.append(tfidf[-1].fit_transform(part[:, kept[-1]]))
        svc = LinearSVC(C=self.settings.c, class_weight="balanced", random_state=self.seed, max_iter=_MOST_STEPS)
        svc.fit(hstack(values).tocsr(), self.rows.labels[numbers], sample_weight=self.rows.weights[numbers])
        coefficients, bias = _widened(svc, self.columns)
        return Fitted(kept, tfidf, coefficients, bias)


def _widened(svc: LinearSVC, columns: Sequence[str]) -> tuple[Floats, Floats]:
    """Return coefficients (terms × columns) and bias; a column without training rows gets a constant low margin."""
    own, bias = svc.coef_, svc.intercept_
    if len(svc.classes_) == 2:  # scikit-learn keeps only the second label's
        own, bias = np.vstack((-own, own)), np.array([-bias[0], bias[0]])
    places = [list(columns).index(label) for label in svc.classes_]
    coefficients = np.zeros((own.shape[1], len(columns)))
    coefficients[:, places] = own.T
    wide_bias = np.full(len(columns), _LACKING)
    wide_bias[places] = bias
    return coefficients, wide_bias


def calibrate(
    rows: Rows, margins: Floats, labels: Sequence[str], settings: LinearSettings
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return temperature, thresholds and figures from out-of-fold margins, and the table they were read off."""
    tested = (margins[:, : len(labels)] != _LACKING).any(axis=1)
    margins, named, weights = margins[tested], rows.labels[rows.tried][tested], rows.weights[rows.tried][tested]
    own = margins[:, : len(labels)]
    in_scope = named != OUT_OF_SCOPE
    truth = np.searchsorted(labels, named) * in_scope
    fair = in_scope & (own[np.arange(len(own)), truth] != _LACKING)  # the fold's model knew the label
    temperature = fit_temperature(own[fair], truth[fair], weights[fair])
    likely = softmax(own, temperature)
    right = in_scope & (own.argmax(axis=1) == truth)
    weights = weights * share_weights(in_scope, settings.out_of_scope_share)
    trial = Trial(likely.max(axis=1), scores(margins, len(labels)), in_scope, right, weights)
    chosen = np.array(labels)[own.argmax(axis=1)]
    meta: dict[str, Any] = {
        "temperature": temperature,
        "operating_points": operating_points(trial),
        "metrics": first_choice_figures(named[in_scope].tolist(), chosen[in_scope].tolist()),
    }
    table: dict[str, NDArray[Any]] = {
        "trial_confidence": trial.confidence.astype(np.float32),
        "trial_score": trial.score.astype(np.float32),
        "trial_outcome": np.where(in_scope, right, 2).astype(np.uint8),  # 0 wrong, 1 right, 2 out of scope
    }
    order = np.argsort(-trial.confidence, kind="stable")
    return meta, {name: column[order] for name, column in table.items()}


def pack_model(fitted: Fitted, terms: Sequence[Sequence[str]]) -> dict[str, NDArray[Any]]:
    """Return the arrays that the lean scorer needs."""
    kept_terms = [pack_terms(names[row] for row in kept) for names, kept in zip(terms, fitted.kept, strict=True)]
    return {
        "word_terms": kept_terms[0],
        "char_terms": kept_terms[1],
        "idf": np.concatenate([tfidf.idf_ for tfidf in fitted.tfidf]).astype(np.float32),
        "coefficients": np.ascontiguousarray(fitted.coefficients, dtype=np.float32),
        "bias": fitted.bias.astype(np.float32),
    }
