"""Train and calibrate the linear model chunk by chunk: what `classifiers._train` does above thirty thousand rows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
import sklearn

from classifiers import _stream
from classifiers._artifact import Artifact
from classifiers._bayes import centroids, summed
from classifiers._corpus import OUT_OF_SCOPE
from classifiers._counts import count_terms
from classifiers._folds import deal
from classifiers._train import pack_model
from classifiers._trainer import Features, Fitted, Linear, Rows
from classifiers._tried import calibrate
from classifiers._urgent import learn as learn_urgency
from classifiers._urgent import marks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from classifiers._stream import Learner, Numbers, Vocabulary
    from classifiers.linear import LinearSettings
    from router.interfaces import Example, Progress

    Floats = NDArray[np.floating[Any]]


def train(
    inside: Sequence[Example],
    outside: Sequence[Example],
    hints: Sequence[Example],
    settings: LinearSettings,
    progress: Progress,
    *,
    seed: int,
) -> Artifact:
    """Return the model. Some messages are kept back until temperature and thresholds are found, then learnt, too."""
    labels = sorted({example.department for example in inside})
    learns_strangers = bool(outside) and settings.learn_out_of_scope
    columns = [*labels, OUT_OF_SCOPE] if learns_strangers else labels
    messages = [*inside, *outside]
    named = [example.department for example in messages]
    progress("learning the terms", 0.02)
    sample = _stream.sampled(named, _stream.SAMPLE, seed)
    features, vocabulary, terms = _vocabulary([messages[n] for n in sample], hints, settings)
    kept_back = _kept_back(messages, _stream.held_out(len(messages)), seed)
    reader = _Reader([*messages, *hints], columns, features, vocabulary, settings, seed)
    learner = _stream.Learner(columns, len(messages), seed)
    rest = np.setdiff1d(np.arange(len(messages) + len(hints)), kept_back)
    _learn(reader, learner, rest, progress)
    progress("finding out how sure it may be", 0.9)
    fitted = reader.fitted(learner, sample)
    rows, margins, words = reader.tried(fitted, kept_back)
    meta, arrays = calibrate(rows, margins, labels, words=words).report(labels, settings.out_of_scope_share)
    if settings.encoder:
        from classifiers._fusion_train import with_encoder  # noqa: PLC0415  an extra that few have

        meta, arrays = with_encoder(
            meta, arrays, rows, margins, columns, settings=settings, progress=progress, said=words
        )
    for chunk in _stream.chunks(kept_back, seed):
        reader.teach(learner, chunk)
    fitted = replace(fitted, models=[Linear(*learner.coefficients())])
    more_meta, more = reader.urgency(sample, len(inside))
    meta |= {"streamed": True, "epochs": _stream.epochs(len(messages))} | more_meta
    meta |= {"labels": labels, "rows": len(inside), "out_of_scope_rows": len(outside), "seed": seed}
    meta |= {"settings": settings.model_dump(mode="json")}
    meta |= {"libraries": {module.__name__: module.__version__ for module in (np, scipy, sklearn)}}
    progress("done", 1.0)
    return Artifact("linear", arrays | pack_model(fitted, terms) | more, meta)


def _vocabulary(
    sample: Sequence[Example], hints: Sequence[Example], settings: LinearSettings
) -> tuple[Features, Vocabulary, list[list[str]]]:
    """Return the features of a sample's terms, and the terms by number."""
    counts, terms = count_terms([example.input for example in (*sample, *hints)])
    learnt = Features.learn(counts, (1.0 if settings.word_weight is None else settings.word_weight, 1.0), 2)
    known = [[names[row] for row in kept] for names, kept in zip(terms, learnt.kept, strict=True)]
    features = replace(learnt, kept=[np.arange(len(names)) for names in known])
    word_terms, char_terms = ({term: number for number, term in enumerate(names)} for names in known)
    return features, _stream.Vocabulary(word_terms, char_terms), known


def _kept_back(messages: Sequence[Example], wanted: int, seed: int) -> Numbers:
    """Return which messages to keep back: drawn at random, near-duplicates together."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, message in enumerate(messages):
        groups[message.group or f"row {number}"].append(number)
    names = list(groups)
    Random(seed).shuffle(names)
    chosen: list[int] = []
    for name in names:
        if len(chosen) >= wanted:
            break
        chosen += groups[name]
    return np.array(sorted(chosen), dtype=np.intp)


def _learn(reader: _Reader, learner: Learner, numbers: Numbers, progress: Progress) -> None:
    epochs, done = _stream.epochs(len(numbers)), 0
    for epoch in range(epochs):
        for chunk in _stream.chunks(numbers, reader.seed + epoch):
            progress(f"learning ({done:,} of {epochs * len(numbers):,})", 0.1 + 0.8 * done / (epochs * len(numbers)))
            reader.teach(learner, chunk)
            done += len(chunk)


class _Reader:
    """Turns messages into what is learnt from, a chunk at a time."""

    def __init__(  # noqa: PLR0917  everything that a chunk needs
        self,
        examples: Sequence[Example],
        columns: Sequence[str],
        features: Features,
        vocabulary: Vocabulary,
        settings: LinearSettings,
        seed: int,
    ) -> None:
        self.seed = seed
        self._examples = examples
        self._columns = columns
        self._features = features
        self._vocabulary = vocabulary
        self._settings = settings
        self._balance = _stream.balanced([example.department for example in examples])
        self._random = Random(seed)
        self._single = np.array([" " not in term for term in vocabulary.word_terms])

    def _rows(self, numbers: Numbers) -> list[Example]:
        return [self._examples[number] for number in numbers]

    def teach(self, learner: Learner, numbers: Numbers) -> None:
        """Have these messages learnt, with noisy copies of some."""
        rows = [row for row in self._rows(numbers) if row.department in self._columns]
        if self._settings.augment:
            copies = _stream.noisy([row.input for row in rows], len(self._examples), self._random)
            weight = self._settings.augment_weight
            rows += [replace(rows[place], input=said, weight=rows[place].weight * weight) for place, said in copies]
        weights = np.array([row.weight * self._balance[row.department] for row in rows])
        values = self._features.values(self._vocabulary.counts(row.input for row in rows))
        learner.learn(values, np.array([row.department for row in rows]), weights)

    def fitted(self, learner: Learner, sample: Numbers) -> Fitted:
        """Return the pipeline as it stands; where each column's words lie is seen in the sample."""
        rows = [row for row in self._rows(sample) if row.department in self._columns]
        values = self._features.values(self._vocabulary.counts(row.input for row in rows))
        labels, weights = np.array([row.department for row in rows]), np.array([row.weight for row in rows])
        sums = summed(values[:, : len(self._vocabulary.word_terms)], labels, weights, self._columns)
        return Fitted(self._features, [Linear(*learner.coefficients())], centroids(sums))

    def tried(self, fitted: Fitted, numbers: Numbers) -> tuple[Rows, Floats, Any]:
        """Return messages that weren't learnt from as rows, their margins, and what their words say."""
        examples = self._rows(numbers)
        counts = self._vocabulary.counts(example.input for example in examples)
        values = self._features.values(counts)
        labels = [example.department for example in examples]
        rows = Rows(
            inputs=[example.input for example in examples],
            labels=np.array(labels),
            weights=np.array([example.weight for example in examples]),
            folds=deal(labels, [example.group for example in examples], self._settings.folds, self.seed),
            tried=np.ones(len(examples), dtype=bool),
            typical=np.array([example.typical for example in examples]),
        )
        return rows, fitted.models[0].margins(values), fitted.words(counts[0], values, self._single)

    def urgency(self, sample: Numbers, inside: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """Learn from the sample which messages are urgent."""
        rows, strangers = self._rows(sample[sample < inside]), self._rows(sample[sample >= inside])
        urgent, both = marks(rows, len(strangers)), [*rows, *strangers]
        values = (
            self._features.values(self._vocabulary.counts(row.input for row in both)) if (urgent > 0).any() else None
        )
        folds = deal([row.department for row in both], [row.group for row in both], self._settings.folds, self.seed)
        weights, typical = np.array([(row.weight, row.typical) for row in both]).T
        return learn_urgency(values, urgent, folds, self.seed, weights=weights, typical=typical)
