"""The classifier that ships: a linear support-vector machine over word and character n-grams, with temperature.

Loading and serving need neither scikit-learn nor scipy; `train` imports them when it is called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field

from classifiers._calibrate import scores, softmax
from classifiers._confidence import Confidence, signals
from classifiers._corpus import OUT_OF_SCOPE
from classifiers._embed import NoEncoder, about, lacking
from classifiers._fusion import load_second_opinion
from classifiers._lean import LeanScorer, unpack_terms
from classifiers._urgent import UrgentSense
from classifiers._urgent import load as load_urgent
from router.errors import BadArtifact
from router.interfaces import ClassifierType, Settings
from router.records import Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from classifiers._artifact import Artifact
    from classifiers._confidence import Words
    from classifiers._fusion import SecondOpinion
    from router.interfaces import Example, ModelInput, Progress

    Floats = NDArray[np.floating[Any]]


class LinearSettings(Settings):
    """Settings of the linear classifier; the defaults were chosen by cross-validation on the bundled corpus."""

    c: Annotated[
        float | None,
        Field(
            gt=0, le=1000, description="How closely to follow the training messages; chosen on held-out ones if unset."
        ),
    ] = None
    bayes: Annotated[
        float | None,
        Field(ge=0, le=10, description="How much counting words adds; chosen on held-out messages if unset."),
    ] = None
    word_weight: Annotated[
        float | None,
        Field(
            ge=0,
            le=10,
            description="How much words count beside parts of words; if unset, chosen where there are few messages, "
            "else 1.",
        ),
    ] = None
    rarity: Annotated[
        float | None,
        Field(
            ge=0,
            le=3,
            description="How much more rare terms count (0: not at all); chosen on held-out messages if unset.",
        ),
    ] = None
    folds: Annotated[int, Field(ge=2, le=20, description="Parts of the held-out test behind the thresholds.")] = 3
    augment: Annotated[bool, Field(description="Also train on copies with typing errors and in text style.")] = True
    augment_from: Annotated[int, Field(ge=1, description="Messages per department from which copies are made.")] = 20
    augment_weight: Annotated[float, Field(gt=0, le=1, description="How much a copy counts.")] = 0.5
    glossary_weight: Annotated[float, Field(ge=0, le=10, description="How much a term of the glossaries counts.")] = 1.0
    learn_out_of_scope: Annotated[bool, Field(description="Learn from out-of-scope messages, too.")] = True
    encoder: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Folder of a sentence encoder that is asked where the words are unsure (needs the extra "
            "`embed`); relative to the working directory.",
        ),
    ] = None
    encoder_below: Annotated[
        float, Field(gt=0, le=1, description="Confidence of the words below which the encoder is asked.")
    ] = 0.9
    out_of_scope_share: Annotated[
        float, Field(ge=0, lt=1, description="Expected share of messages that are no department's business.")
    ] = 0.1


class LinearModel:
    """A loaded model; thread-safe."""

    def __init__(
        self,
        scorer: LeanScorer,
        labels: tuple[str, ...],
        temperature: float,
        version: str,
        urgent: UrgentSense | None = None,
        *,
        confidence: Confidence | None = None,
        second: SecondOpinion | None = None,
        instead: Mapping[str, Any] | None = None,
    ) -> None:
        self.version = version
        self.labels = labels
        self.urgent = urgent
        self.instead = instead or {}  # see `ClassifierType`: what holds while the encoder isn't there
        self._scorer = scorer
        self._temperature = temperature
        self._confidence = confidence
        self._second = second

    def predict(self, inputs: Sequence[ModelInput]) -> list[Prediction]:
        """Return one prediction per input, each with every label, best first."""
        return [self._predict_one(model_input) for model_input in inputs]

    def _predict_one(self, model_input: ModelInput) -> Prediction:
        rough, words = self._scorer.read(model_input)
        margins: Floats = rough.astype(np.float64)
        if self._second is not None:
            margins = self._second.heard(model_input, margins, len(self.labels), self._temperature)
        likely = softmax(margins[: len(self.labels)], self._temperature).tolist()
        ranking = sorted(zip(self.labels, likely, strict=True), key=lambda pair: -pair[1])
        return Prediction(
            ranking=tuple(ranking),
            score=float(scores(margins, len(self.labels))),
            confidence=self._sure(margins, words),
            model=self.version,
        )

    def _sure(self, margins: Floats, words: Words | None) -> float | None:
        """Return how likely the first choice is right; None if this model, made before, hasn't learnt that."""
        if self._confidence is None or words is None:
            return None
        found = signals(margins.tolist(), words, len(self.labels), self._temperature)
        return float(self._confidence.of(np.array(found), int(margins[: len(self.labels)].argmax())))

    def knows(self, word: str) -> bool:
        """Return whether it has met a word in training (as `classifiers._ngrams.words` gives it)."""
        return self._scorer.knows(word)

    def explain(self, model_input: ModelInput, label: str, most: int = 12) -> list[tuple[str, float]]:
        """Return the words that spoke most strongly for (+) and against (-) the label, strongest first."""
        return self._scorer.explain(model_input, self.labels.index(label), most)

    def strange(self, model_input: ModelInput, most: int = 12) -> list[tuple[str, float]]:
        """Return the words that spoke for (+) and against (-) its being nobody's business; none if not learnt."""
        own = len(self.labels)
        return self._scorer.explain(model_input, own, most) if self._scorer.columns > own else []


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
    `temperature`, `confidence` (see `classifiers._confidence`), `operating_points` (see
    `classifiers._calibrate.min_confidence_for`), and `metrics`, the figures on held-out messages. Raise
    `SignpostError` if there are fewer than two labels.
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
    likeness = artifact.arrays.get("likeness")
    if likeness is not None and likeness.shape != (len(word_terms), coefficients.shape[1]):
        raise BadArtifact("the linear model's likeness doesn't fit its words")
    scorer = LeanScorer(word_terms, char_terms, idf, coefficients, bias, likeness)
    urgent = load_urgent(scorer, artifact.arrays, artifact.meta)
    second, instead = _second_opinion(artifact, coefficients.shape[1])
    said = {**artifact.meta, **instead}.get("confidence")
    confidence = Confidence.from_json(said, labels) if said else None
    return LinearModel(
        scorer, labels, temperature, artifact.version, urgent, confidence=confidence, second=second, instead=instead
    )


def _second_opinion(artifact: Artifact, columns: int) -> tuple[SecondOpinion | None, dict[str, Any]]:
    """Return the encoder's part of the model; where there should be one and it can't be used, what holds instead."""
    if "encoder" not in artifact.meta:
        return None, {}
    try:
        return load_second_opinion(artifact, columns), {}
    except NoEncoder as error:
        return None, {**artifact.meta["alone"], "reduced": f"{error}. Until then the words alone decide"}


def _fingerprint(settings: LinearSettings) -> str:
    """Return the SHA-256 of the encoder that would be used; "" without one."""
    try:
        return about(Path(settings.encoder)).sha256 if settings.encoder else ""
    except NoEncoder:
        return "missing"


def _lacks(settings: LinearSettings) -> str:
    """Return why the encoder can't be used here; "" if it can, or if none is asked for."""
    return lacking(Path(settings.encoder)) if settings.encoder else ""


CLASSIFIER = ClassifierType(
    summary="Linear support-vector machine over words and character n-grams; trains in seconds, needs no download",
    settings=LinearSettings,
    train=train,
    load=load,
    fingerprint=_fingerprint,
    lacks=_lacks,
)
