"""The classifier that ships: a linear support-vector machine over word and character n-grams, with temperature.

Loading and serving need neither scikit-learn nor scipy; `train` imports them when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from classifiers._calibrate import scores, softmax
from classifiers._corpus import OUT_OF_SCOPE
from classifiers._lean import LeanScorer, unpack_terms
from router.errors import BadArtifact
from router.interfaces import ClassifierType, Settings
from router.records import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from classifiers._artifact import Artifact
    from router.interfaces import Example, ModelInput, Progress


class LinearSettings(Settings):
    """Settings of the linear classifier; the defaults were chosen by cross-validation on the bundled corpus."""

    c: Annotated[
        float | None,
        Field(
            gt=0, le=1000, description="How closely to follow the training messages; chosen on held-out ones if unset."
        ),
    ] = None
    word_weight: Annotated[float, Field(ge=0, le=10, description="How much words count beside parts of words.")] = 1.0
    folds: Annotated[int, Field(ge=2, le=20, description="Parts of the held-out test behind the thresholds.")] = 3
    augment: Annotated[bool, Field(description="Also train on copies with typing errors and in text style.")] = True
    augment_from: Annotated[int, Field(ge=1, description="Messages per department from which copies are made.")] = 20
    augment_weight: Annotated[float, Field(gt=0, le=1, description="How much a copy counts.")] = 0.5
    glossary_weight: Annotated[float, Field(ge=0, le=10, description="How much a term of the glossaries counts.")] = 1.0
    learn_out_of_scope: Annotated[bool, Field(description="Learn from out-of-scope messages, too.")] = True
    out_of_scope_share: Annotated[
        float, Field(ge=0, lt=1, description="Expected share of messages that are no department's business.")
    ] = 0.1


class LinearModel:
    """A loaded model; thread-safe."""

    def __init__(self, scorer: LeanScorer, labels: tuple[str, ...], temperature: float, version: str) -> None:
        self.version = version
        self.labels = labels
        self._scorer = scorer
        self._temperature = temperature

    def predict(self, inputs: Sequence[ModelInput]) -> list[Prediction]:
        """Return one prediction per input, each with every label, best first."""
        return [self._predict_one(model_input) for model_input in inputs]

    def _predict_one(self, model_input: ModelInput) -> Prediction:
        margins = self._scorer.margins(model_input)
        likely = softmax(margins[: len(self.labels)].astype(np.float64), self._temperature).tolist()
        ranking = sorted(zip(self.labels, likely, strict=True), key=lambda pair: -pair[1])
        return Prediction(ranking=tuple(ranking), score=float(scores(margins, len(self.labels))), model=self.version)

    def explain(self, model_input: ModelInput, label: str, most: int = 12) -> list[tuple[str, float]]:
        """Return the words that spoke most strongly for (+) and against (-) the label, strongest first."""
        return self._scorer.explain(model_input, self.labels.index(label), most)


def train(
    examples: Sequence[Example],
    out_of_scope: Sequence[ModelInput],
    settings: LinearSettings,
    progress: Progress,
    *,
    seed: int = 0,
    descriptions: Mapping[str, str] | None = None,
) -> Artifact:
    """Learn any set of labels and return the model; the same input and seed give the same bytes.

    Examples with the label `out_of_scope` count as out of scope: never a label, they teach when to abstain.
    `descriptions` (by label) are learnt as one more message each. The artifact's `meta` holds `labels`,
    `temperature`, `operating_points` (see `classifiers._calibrate.min_confidence_for`), and `metrics`, the figures on
    held-out messages. Raise `SignpostError` if there are fewer than two labels.
    """
    from classifiers import _train  # noqa: PLC0415  scikit-learn takes 100 MB and a second that serving doesn't need

    return _train.train(examples, out_of_scope, settings, progress, seed=seed, descriptions=descriptions or {})


def load(artifact: Artifact) -> LinearModel:
    """Return the model ready to serve; raise `BadArtifact` if the parts don't fit together."""
    try:
        return _loaded(artifact)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise BadArtifact(f"the linear model can't be used: {error}") from error


def _loaded(artifact: Artifact) -> LinearModel:
    if artifact.type != "linear":
        raise BadArtifact(f"this is a model of type {artifact.type}, not linear")
    labels, temperature = tuple(map(str, artifact.meta["labels"])), float(artifact.meta["temperature"])
    word_terms, char_terms = (unpack_terms(artifact.arrays[name]) for name in ("word_terms", "char_terms"))
    idf, coefficients, bias = (artifact.arrays[name] for name in ("idf", "coefficients", "bias"))
    terms = len(word_terms) + len(char_terms)
    columns = {(terms, len(labels)), (terms, len(labels) + 1)}  # the last one, if any, is for out of scope
    if len(labels) < 2 or len(set(labels)) < len(labels) or OUT_OF_SCOPE in labels:
        raise BadArtifact("the linear model's labels aren't two or more different departments")
    if coefficients.shape not in columns or idf.shape != (terms,) or bias.shape != coefficients.shape[1:]:
        raise BadArtifact("the linear model's arrays don't fit its vocabulary")
    if not (0 < temperature < 1e3 and all(np.isfinite(part).all() for part in (idf, coefficients, bias))):
        raise BadArtifact("the linear model holds numbers that aren't finite")
    return LinearModel(
        LeanScorer(word_terms, char_terms, idf, coefficients, bias), labels, temperature, artifact.version
    )


CLASSIFIER = ClassifierType(
    summary="Linear support-vector machine over words and character n-grams; trains in seconds, needs no download",
    settings=LinearSettings,
    train=train,
    load=load,
)
