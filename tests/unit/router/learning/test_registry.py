"""The registry on a real store: registering, promoting, going back, and refusing what is damaged."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from classifiers._artifact import Artifact, unpack
from router.errors import BadArtifact, Conflict, NotFound
from router.learning import registry
from router.learning.rollback import FIRM
from router.learning.train import train, trained
from router.learning.verdicts import FOR_A_PERSON, Check, Verdict
from router.plugins import classifier_types
from router.store import model_events as events
from router.store import models
from router.store.engine import open_store
from tests.contract.store_helpers import spoil

YES, NO = Verdict(passed=True, sentence="It passes."), Verdict(passed=False, sentence="It is refused.")


@pytest.fixture
def made(linear, settings, corpus, steps):
    """A small trained model."""
    return train(linear, settings, corpus=corpus, progress=steps)


@pytest.fixture
def version_of(made):
    """Make versions that differ in a remark, as if learnt from other data: `version_of(remark, parent, verdict)`."""
    artifact = unpack(made.artifact)

    def make(remark, parent="", verdict=YES):
        meta = {**artifact.meta, "remark": remark, "fingerprint": f"data {remark}", FIRM: f"words {remark}"}
        return trained(replace(artifact, meta=meta), verdict, parent)

    return make


async def serves(store) -> str:
    row = await store.read(models.champion)
    return row.version if row else ""


async def states(store) -> dict[str, str]:
    return {row.version: row.state for row in await store.read(models.listing)}


async def test_an_empty_registry_gets_the_bundled_model(store, made):
    """It is registered with its figures and serves; asked again, nothing is trained."""
    asked = []

    def provide():
        asked.append(1)
        return made.artifact, made.sha256

    row = await registry.ensure_champion(store, provide)
    again = await registry.ensure_champion(store, provide)
    assert (row.version, row.state, len(asked)) == (made.version, models.CHAMPION, 1)
    assert row.fingerprint == made.fingerprint
    assert row.metrics["held_out"]["n"] == made.metrics["held_out"]["n"]
    assert again == row
    classifier, meta = await registry.load_champion(store, classifier_types())
    assert classifier.version == made.version
    assert meta["labels"] == ["buses", "meals", "nurse"]


async def test_daemons_that_start_together_agree_on_one_champion(postgres_url, version_of):
    """Two of them with models of their own on one PostgreSQL: the first one's serves, the other's waits."""
    stores = [open_store(postgres_url) for _ in range(2)]
    for one in stores:
        await one.open()
    both = [version_of(name) for name in ("one", "two")]
    try:
        rows = await asyncio.gather(
            *(
                registry.ensure_champion(one, partial(tuple, (model.artifact, model.sha256)))
                for one, model in zip(stores, both, strict=True)
            )
        )
        listed = await states(stores[0])
    finally:
        for one in stores:
            await one.close()
    assert list(listed.values()).count(models.CHAMPION) == 1
    assert rows[0].version in listed


async def test_an_empty_registry_has_no_champion_to_load(store):
    """None, not an error: no model has been trained yet."""
    assert await registry.load_champion(store, classifier_types()) is None


async def test_a_model_that_passed_is_promoted_and_the_champion_retires(store, version_of):
    """The table of versions shows who serves and who did."""
    one = await registry.register(store, version_of("one"), promote=True)
    two = await registry.register(store, version_of("two", one.version), promote=True)
    assert await states(store) == {one.version: models.RETIRED, two.version: models.CHAMPION}
    assert (two.parent, two.verdict["sentence"]) == (one.version, "It passes.")


async def test_a_model_that_is_not_to_be_promoted_stays_a_challenger(store, version_of):
    """Registered, listed, and not serving."""
    row = await registry.register(store, version_of("one"), promote=False)
    assert row.state == models.CHALLENGER
    assert await serves(store) == ""


async def test_a_refused_model_is_kept_but_never_promoted_by_itself(store, version_of):
    """Only a person's word puts it in place."""
    refused = await registry.register(store, version_of("bad", verdict=NO), promote=True)
    assert refused.state == models.REFUSED
    assert await serves(store) == ""
    assert (await registry.promote(store, refused.version[:6])).state == models.CHAMPION


async def test_a_model_compared_with_a_former_champion_is_not_promoted(store, version_of):
    """While it was trained another one took over: its verdict says nothing about that one."""
    await registry.register(store, version_of("one"), promote=True)
    late = await registry.register(store, version_of("late", parent=""), promote=True)
    assert late.state == models.CHALLENGER


async def test_registering_the_champion_again_changes_nothing(store, version_of):
    """Training on the same data gives the same model."""
    one = await registry.register(store, version_of("one"), promote=True)
    assert await registry.register(store, version_of("one", one.version), promote=True) == one


async def test_rollback_goes_back_step_by_step_and_never_forward(store, version_of):
    """A second rollback goes to the version before, not to the one that was just left."""
    rows = [await registry.register(store, version_of("0"), promote=True)]
    for name in ("1", "2"):
        rows.append(await registry.register(store, version_of(name, rows[-1].version), promote=True))
    assert (await registry.rollback(store)).version == rows[1].version
    assert (await registry.rollback(store)).version == rows[0].version
    with pytest.raises(Conflict, match="nothing to go back to"):
        await registry.rollback(store)
    assert await serves(store) == rows[0].version


async def test_after_a_rollback_a_new_model_can_be_gone_back_from(store, version_of):
    """The version that a rollback brought back is the next one's predecessor."""
    one = await registry.register(store, version_of("one"), promote=True)
    await registry.register(store, version_of("two", one.version), promote=True)
    await registry.rollback(store)
    await registry.register(store, version_of("three", one.version), promote=True)
    assert (await registry.rollback(store)).version == one.version


async def test_promoting_what_is_not_there_or_serves_already_is_told(store, version_of):
    """Unknown, empty, ambiguous and present versions each get a sentence."""
    one = await registry.register(store, version_of("one"), promote=True)
    for name in ("nonsense", ""):
        with pytest.raises(NotFound, match="there is no model"):
            await registry.promote(store, name)
    with pytest.raises(Conflict, match="serves already"):
        await registry.promote(store, one.version)


async def test_a_damaged_version_is_neither_promoted_nor_gone_back_to(store, version_of):
    """The champion stays in place."""
    one = await registry.register(store, version_of("one"), promote=True)
    two = await registry.register(store, version_of("two", one.version), promote=True)
    await spoil(store, one.version, b"rubbish")
    with pytest.raises(BadArtifact):
        await registry.rollback(store)
    with pytest.raises(BadArtifact):
        await registry.promote(store, one.version)
    assert await serves(store) == two.version


async def test_a_champion_that_was_exchanged_for_another_sound_model_is_refused(store, version_of):
    """Its own checksum is right, but it isn't the one that was registered."""
    one = version_of("one")
    await registry.register(store, one, promote=True)
    await spoil(store, one.version, version_of("two").artifact)
    with pytest.raises(BadArtifact, match="isn't the one that was registered"):
        await registry.load_champion(store, classifier_types())


@pytest.mark.parametrize(
    ("kind", "word"), [("telepathy", "no classifier type 'telepathy'"), ("linear", "can't be used")]
)
async def test_a_champion_that_no_type_can_load_is_refused(store, kind, word):
    """A type that isn't installed, or an artifact that lacks what its type needs."""
    await registry.register(store, trained(Artifact(kind, {}, {}), YES), promote=True)
    with pytest.raises(BadArtifact, match=word):
        await registry.load_champion(store, classifier_types())


async def test_a_training_with_nothing_new_doesnt_undo_a_rollback(store, version_of):
    """The version that a person went back from is told apart, and only a person's word puts it in place again."""
    one = await registry.register(store, version_of("one"), promote=True)
    two = await registry.register(store, version_of("two", one.version), promote=True)
    await registry.rollback(store)
    again = await registry.register(store, version_of("two", one.version), promote=True)
    assert (again.version, again.state) == (two.version, models.ROLLED_BACK)
    assert await serves(store) == one.version
    assert (await registry.promote(store, two.version)).state == models.CHAMPION
    assert await states(store) == {one.version: models.RETIRED, two.version: models.CHAMPION}


async def test_the_same_data_in_another_dress_doesnt_undo_a_rollback(store, version_of):
    """Another `target_error` names another version, but what it learnt from is what a person went back from."""
    one = await registry.register(store, version_of("one"), promote=True)
    left = await registry.register(store, version_of("two", one.version), promote=True)
    await registry.rollback(store)
    same = replace(version_of("two, dressed anew", one.version), fingerprint=left.fingerprint)
    assert (await registry.register(store, same, promote=True)).state == models.CHALLENGER
    assert (await registry.register(store, version_of("three", one.version), promote=True)).state == models.CHAMPION


async def test_a_version_that_served_before_is_not_promoted_by_itself(store, version_of):
    """A training that gives a version again which another replaced leaves the champion in place."""
    one = await registry.register(store, version_of("one"), promote=True)
    two = await registry.register(store, version_of("two", one.version), promote=True)
    again = await registry.register(store, version_of("one", two.version), promote=True)
    assert again.state == models.RETIRED
    assert await serves(store) == two.version


async def test_what_happened_to_a_model_is_kept_with_who_said_so(store, version_of):
    """Registered, promoted, gone back from: in order, with names and reasons."""
    one = await registry.register(store, version_of("one"), promote=True)
    two = await registry.register(store, version_of("two", one.version), promote=False)
    await registry.promote(store, two.version, by="ana@maple.example")
    await registry.rollback(store, by="bo@maple.example", why="it sends buses to meals")
    rows = await store.read(lambda c: events.listing(c, two.version))
    assert [(row.what, row.by) for row in rows] == [
        ("rolled_back", "bo@maple.example"), ("promoted", "ana@maple.example"), ("registered", "")
    ]  # fmt: skip
    assert rows[0].why == "it sends buses to meals"
    assert (await store.read(lambda c: events.listing(c, one.version)))[0].what == "returned"


async def test_a_shadow_is_neither_champion_nor_forgotten(store, version_of):
    """It waits beside the champion; the next shadow takes its place, and it is a challenger again."""
    one = await registry.register(store, version_of("one"), promote=True)
    two = await registry.register(store, version_of("two", one.version), promote=True, shadow=True)
    assert (two.state, await serves(store)) == (models.SHADOW, one.version)
    three = await registry.register(store, version_of("three", one.version), promote=True, shadow=True)
    assert await states(store) == {
        one.version: models.CHAMPION, two.version: models.CHALLENGER, three.version: models.SHADOW
    }  # fmt: skip


async def test_a_refused_model_never_becomes_a_shadow(store, version_of):
    """The gate comes first."""
    one = await registry.register(store, version_of("one"), promote=True)
    bad = await registry.register(store, version_of("bad", one.version, NO), promote=True, shadow=True)
    assert bad.state == models.REFUSED


async def test_old_models_are_dropped_but_never_those_that_matter(store, version_of):
    """Of eight, three may stay: the champion, its predecessor and a pinned one stay whatever their age."""
    rows = [await registry.register(store, version_of("0"), promote=True)]
    pinned = await registry.register(store, version_of("pinned", rows[0].version), promote=False)
    await registry.pin(store, pinned.version, pinned=True, by="ana@maple.example")
    rows.append(await registry.register(store, version_of("1", rows[0].version), promote=True))
    for name in "23456":
        rows.append(await registry.register(store, version_of(name, rows[1].version), promote=False, keep=3))
    left = await states(store)
    assert set(left) == {pinned.version, *(row.version for row in (rows[0], rows[1], *rows[-3:]))}
    assert (await registry.rollback(store)).version == rows[0].version
    dropped = [row.version for row in await store.read(events.listing) if row.what == events.DROPPED]
    assert sorted(dropped) == sorted(row.version for row in rows[2:-3])


async def test_a_pin_can_be_taken_out(store, version_of):
    """Then it is as old as the others."""
    one = await registry.register(store, version_of("one"), promote=True)
    assert (await registry.pin(store, one.version, pinned=True)).pinned
    assert not (await registry.pin(store, one.version[:6], pinned=False)).pinned


async def test_messages_that_nobody_flagged_dont_undo_a_rollback(store, version_of):
    """A day later other messages lie unflagged, so the fingerprint is new; what people said is the same."""
    one = await registry.register(store, version_of("one"), promote=True)
    left = await registry.register(store, version_of("two", one.version), promote=True)
    await registry.rollback(store)
    again = version_of("two, a day later", one.version)
    again = replace(again, metrics={**again.metrics, FIRM: left.metrics[FIRM]})
    assert again.fingerprint != left.fingerprint
    row = await registry.register(store, again, promote=True)
    assert (row.state, await serves(store)) == (models.CHALLENGER, one.version)
    event = await store.read(lambda c: events.last_of(c, row.version, events.NOT_PROMOTED))
    assert "that was gone back from" in event.why


async def test_a_model_that_a_person_has_to_judge_is_not_promoted(store, version_of):
    """It passed with a doubt: neither serves nor is tried, says so, and one command puts it in place."""
    one = await registry.register(store, version_of("one"), promote=True)
    doubt = Check(what="department meals", n=20, champion=1.0, challenger=0.8, outcome=FOR_A_PERSON)
    doubtful = replace(YES, checks=(doubt,))
    for shadow in (False, True):
        model = version_of(f"doubtful {shadow}", one.version, doubtful)
        row = await registry.register(store, model, promote=True, shadow=shadow)
        assert (row.state, row.verdict["waits"], await serves(store)) == (models.CHALLENGER, True, one.version)
        event = await store.read(lambda c, of=row.version: events.last_of(c, of, events.NOT_PROMOTED))
        assert event.why == "the gate leaves it to a person"
    assert (await registry.promote(store, row.version, by="ana@maple.example")).state == models.CHAMPION


async def test_what_was_compared_with_a_stand_in_may_follow_the_champion_it_stood_in_for(store, version_of):
    """The champion can't be used; a challenger that is no worse than what serves in its place serves."""
    broken = await registry.register(store, version_of("one"), promote=True)
    bundled = version_of("bundled")
    stand_in = await registry.stand_in(store, lambda: (bundled.artifact, bundled.sha256))
    assert [row.version for row in await store.read(registry.stand_ins)] == [stand_in.version]
    other = version_of("two", stand_in.version, replace(YES, instead_of="0123456789ab"))
    assert (await registry.register(store, other, promote=True)).state == models.CHALLENGER
    model = version_of("three", stand_in.version, replace(YES, instead_of=broken.version))
    assert (await registry.register(store, model, promote=True)).state == models.CHAMPION


async def test_the_best_model_that_served_is_kept_to_compare_with(store, version_of):
    """However old it is; one that was gone back from is no measure."""

    def as_good(name, parent, accuracy):
        model = version_of(name, parent)
        return replace(model, metrics={**model.metrics, "held_out": {"accuracy": accuracy}})

    rows, parent = [], ""
    for name, accuracy in (("0", 0.80), ("1", 0.90), ("2", 0.89), ("3", 0.88), ("4", 0.87)):
        rows.append(await registry.register(store, as_good(name, parent, accuracy), promote=True, keep=2))
        parent = rows[-1].version
    assert [row.version for row in await store.read(models.best_first)] == [rows[n].version for n in (1, 3, 4)]
    left = await registry.register(store, as_good("5", parent, 0.99), promote=True)
    await registry.rollback(store)
    assert (await store.read(models.best_first))[0].version == rows[1].version
    assert left.version not in {row.version for row in await store.read(models.best_first)}


async def test_the_words_of_a_refusal_are_those_of_the_last_model(store, version_of):
    """The next training is judged by what it learnt; the bundled model was compared with nobody."""
    one = await registry.register(store, version_of("one"), promote=True)
    assert await store.read(models.doubted) == ("", ())
    bad = version_of("bad", one.version, replace(NO, doubted=("correction 3", "audit 0WE3MXMK4J3E")))
    await registry.register(store, bad, promote=True)
    assert await store.read(models.doubted) == (bad.version, ("correction 3", "audit 0WE3MXMK4J3E"))
