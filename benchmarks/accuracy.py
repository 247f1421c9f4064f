"""The bundled model's answers on messages it never saw, and how fast the lean scorer gives them beside scikit-learn."""

from __future__ import annotations

import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure
from benchmarks.model import bundled_model
from benchmarks.processes import ROOT
from classifiers import linear
from classifiers._corpus import load_corpus
from classifiers._evaluate import evaluate
from classifiers._text import from_row
from router.serving import thresholds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from classifiers._artifact import Artifact
    from router.interfaces import ModelInput

VALIDATION = ROOT.parent / "shared" / "data" / "routing_validation.jsonl"
TARGET_ERROR = 0.05  # the default of routing.target_error
ROUNDS, PER_ROUND = 5, 400
_FIGURES = ("accuracy", "macro_f1", "coverage", "selective_accuracy")


def measure() -> list[Figure]:
    """Return the figures of answering."""
    artifact = bundled_model()
    return [*_answers(artifact), _speed(artifact)]


def validation() -> list[dict[str, Any]]:
    """Return the rows of the validation set, none if it isn't beside this repository."""
    if not VALIDATION.exists():
        return []
    return [json.loads(line) for line in VALIDATION.read_text(encoding="utf-8").splitlines() if line.strip()]


def _answers(artifact: Artifact) -> list[Figure]:
    rows = validation()
    if not rows:
        note = f"skipped: there is no {VALIDATION.name} beside this repository (it is for measuring and isn't shipped)"
        return [Figure(name=f"model.{name}", value=None, unit="share", n=0, note=note) for name in _FIGURES]
    limits = thresholds(artifact.meta, TARGET_ERROR)
    found = evaluate(linear.load(artifact), rows, limits.min_confidence, limits.min_score)
    print(", ".join(f"{name} {found[name]}" for name in _FIGURES), file=sys.stderr)
    return [_figure(name, found, len(rows)) for name in _FIGURES]


def _figure(name: str, found: dict[str, Any], rows: int) -> Figure:
    return Figure(
        name=f"model.{name}",
        value=found[name],
        unit="share",
        n=rows,
        note="invented messages by another hand than the corpus, never trained on",
        detail={"interval_95": found["intervals"][name]},
    )


def _speed(artifact: Artifact) -> Figure:
    """Answer the same messages one at a time with both, in turns."""
    corpus = load_corpus()
    inputs = [from_row(row) for row in corpus.rows]
    pipeline = _pipeline(inputs, [str(row["department"]) for row in corpus.rows])
    asked = inputs[:: max(1, len(inputs) // PER_ROUND)][:PER_ROUND]
    ours, peer = linear.load(artifact), [_joined(each) for each in asked]
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        rates[0].append(_rate(asked, lambda one: ours.predict([one])))
        rates[1].append(_rate(peer, lambda one: pipeline.predict([one])))
    print(f"lean scorer {median(rates[0]):.0f}/s, Pipeline.predict {median(rates[1]):.0f}/s", file=sys.stderr)
    return Figure(
        name="model.speed",
        value=round(median(rates[0]), 1),
        unit="messages/s",
        peer=round(median(rates[1]), 1),
        n=ROUNDS * len(asked),
        note="one message at a time in one thread; the peer is scikit-learn's Pipeline with the same n-grams",
        detail={"terms": int(artifact.arrays["idf"].shape[0]), "peer_terms": _terms(pipeline)},
    )


def _rate(items: Sequence[Any], ask: Callable[[Any], object]) -> float:
    began = time.perf_counter()
    for item in items:
        ask(item)
    return len(items) / (time.perf_counter() - began)


def _joined(model_input: ModelInput) -> str:
    return f"{model_input.subject}\n{model_input.topic}\n{model_input.body}"


def _pipeline(inputs: Sequence[ModelInput], labels: Sequence[str]) -> Any:
    """Return the same features and kind of model as scikit-learn builds them."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415  slow to import, and only needed here
    from sklearn.pipeline import FeatureUnion, Pipeline  # noqa: PLC0415  as above
    from sklearn.svm import LinearSVC  # noqa: PLC0415  as above

    common: dict[str, Any] = {"sublinear_tf": True, "min_df": 2, "strip_accents": "unicode"}
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", **common)
    parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), **common)
    union = FeatureUnion([("words", words), ("parts", parts)])
    pipeline = Pipeline([("features", union), ("model", LinearSVC(C=0.5, class_weight="balanced"))])
    return pipeline.fit([_joined(each) for each in inputs], list(labels))


def _terms(pipeline: Any) -> int:
    return sum(len(part.vocabulary_) for _name, part in pipeline.named_steps["features"].transformer_list)
