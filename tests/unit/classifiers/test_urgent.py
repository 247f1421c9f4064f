"""What a model learns of urgency beside the departments, and how it is kept with it."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from classifiers import _artifact, _urgent, linear
from classifiers._urgent import NOT_URGENT, UNKNOWN, URGENT, marks
from router.errors import BadArtifact
from router.interfaces import Example, ModelInput
from tests.unit.classifiers.samples import examples, sentence, strangers

if TYPE_CHECKING:
    from collections.abc import Callable

    from classifiers._artifact import Artifact

DANGER = ("knife", "bleeding", "vanished", "choking", "pistola", "sangre", "unconscious", "threatened")


def alarming(n: int = 60, seed: int = 1) -> list[Example]:
    """Urgent messages to any of the departments."""
    random = Random(seed)
    labels = ("lunch", "bus", "nurse")
    return [
        Example(
            input=ModelInput(subject="", body=sentence(DANGER, random)),
            department=labels[number % 3],
            group=f"u{number}",
            urgent=True,
        )
        for number in range(n)
    ]


def trained(rows: list[Example], seed: int = 0) -> Artifact:
    """A model of these rows and some strangers."""
    settings = linear.LinearSettings(augment=False)
    return linear.train(rows, strangers(), settings, lambda _what, _share: None, seed=seed)


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    """A model that learnt urgency, too."""
    return trained([*examples(), *alarming()])


def test_urgent_messages_are_told_from_others(artifact: Artifact) -> None:
    """Messages that it didn't learn from are on the right side of the threshold."""
    sense = linear.load(artifact).urgent
    assert sense is not None
    urgent = sense.likely([row.input for row in alarming(40, seed=9)])
    other = sense.likely([row.input for row in examples(10, seed=9)])
    assert np.mean([p >= sense.threshold for p in urgent]) > 0.9
    assert np.mean([p >= sense.threshold for p in other]) < 0.1
    assert all(0 <= p <= 1 for p in (*urgent, *other))


def test_threshold_and_figures_stand_in_the_metadata(artifact: Artifact) -> None:
    """What was held out of fold is said."""
    meta = artifact.meta["urgent"]
    assert meta["rows"] == 60
    assert meta["threshold"] == _urgent.THRESHOLD
    assert 0.9 <= meta["recall"] <= 1
    assert 0.9 <= meta["precision"] <= 1


def test_the_deciding_words_are_named(artifact: Artifact) -> None:
    """The word of danger speaks most strongly for urgency."""
    sense = linear.load(artifact).urgent
    assert sense is not None
    said = sense.explain(ModelInput(subject="", body="please today a knife on the seat"))
    assert said[0][0] == "knife"
    assert said[0][1] > 0


def test_the_departments_are_what_they_were(artifact: Artifact) -> None:
    """Marks change nothing about the departments: the same rows unmarked give the same answers."""
    unmarked = trained([replace(row, urgent=False) for row in (*examples(), *alarming())])
    assert "urgent" not in unmarked.meta
    inputs = [row.input for row in examples(5, seed=3)]
    assert linear.load(artifact).predict(inputs)[0].ranking == linear.load(unmarked).predict(inputs)[0].ranking


def test_a_model_without_it_still_loads() -> None:
    """A model of before, or of rows nobody marked, serves as ever, and has no sense of urgency."""
    model = linear.load(_artifact.unpack(trained(examples()).packed))
    assert model.urgent is None
    assert model.predict([examples(1)[0].input])


def test_too_few_marked_rows_teach_nothing() -> None:
    """From a handful nothing can be measured, so nothing is claimed."""
    assert "urgent" not in trained([*examples(), *alarming(_urgent.LEAST_ROWS - 1)]).meta


def test_what_is_no_better_than_guessing_never_alarms() -> None:
    """Marks without any pattern teach a sense that keeps silent, instead of one that rings by chance."""
    random = Random(5)
    rows = [replace(row, urgent=random.random() < 0.5) for row in examples()]
    assert trained(rows).meta["urgent"]["threshold"] > 1


def test_an_alarm_takes_more_where_harmless_messages_are_commoner() -> None:
    """Of the same margins the probability falls as what isn't urgent counts more, and so do the alarms; not by much."""
    random = np.random.default_rng(7)
    urgent = np.repeat(np.array([URGENT, NOT_URGENT], dtype=np.int8), [100, 400])
    values = csr_matrix(random.normal(size=(500, 1)) + 1.5 * (urgent == URGENT)[:, None])
    folds, weights = np.arange(500) % 3, np.ones(500)
    found = []
    for share in (1.0, 5.0):
        typical = np.where(urgent == URGENT, 1.0, share)
        meta, _arrays = _urgent.learn(values, urgent, folds, 0, weights=weights, typical=typical)
        found.append(meta["urgent"])
    alike, rare = found
    assert rare["offset"] < alike["offset"]
    assert 0 < rare["recall"] < alike["recall"]
    assert rare["precision"] > _urgent.THRESHOLD


def test_the_same_rows_give_the_same_bytes(artifact: Artifact) -> None:
    """Training is repeatable, and the container keeps all of it."""
    assert trained([*examples(), *alarming()]).sha256 == artifact.sha256
    again = linear.load(_artifact.unpack(artifact.packed, artifact.sha256)).urgent
    first = linear.load(artifact).urgent
    assert again is not None
    assert first is not None
    inputs = [row.input for row in alarming(5)]
    assert again.likely(inputs) == first.likely(inputs)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda arrays: arrays | {"urgent_coefficients": arrays["urgent_coefficients"][:-1]},
        lambda arrays: arrays | {"urgent_bias": np.array([1.0, 2.0], dtype=np.float32)},
        lambda arrays: arrays | {"urgent_bias": np.array([np.nan], dtype=np.float32)},
        lambda arrays: {name: array for name, array in arrays.items() if name != "urgent_coefficients"},
    ],
    ids=["too short", "two biases", "not a number", "missing"],
)
def test_parts_that_do_not_fit_are_refused(artifact: Artifact, spoil: Callable[..., object]) -> None:
    """A model with a damaged sense of urgency doesn't serve: better the one before it."""
    with pytest.raises(BadArtifact):
        linear.load(replace(artifact, arrays=spoil(dict(artifact.arrays))))


def test_where_nobody_has_looked_nothing_is_known() -> None:
    """A source without a single mark is unknown, not harmless, and so is a message that nobody was asked about."""
    rows = [replace(row, source="file a") for row in examples(1)] + [replace(alarming(1)[0], source="corpus")]
    rows += [replace(examples(1)[0], source="corpus", urgent=said) for said in (False, None)]
    assert marks(rows).tolist() == [UNKNOWN] * 3 + [URGENT, NOT_URGENT, UNKNOWN]


def test_what_the_fallback_got_was_taught_as_harmless() -> None:
    """A message that no label fits may be urgent, or unknown; the bundled strangers aren't urgent, as they say."""
    outside = [Example(input=row, department="out_of_scope") for row in strangers()[:3]]
    outside[0] = replace(outside[0], source="audit", urgent=True)
    outside[1] = replace(outside[1], source="correction", urgent=None)
    assert marks([*alarming(1), *outside]).tolist() == [URGENT, URGENT, UNKNOWN, NOT_URGENT]
