"""Serving: the champion is exchanged at once, and a model that can't be used never takes its place."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from sqlalchemy import update

from classifiers._artifact import Artifact
from classifiers.linear import CLASSIFIER, LinearSettings
from router.errors import BadArtifact
from router.interfaces import Example, ModelInput
from router.learning import registry
from router.learning.gate import Verdict
from router.learning.train import Trained, trained
from router.plugins import classifier_types
from router.serving import Serving, thresholds
from router.store import tables

POINTS = [[0.01, 0.9, 0.5, 0.3], [0.05, 0.6, -0.2, 0.8]]


def silent(_what: str, _share: float) -> None:
    pass


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    """A model of two labels."""
    words = {"buses": "bus route stop driver late", "meals": "lunch menu tray milk pizza"}
    examples = [
        Example(input=ModelInput(subject="", body=f"{word} {other}"), department=label)
        for label, text in words.items()
        for word in text.split()
        for other in text.split()
    ]
    return CLASSIFIER.train(examples, [], LinearSettings(augment=False, folds=2), silent, seed=0)


@pytest.fixture
def version_of(artifact):
    """Make versions of it: `version_of(remark, parent)`."""

    def make(remark: str, parent: str = "") -> Trained:
        meta = {**artifact.meta, "operating_points": POINTS, "remark": remark}
        return trained(Artifact(artifact.type, artifact.arrays, meta), Verdict(passed=True, sentence="yes"), parent)

    return make


@pytest.fixture
def refusals() -> list[str]:
    return []


@pytest.fixture
def reductions() -> list[str]:
    return []


@pytest.fixture
def serving(store, refusals, reductions):
    async def on_refused(reason: str) -> None:
        refusals.append(reason)

    async def on_reduced(reason: str) -> None:
        reductions.append(reason)

    return Serving(store, classifier_types(), 0.05, on_refused, on_reduced)


async def spoil(store, version: str, data: bytes = b"rubbish") -> None:
    change = update(tables.models).where(tables.models.c.version == version).values(artifact=data)
    await store.write(lambda connection: connection.execute(change) and None)


async def test_before_any_model_nothing_serves(serving):
    """None, and no complaint."""
    assert await serving.refresh() is False
    assert (serving.current(), serving.version, serving.refused) == (None, "", "")


async def test_the_champion_serves_with_the_thresholds_of_the_wanted_error(store, serving, version_of):
    """The operating point for an error of 5 % decides what is acted on; a second look changes nothing."""
    row = await registry.register(store, version_of("one"), promote=True)
    assert await serving.refresh() is True
    classifier, limits = serving.current()
    assert serving.version == classifier.version == row.version
    assert (limits.min_confidence, limits.min_score) == (0.6, -0.2)
    (answer,) = classifier.predict([ModelInput(subject="", body="the bus driver was late")])
    assert answer.ranking[0][0] == "buses"
    assert await serving.refresh() is False


async def test_another_wanted_error_takes_effect_at_once(store, serving, version_of):
    """With the model that serves, and with those that come; before there is one it is noted."""
    serving.aim(0.01)
    one = await registry.register(store, version_of("one"), promote=True)
    await serving.refresh()
    assert serving.current()[1].min_confidence == 0.9
    serving.aim(0.05)
    assert (serving.version, serving.current()[1].min_confidence) == (one.version, 0.6)
    await registry.register(store, version_of("two", one.version), promote=True)
    await serving.refresh()
    assert serving.current()[1].min_confidence == 0.6


async def test_promotion_and_rollback_take_effect_at_the_next_look(store, serving, version_of):
    """What routing holds is exchanged whole; whoever asked before keeps the old pair."""
    one = await registry.register(store, version_of("one"), promote=True)
    await serving.refresh()
    held = serving.current()
    two = await registry.register(store, version_of("two", one.version), promote=True)
    assert await serving.refresh() is True
    assert serving.version == two.version
    assert held[0].version == one.version
    await registry.rollback(store)
    assert await serving.refresh() is True
    assert serving.version == one.version


async def test_a_damaged_champion_is_refused_once_and_the_last_good_one_keeps_serving(
    store, serving, refusals, version_of
):
    """People are told one time, however often it is looked at, and the next sound champion serves."""
    one = await registry.register(store, version_of("one"), promote=True)
    await serving.refresh()
    two = await registry.register(store, version_of("two", one.version), promote=True)
    await spoil(store, two.version)
    assert [await serving.refresh() for _ in range(3)] == [False, False, False]
    assert (serving.version, serving.refused) == (one.version, two.version)
    assert serving.current()[0].version == one.version
    assert len(refusals) == 1
    await registry.rollback(store)
    assert await serving.refresh() is False
    assert (serving.version, serving.refused) == (one.version, "")


async def test_a_foreign_champion_at_the_start_leaves_nothing_serving_and_is_told(store, serving, refusals):
    """There is no last good one yet: routing says that the model is down, and a person knows why."""
    foreign = trained(Artifact("telepathy", {}, {}), Verdict(passed=True, sentence="yes"))
    await registry.register(store, foreign, promote=True)
    assert await serving.refresh() is False
    assert serving.current() is None
    assert "no classifier type 'telepathy'" in refusals[0]


async def test_many_looks_at_once_load_the_model_once(store, serving, version_of):
    """The poll and the control socket may ask at the same moment."""
    await registry.register(store, version_of("one"), promote=True)
    assert sorted(await asyncio.gather(*(serving.refresh() for _ in range(5)))) == [False] * 4 + [True]


def test_a_model_without_operating_points_routes_nothing():
    """Nobody knows how often it is wrong, so everything goes to the fallback."""
    assert thresholds({}, 0.05).min_confidence > 1
    with pytest.raises(BadArtifact, match="operating points"):
        thresholds({"operating_points": [["a"]]}, 0.05)


async def test_a_model_without_its_encoder_serves_and_is_told_of(store, serving, artifact, reductions, tmp_path):
    """It answers by words alone, with the thresholds that hold for them; operations are told once what is missing."""
    width = artifact.arrays["bias"].size
    head = {"encoder_coefficients": np.zeros((8, width), np.float32), "encoder_bias": np.zeros(width, np.float32)}
    said = {"name": "gone", "sha256": "0" * 64, "folder": str(tmp_path / "gone"), "sure": 0.9, "shares": {}}
    alone = [[0.05, 0.7, -1.0, 0.5]]
    meta = {**artifact.meta, "operating_points": POINTS, "encoder": said, "alone": {"operating_points": alone}}
    both = Artifact(artifact.type, {**artifact.arrays, **head}, meta)
    await registry.register(store, trained(both, Verdict(passed=True, sentence="yes")), promote=True)
    assert await serving.refresh() is True
    assert (serving.current()[1].min_confidence, serving.refused) == (0.7, "")
    serving.aim(0.1)
    assert serving.current()[1].min_confidence == 0.7
    assert await serving.refresh() is False
    (told,) = reductions
    assert str(tmp_path / "gone") in told
    assert serving.version in told
