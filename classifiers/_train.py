"""Train the linear model with scikit-learn, which only training needs: serving a model doesn't."""

from __future__ import annotations

from dataclasses import asdict, replace
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy
import sklearn

from classifiers._artifact import Artifact
from classifiers._augment import in_text_style, with_typos
from classifiers._corpus import GLOSSARY, OUT_OF_SCOPE
from classifiers._counts import count_terms
from classifiers._folds import deal
from classifiers._lean import pack_terms
from classifiers._stream import ABOVE_ROWS
from classifiers._text import from_text
from classifiers._trainer import EVERY_FOLD, Features, Fitted, Rows, Trainer
from classifiers._tried import calibrate
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
    hints = [hint for hint in hints if hint.department in labels]
    if len(inside) + len(outside) > ABOVE_ROWS:
        from classifiers import _stream_train  # noqa: PLC0415  it builds on this module

        return _stream_train.train(inside, outside, hints, settings, progress, seed=seed)
    rows = collect(inside, outside, hints, settings, seed)
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
    more_meta, more = _urgency(marks([*inside, *outside]), rows, fitted.features, counts, seed)
    meta |= asdict(choice) | more_meta
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
    weights, typical = rows.weights[:tried], rows.typical[:tried]
    return learn_urgency(values, urgent, rows.folds[:tried], seed, weights=weights, typical=typical)


def _weighed(glossary: Sequence[Example], weight: float) -> list[Example]:
    return [replace(term, weight=term.weight * weight) for term in glossary if weight > 0]


def _described(descriptions: Mapping[str, str]) -> list[Example]:
    """Return what departments say of themselves as one more message each, beginning with the label in words."""
    words = {label: label.replace("-", " ").replace("_", " ") for label in descriptions}
    return [
        Example(input=from_text("", f"{words[label]}. {text}".strip()), department=label)
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
    folds += [EVERY_FOLD] * len(hints)
    typical += [0.0] * (len(inputs) - tried)
    mask, dealt = np.arange(len(inputs)) < tried, np.array(folds, dtype=np.intp)
    return Rows(inputs, np.array(labels), np.array(weights), dealt, mask, np.array(typical))


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
