"""Training and serving the linear type: any labels, any size, deterministic, light to serve, hard to fool."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from classifiers._artifact import Artifact, pack, save, unpack
from classifiers._calibrate import NEVER, min_confidence_for
from classifiers.linear import CLASSIFIER, LinearSettings, load, train
from router.errors import BadArtifact, SignpostError
from router.interfaces import Example, ModelInput
from tests.unit.classifiers.samples import examples, silent, strangers

if TYPE_CHECKING:
    from pathlib import Path


def said(body: str) -> ModelInput:
    return ModelInput(subject="", body=body)


def toy(*labels: str) -> list[Example]:
    return [Example(input=said(f"about {label} number {n}"), department=label) for n, label in enumerate(labels)]


def test_a_trained_model_knows_its_subjects_and_strangers() -> None:
    """Fresh messages get their label, and strangers a lower score than members."""
    model = load(train(examples(), strangers(), LinearSettings(), silent))
    fresh = examples(40, seed=9)
    answers = model.predict([row.input for row in fresh])
    assert np.mean([answer.ranking[0][0] == row.department for answer, row in zip(answers, fresh, strict=True)]) > 0.95
    outside = [answer.score for answer in model.predict(strangers(40, seed=9))]
    assert np.median(outside) < np.quantile([answer.score for answer in answers], 0.02)
    assert model.labels == ("bus", "lunch", "nurse")
    words = dict(model.strange(said("please bitcoin for the cafeteria menu")))
    assert words["bitcoin"] > 0 > words["cafeteria"]
    assert load(train(examples(), [], LinearSettings(), silent)).strange(said("bitcoin")) == []
    assert all(answer.model == model.version for answer in answers)


def test_rare_terms_count_as_much_as_held_out_messages_ask_for() -> None:
    """What `rarity` says is the power of every term's idf; unset, it is one of three, and noted."""
    plain, flat = (train(examples(), [], LinearSettings(c=1.0, bayes=0.0, rarity=power), silent) for power in (1, 0.5))
    assert flat.arrays["idf"] == pytest.approx(plain.arrays["idf"] ** 0.5, rel=1e-5)
    assert (plain.meta["rarity"], flat.meta["rarity"]) == (1.0, 0.5)
    assert train(examples(), [], LinearSettings(), silent).meta["rarity"] in {0.5, 1.0, 1.5}


def test_out_of_scope_is_never_a_label() -> None:
    """Out-of-scope rows teach the score, whether given apart or as examples, and rank nowhere."""
    given_apart = train(examples(), strangers(), LinearSettings(), silent)
    as_examples = [Example(input=row, department="out_of_scope") for row in strangers()]
    assert pack(train([*examples(), *as_examples], [], LinearSettings(), silent)) == pack(given_apart)
    (answer,) = load(given_apart).predict([said("bitcoin casino")])
    assert {label for label, _share in answer.ranking} == {"bus", "lunch", "nurse"}


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Training is deterministic; another seed deals other folds."""
    one, two, other = (train(examples(), strangers(), LinearSettings(), silent, seed=seed) for seed in (1, 1, 2))
    assert pack(one) == pack(two) != pack(other)


def test_metadata_holds_what_policy_and_people_need() -> None:
    """Labels, temperature, thresholds, held-out figures, settings and library versions are plain JSON."""
    meta = unpack(pack(train(examples(), strangers(), LinearSettings(), silent))).meta
    assert meta["labels"] == ["bus", "lunch", "nurse"]
    assert (meta["rows"], meta["out_of_scope_rows"]) == (120, 30)
    assert meta["metrics"]["n"] == 120
    assert meta["metrics"]["accuracy"] > 0.9
    assert set(meta["metrics"]["per_department"]["bus"]) >= {"n", "precision", "recall"}
    assert set(meta["libraries"]) == {"numpy", "scipy", "sklearn"}
    confidence, _score = min_confidence_for(meta, 0.1)
    assert confidence < NEVER


def test_the_trial_table_is_stored_surest_first() -> None:
    """Every held-out answer stands in the arrays, so that thresholds can be derived again."""
    arrays = train(examples(), strangers(), LinearSettings(), silent).arrays
    assert len(arrays["trial_confidence"]) == len(arrays["trial_score"]) == len(arrays["trial_outcome"]) == 150
    assert (np.diff(arrays["trial_confidence"]) <= 0).all()
    assert (arrays["trial_outcome"] == 2).sum() == 30


@pytest.mark.parametrize(
    "rows",
    [
        toy("a", "b"),
        toy("a", "a", "b", "b", "c"),
        toy(*"abcdefgh"),
        [*toy("a", "b", "a"), Example(input=said(""), department="b")],
        [replace(row, group="one") for row in toy("a", "b", "a", "b")],
    ],
)
def test_a_handful_of_rows_trains_but_routes_nothing(rows: list[Example]) -> None:
    """Tiny sets give a model that ranks and suggests, with thresholds that let nothing through."""
    artifact = train(rows, [], LinearSettings(), silent)
    (answer,) = load(artifact).predict([rows[0].input])
    assert len(answer.ranking) == len({row.department for row in rows})
    assert min_confidence_for(artifact.meta, 0.05)[0] == NEVER


@pytest.mark.parametrize("rows", [[], toy("a"), toy("a", "a", "a")])
def test_fewer_than_two_labels_are_refused(rows: list[Example]) -> None:
    """There is nothing to choose between: a sentence says so."""
    with pytest.raises(SignpostError, match="at least two departments"):
        train(rows, strangers(), LinearSettings(), silent)


def test_a_description_teaches_words_that_no_message_had() -> None:
    """A word that only the department's description has leads to the department."""
    plain = load(train(examples(), [], LinearSettings(), silent))
    described = {"nurse": "Immunizations and quarantine", "unknown": "ignored"}
    taught = load(train(examples(), [], LinearSettings(), silent, descriptions=described))
    share = [dict(model.predict([said("quarantine")])[0].ranking)["nurse"] for model in (plain, taught)]
    assert share[1] > share[0]
    assert taught.labels == plain.labels


def test_weights_count() -> None:
    """Of two rows that contradict each other, the heavier one decides."""
    rows = [Example(input=said("zebra crossing"), department="bus"), *examples()]
    for weight, expected in ((0.1, "bus"), (20.0, "nurse")):
        against = Example(input=said("zebra crossing"), department="nurse", weight=weight)
        model = load(train([*rows, against], [], LinearSettings(c=1.0, augment=False), silent))
        assert model.predict([said("zebra crossing")])[0].ranking[0][0] == expected


def test_progress_is_told_from_start_to_end() -> None:
    """Progress never goes back and ends at one."""
    told: list[float] = []
    train(examples(), [], LinearSettings(), lambda _what, share: told.append(share))
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0.0, 1.0)


def broken(**changes: object) -> Artifact:
    artifact = train(toy("a", "b"), [], LinearSettings(), silent)
    meta = {key: changes.get(key, value) for key, value in artifact.meta.items()}
    arrays = {key: np.asarray(changes.get(key, value)) for key, value in artifact.arrays.items()}
    return Artifact(str(changes.get("type", artifact.type)), arrays, {k: v for k, v in meta.items() if v is not None})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "other"}, "type other"),
        ({"labels": None}, "labels"),
        ({"labels": ["a"]}, "two or more"),
        ({"labels": ["a", "a"]}, "two or more"),
        ({"labels": ["a", "out_of_scope"]}, "two or more"),
        ({"labels": ["a", "b", "c", "d"]}, "don't fit"),
        ({"temperature": "hot"}, "can't be used"),
        ({"temperature": 0}, "aren't finite"),
        ({"bias": np.array([np.nan, 0], dtype=np.float32)}, "aren't finite"),
        ({"bias": np.zeros(3, dtype=np.float32)}, "don't fit"),
        ({"idf": np.ones(1, dtype=np.float32)}, "don't fit"),
        ({"word_terms": np.array([255, 254], dtype=np.uint8)}, "can't be used"),
    ],
)
def test_a_model_whose_parts_do_not_fit_is_refused(changes: dict[str, object], reason: str) -> None:
    """Whatever passed the checksum is checked again before it serves."""
    with pytest.raises(BadArtifact, match=reason):
        CLASSIFIER.load(broken(**changes))


def test_serving_imports_neither_scikit_learn_nor_scipy(tmp_path: Path) -> None:
    """A process that loads a model and answers stays small: the training libraries aren't imported."""
    save(train(examples(), strangers(), LinearSettings(), silent), tmp_path, {})
    program = (
        "import sys; from pathlib import Path\n"
        "from classifiers._artifact import load\n"
        "from classifiers.linear import CLASSIFIER\n"
        "from classifiers._text import from_text\n"
        "import classifiers._evaluate, classifiers._corpus\n"
        "model = CLASSIFIER.load(load(Path(sys.argv[1]))[0])\n"
        "print(model.predict([from_text('', 'the bus driver')])[0].ranking[0][0])\n"
        "print(sorted({'sklearn', 'scipy', 'joblib'} & set(sys.modules)))\n"
    )
    run = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (run.stdout.splitlines(), run.stderr) == (["bus", "[]"], "")
