"""Serving: the champion is exchanged at once, and a model that can't be used never takes its place."""

from __future__ import annotations

import asyncio
import gc
import re
import weakref
from datetime import timedelta

import numpy as np
import pytest
from sqlalchemy import update

from classifiers._artifact import Artifact
from classifiers.linear import CLASSIFIER, LinearSettings
from router.errors import BadArtifact
from router.interfaces import Example, ModelInput
from router.learning import registry
from router.learning.train import Trained, trained
from router.learning.verdicts import Verdict
from router.plugins import classifier_types
from router.serving import FORMER_FOR, Serving, thresholds
from router.store import models, tables
from router.store.engine import open_store
from router.testing import FakeClock
from tests.contract.store_helpers import spoil

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


async def test_the_bundled_model_stands_in_until_a_champion_can_be_used(store, serving, refusals, artifact, version_of):
    """It doesn't take the champion's place in the registry; what is promoted next serves as always."""
    foreign = trained(Artifact("telepathy", {}, {}), Verdict(passed=True, sentence="yes"))
    await registry.register(store, foreign, promote=True)
    await serving.refresh()
    row = await registry.stand_in(store, lambda: (artifact.packed, artifact.sha256))
    await serving.stand_in(row.version)
    assert (serving.version, row.state) == (artifact.version, models.CHALLENGER)
    assert await serving.refresh() is False
    assert await store.read(models.champion_version) == foreign.version
    assert len(refusals) == 1
    sound = version_of("sound", foreign.version)
    await registry.register(store, sound, promote=True)
    assert await serving.refresh() is True
    assert serving.version == sound.version


async def test_the_former_model_stayed_in_memory_for_good(version_of, log, store_url):
    """It is kept as long as people are likely to go back, and freed then; going back loads it again."""
    clock = FakeClock()
    store = open_store(store_url, clock)
    await store.open()

    async def nobody(_why: str) -> None:
        raise AssertionError

    serving = Serving(store, classifier_types(), 0.05, nobody, nobody)
    try:
        one = await registry.register(store, version_of("one"), promote=True)
        await serving.refresh()
        former = weakref.ref(serving.classifier())
        await registry.register(store, version_of("two", one.version), promote=True)
        await serving.refresh()
        clock.advance(FORMER_FOR - timedelta(seconds=1))
        await serving.refresh()
        gc.collect()
        assert former() is not None
        clock.advance(1.0)
        await serving.refresh()
        gc.collect()
        assert former() is None
        await registry.rollback(store)
        assert await serving.refresh() is True
        assert serving.version == one.version
    finally:
        await store.close()


async def test_many_looks_at_once_load_the_model_once(store, serving, version_of):
    """The poll and the control socket may ask at the same moment."""
    await registry.register(store, version_of("one"), promote=True)
    assert sorted(await asyncio.gather(*(serving.refresh() for _ in range(5)))) == [False] * 4 + [True]


def test_a_model_without_operating_points_routes_nothing():
    """Nobody knows how often it is wrong, so everything goes to the fallback."""
    assert thresholds({}, 0.05).min_confidence > 1
    with pytest.raises(BadArtifact, match="operating points"):
        thresholds({"operating_points": [["a"]]}, 0.05)


def test_from_which_score_on_a_message_is_a_strangers_stands_in_the_model():
    """Where the model doesn't say, none is."""
    assert thresholds({"stranger_score": -0.9}, 0.05).stranger_score == -0.9
    assert thresholds({}, 0.05).stranger_score == float("-inf")


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


async def test_at_a_start_the_one_before_a_damaged_champion_serves(store, serving, refusals, version_of):
    """There is no last good one in memory yet, so it is looked for in the registry; people are told all the same."""
    one = await registry.register(store, version_of("one"), promote=True)
    two = await registry.register(store, version_of("two", one.version), promote=True)
    three = await registry.register(store, version_of("three", two.version), promote=True)
    await spoil(store, two.version)
    await spoil(store, three.version)
    assert await serving.refresh() is True
    assert (serving.version, serving.refused, len(refusals)) == (one.version, three.version, 1)
    assert await serving.refresh() is False


@pytest.mark.parametrize(
    ("cut", "why"),
    [
        (lambda data: data[: len(data) // 2], "don't match"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "don't match"),
        (lambda data: b"PK" + data[2:], "isn't a Signpost model"),
        (lambda _data: b"", "cut short"),
    ],
)
async def test_a_truncated_altered_or_foreign_artifact_never_serves(
    store, serving, refusals, version_of, artifact, cut, why
):
    """Each is refused with its reason, and what served before answers on."""
    one = await registry.register(store, version_of("one"), promote=True)
    await serving.refresh()
    two = version_of("two", one.version)
    await registry.register(store, two, promote=True)
    await spoil(store, two.version, cut(two.artifact))
    assert await serving.refresh() is False
    assert serving.version == one.version
    assert re.search(why, refusals[0])


async def test_a_model_under_anothers_name_never_serves(store, serving, refusals, version_of):
    """Bytes and digest fit each other, but a version is named after its bytes."""
    one = await registry.register(store, version_of("one"), promote=True)
    await serving.refresh()
    two = await registry.register(store, version_of("two", one.version), promote=True)
    other = version_of("other")
    await spoil(store, two.version, other.artifact)
    change = update(tables.models).where(tables.models.c.version == two.version).values(sha256=other.sha256)
    await store.write(lambda connection: connection.execute(change) and None)
    assert await serving.refresh() is False
    assert (serving.version, other.version in refusals[0]) == (one.version, True)


async def test_going_back_needs_nothing_from_the_store_but_the_name(store, serving, version_of):
    """The one before is still in memory, so it takes no time, and its thresholds follow what is wanted now."""
    one = await registry.register(store, version_of("one"), promote=True)
    await serving.refresh()
    before = serving.classifier()
    await registry.register(store, version_of("two", one.version), promote=True)
    await serving.refresh()
    serving.aim(0.01)
    await registry.rollback(store)
    await spoil(store, one.version)
    assert await serving.refresh() is True
    assert serving.classifier() is before
    assert serving.current()[1].min_confidence == 0.9


async def test_every_daemon_follows_a_promotion_and_a_rollback(postgres_url, version_of):
    """Two of them on one database: what one promotes, the other serves after its next look."""
    stores = [open_store(postgres_url) for _ in range(2)]

    async def told(_reason: str) -> None:
        raise AssertionError

    try:
        for each in stores:
            await each.open()
        both = [Serving(each, classifier_types(), 0.05, told, told) for each in stores]
        one = await registry.register(stores[0], version_of("one"), promote=True)
        two = await registry.register(stores[0], version_of("two", one.version), promote=False)
        for _ in range(5):
            await registry.promote(stores[0], two.version)
            await asyncio.gather(*(serving.refresh() for serving in both))
            assert [serving.version for serving in both] == [two.version] * 2
            await registry.rollback(stores[1])
            await asyncio.gather(*(serving.refresh() for serving in both))
            assert [serving.version for serving in both] == [one.version] * 2
    finally:
        for each in stores:
            await each.close()
