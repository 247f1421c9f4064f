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
    _Lesson = tuple[Any, NDArray[np.str_], Floats]


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
    epochs = _stream.epochs(len(rest))
    lessons = _Lessons(reader, learner, room=_stream.KEPT_VALUES if epochs > 1 else 0)
    lessons.take(rest, epochs, _part(progress, 0.1, 0.8))
    progress("finding out how sure it may be", 0.8)
    fitted = reader.fitted(learner, sample)
    rows, margins, words = reader.tried(fitted, kept_back)
    meta, arrays = calibrate(rows, margins, labels, words=words).report(labels, settings.out_of_scope_share)
    if settings.encoder:
        from classifiers._fusion_train import with_encoder  # noqa: PLC0415  an extra that few have

        meta, arrays = with_encoder(
            meta, arrays, rows, margins, columns, settings=settings, progress=progress, said=words
        )
    lessons.take(kept_back, epochs // 3, _part(progress, 0.9, 1.0))
    fitted = replace(fitted, models=[Linear(*learner.coefficients())])
    more_meta, more = reader.urgency(sample, len(inside))
    meta |= {"streamed": True, "epochs": epochs + epochs // 3} | more_meta
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
    word_weight, rarity = (1.0 if given is None else given for given in (settings.word_weight, settings.rarity))
    learnt = Features.learn(counts, (word_weight, 1.0), 2, rarity)
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


class _Lessons:
    """Messages to learn, looked at again and again; a chunk stays as it is learnt as long as there is room."""

    def __init__(self, reader: _Reader, learner: Learner, room: int) -> None:
        self._reader = reader
        self._learner = learner
        self._room = room  # values
        self._chunks: list[Numbers] = []
        self._kept: dict[int, _Lesson] = {}
        self._order = np.random.default_rng(reader.seed)

    def take(self, numbers: Numbers, epochs: int, progress: Progress) -> None:
        """Learn these messages and all that were taken before, so many times each; with 0 only these, once."""
        first = 0 if epochs else len(self._chunks)
        self._chunks += _stream.chunks(numbers, self._reader.seed)
        total, done = max(1, epochs) * sum(map(len, self._chunks[first:])), 0
        for _ in range(max(1, epochs)):
            for place in (first + self._order.permutation(len(self._chunks) - first)).tolist():
                progress(f"learning ({done:,} of {total:,})", done / total)
                self._learner.learn(*self._lesson(place))
                done += len(self._chunks[place])

    def _lesson(self, place: int) -> _Lesson:
        lesson = self._kept.get(place) or self._reader.lesson(self._chunks[place])
        if place not in self._kept and lesson[0].nnz <= self._room:
            self._room -= lesson[0].nnz
            self._kept[place] = lesson
        return lesson


def _part(progress: Progress, start: float, end: float) -> Progress:
    return lambda what, share: progress(what, start + (end - start) * share)


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

    def lesson(self, numbers: Numbers) -> _Lesson:
        """Return values, labels and weights of these messages and of noisy copies of some."""
        rows = [row for row in self._rows(numbers) if row.department in self._columns]
        if self._settings.augment:
            copies = _stream.noisy([row.input for row in rows], len(self._examples), self._random)
            weight = self._settings.augment_weight
            rows += [replace(rows[place], input=said, weight=rows[place].weight * weight) for place, said in copies]
        weights = np.array([row.weight * self._balance[row.department] for row in rows])
        values = self._features.values(self._vocabulary.counts(row.input for row in rows))
        return values, np.array([row.department for row in rows]), weights

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
        rows = [*self._rows(sample[sample < inside]), *self._rows(sample[sample >= inside])]
        urgent = marks(rows)
        values = (
            self._features.values(self._vocabulary.counts(row.input for row in rows)) if (urgent > 0).any() else None
        )
        folds = deal([row.department for row in rows], [row.group for row in rows], self._settings.folds, self.seed)
        weights, typical = np.array([(row.weight, row.typical) for row in rows]).T
        return learn_urgency(values, urgent, folds, self.seed, weights=weights, typical=typical)
