"""Train a fresh model on any labels with the command's own code, ask it, and ask the plainest peer the same."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.model import TYPE
from classifiers import _artifact
from classifiers._corpus import OUT_OF_SCOPE
from classifiers._evaluate import answers_of, figures_of
from classifiers._text import from_text
from router.learning.train import train
from router.plugins import classifier_types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.public import Row
    from router.interfaces import Classifier


@dataclass(frozen=True, slots=True)
class Fresh:
    """A model, what training it cost in seconds, and its metadata."""

    model: Classifier
    seconds: float
    cpu_s: float
    meta: dict[str, Any]


def learn(rows: Sequence[Row], strangers: Sequence[str] = (), encoder: Path | None = None) -> Fresh:
    """Train as `signpost train --no-corpus --data rows.jsonl --out DIR` does, reading and calibration included."""
    kind = classifier_types().get(TYPE)
    settings = kind.settings(encoder=str(encoder)) if encoder else kind.settings()
    with tempfile.TemporaryDirectory(prefix="signpost-bench-") as folder:
        data, out = Path(folder) / "rows.jsonl", Path(folder) / "model"
        every = [*rows, *((text, OUT_OF_SCOPE) for text in strangers)]
        lines = (json.dumps({"body": text, "department": label}) + "\n" for text, label in every)
        data.write_text("".join(lines), encoding="utf-8")
        began, cpu = time.perf_counter(), time.process_time()
        train(kind, settings, progress=lambda *_: None, files=[str(data)], no_corpus=True, out_dir=out)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        artifact, _manifest = _artifact.load(out)
        return Fresh(kind.load(artifact), seconds, cpu_s, dict(artifact.meta))


def figures(model: Classifier, rows: Sequence[Row]) -> dict[str, Any]:
    """Return accuracy, macro-F1 and calibration error with intervals, nothing abstained."""
    asked = [{"body": text, "department": label} for text, label in rows]
    return figures_of(answers_of(model, asked, 0.0, float("-inf")), asked)


def accuracy(model: Classifier, rows: Sequence[Row]) -> float:
    """Return the share of first choices that are right."""
    answers = model.predict([from_text("", text) for text, _label in rows])
    return float(np.mean([answer.ranking[0][0] == label for answer, (_text, label) in zip(answers, rows, strict=True)]))


def auroc(model: Classifier, inside: Sequence[str], outside: Sequence[str]) -> float:
    """Return how well the score tells in-scope texts from others: the chance that it ranks a pair rightly."""
    own, foreign = (
        [p.score for p in model.predict([from_text("", text) for text in texts])] for texts in (inside, outside)
    )
    order = np.argsort(np.argsort([*own, *foreign], kind="stable"), kind="stable") + 1
    return float((order[: len(own)].sum() - len(own) * (len(own) + 1) / 2) / (len(own) * len(foreign)))


class Peer:
    """The plainest thing that works: `TfidfVectorizer()` and `LogisticRegression()` with their defaults."""

    def __init__(self, rows: Sequence[Row]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415  slow to import
        from sklearn.linear_model import LogisticRegression  # noqa: PLC0415  as above
        from sklearn.pipeline import make_pipeline  # noqa: PLC0415  as above

        self._pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(max_iter=1000))
        self._pipeline.fit([text for text, _label in rows], [label for _text, label in rows])

    def accuracy(self, rows: Sequence[Row]) -> float:
        """Return the share of answers that are right."""
        chosen = self._pipeline.predict([text for text, _label in rows])
        return float(np.mean(chosen == np.array([label for _text, label in rows])))

    def macro_f1(self, rows: Sequence[Row]) -> float:
        """Return the mean F1 of the labels."""
        from sklearn.metrics import f1_score  # noqa: PLC0415  as above

        chosen = self._pipeline.predict([text for text, _label in rows])
        return float(f1_score([label for _text, label in rows], chosen, average="macro"))

    def auroc(self, inside: Sequence[str], outside: Sequence[str]) -> float:
        """Return how well its highest probability tells in-scope texts from others."""
        from sklearn.metrics import roc_auc_score  # noqa: PLC0415  as above

        best = self._pipeline.predict_proba([*inside, *outside]).max(axis=1)
        return float(roc_auc_score([1] * len(inside) + [0] * len(outside), best))
