"""What every classifier type must keep to, run for each type that ships."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from classifiers._artifact import Artifact, load, pack, save, unpack
from classifiers._calibrate import min_confidence_for
from router.errors import BadArtifact, SignpostError
from router.interfaces import ClassifierType, Example, ModelInput, Settings
from router.plugins import classifier_types

if TYPE_CHECKING:
    from pathlib import Path

    from router.interfaces import Classifier

WORDS = {
    "transporte": ("autobús", "parada", "driver", "route", "seat", "ride"),
    "cafetería": ("menu", "almuerzo", "tray", "milk", "comida", "snack"),
    "42": ("algebra", "grade", "tarea", "essay", "quiz", "exam"),
}


def rows(per_label: int, seed: int = 0) -> list[Example]:
    """Return short messages with labels that no district would choose."""
    random = Random(seed)
    return [
        Example(
            input=ModelInput(subject="", body=" ".join(("please the my", *random.sample(words, 3)))), department=label
        )
        for label, words in WORDS.items()
        for _ in range(per_label)
    ]


def told_nobody(_what: str, _share: float) -> None:
    """Take progress reports."""


@pytest.fixture(scope="module", params=classifier_types().names())
def kind(request: pytest.FixtureRequest) -> ClassifierType:
    return classifier_types().get(request.param)


@pytest.fixture(scope="module")
def artifact(kind: ClassifierType) -> Artifact:
    strangers = [ModelInput(subject="", body=f"cheap loan casino {number}") for number in range(12)]
    return kind.train(rows(30), strangers, kind.settings(), told_nobody, seed=3, descriptions={"42": "mathematics"})


@pytest.fixture(scope="module")
def model(kind: ClassifierType, artifact: Artifact) -> Classifier:
    return kind.load(unpack(pack(artifact)))


def test_the_type_describes_itself(kind: ClassifierType) -> None:
    """A summary, and settings whose every field has a default and a description."""
    assert kind.summary
    assert issubclass(kind.settings, Settings)
    kind.settings()
    for field in kind.settings.model_json_schema()["properties"].values():
        assert field["description"].endswith(".")


def test_every_label_is_ranked_best_first(model: Classifier) -> None:
    """A prediction holds each label once, with probabilities that add up to one, falling."""
    for answer in model.predict([row.input for row in rows(3, seed=1)]):
        labels, shares = zip(*answer.ranking, strict=True)
        assert sorted(labels) == sorted(model.labels) == sorted(WORDS)
        assert list(shares) == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1)
        assert answer.model == model.version


def test_fresh_messages_are_told_apart(model: Classifier) -> None:
    """A model learns what it was taught."""
    fresh = rows(20, seed=2)
    answers = model.predict([row.input for row in fresh])
    right = sum(answer.ranking[0][0] == row.department for answer, row in zip(answers, fresh, strict=True))
    assert right >= 0.95 * len(fresh)


def test_a_batch_and_one_at_a_time_agree(model: Classifier) -> None:
    """How messages are grouped changes no answer; none gives none."""
    inputs = [row.input for row in rows(5, seed=4)]
    assert model.predict(inputs) == [answer for row in inputs for answer in model.predict([row])]
    assert model.predict([]) == []


def test_threads_share_a_model(model: Classifier) -> None:
    """Several threads may ask at once."""
    inputs = [row.input for row in rows(20, seed=5)]
    expected = model.predict(inputs)
    with ThreadPoolExecutor(4) as pool:
        assert all(answers == expected for answers in pool.map(model.predict, [inputs] * 8))


@pytest.mark.parametrize("body", ["", "\n\t", "?!…", "x" * 8000, "a " * 4000, "🚌🚌", "مرحبا", "校车", "zzzqqq"])
def test_any_text_gets_an_answer(model: Classifier, body: str) -> None:
    """Nothing that may stand in a message makes a model fail."""
    (answer,) = model.predict([ModelInput(subject="", body=body, language="xx", topic="?", medium="sms")])
    assert len(answer.ranking) == len(WORDS)
    assert answer.score == answer.score


def test_the_explanation_is_made_of_words_of_the_message(model: Classifier) -> None:
    """At most as many words as asked for, strongest first, each from the message."""
    message = ModelInput(subject="Tarea", body="algebra quiz and the driver")
    reasons = model.explain(message, "42", most=3)
    assert 0 < len(reasons) <= 3
    assert {word for word, _weight in reasons} <= {"tarea", "algebra", "quiz", "and", "the", "driver"}
    assert reasons[0][1] > 0


def test_the_artifact_is_data_alone(artifact: Artifact, kind: ClassifierType) -> None:
    """Numbers and JSON, labels, thresholds, and figures for people; the name says which type loads it."""
    assert classifier_types().get(artifact.type) is kind
    meta: dict[str, Any] = json.loads(json.dumps(dict(artifact.meta)))
    assert sorted(meta["labels"]) == sorted(WORDS)
    assert {"n", "accuracy", "macro_f1", "per_department"} <= set(meta["metrics"])
    confidence, score = min_confidence_for(meta, 0.3)
    assert confidence > 0
    assert isinstance(score, float)


def test_training_repeats_itself(kind: ClassifierType) -> None:
    """The same rows, settings and seed give the same bytes."""
    one, two = (kind.train(rows(6), [], kind.settings(), told_nobody, seed=1) for _ in range(2))
    assert pack(one) == pack(two)


def test_one_label_is_refused_with_a_sentence(kind: ClassifierType) -> None:
    """There has to be a choice."""
    one_label = [row for row in rows(5) if row.department == "42"]
    with pytest.raises(SignpostError):
        kind.train(one_label, [], kind.settings(), told_nobody)


def test_a_model_survives_a_directory(
    artifact: Artifact, model: Classifier, kind: ClassifierType, tmp_path: Path
) -> None:
    """Saved and loaded, it answers the same under the same name."""
    save(artifact, tmp_path, {"created_at": "2026-01-01T00:00:00Z"})
    again = kind.load(load(tmp_path)[0])
    inputs = [row.input for row in rows(5, seed=6)]
    assert again.version == model.version
    assert again.predict(inputs) == model.predict(inputs)


def test_what_does_not_fit_is_refused(artifact: Artifact, kind: ClassifierType) -> None:
    """A model without its arrays or labels is a bad artifact, not a crash."""
    for broken in (Artifact(artifact.type, {}, artifact.meta), Artifact(artifact.type, artifact.arrays, {})):
        with pytest.raises(BadArtifact):
            kind.load(broken)
