"""After an upgrade: the bundled model of the new version follows the former one, unless something was learnt here."""

from __future__ import annotations

from datetime import timedelta

import pytest

from classifiers._corpus import load_corpus
from classifiers.linear import CLASSIFIER, LinearSettings
from router.errors import Conflict, SignpostError
from router.learning import basis as basis_module
from router.learning import bundled, registry
from router.learning.basis import BASIS, RELEASE, basis, is_earlier, is_older, release
from router.learning.renewal import Renewal
from router.store import model_events as events
from router.store import models

FORMER = {"counts": {"corpus": 90, "glossary": 9}, "learnt": [], BASIS: "of a former version", RELEASE: "0.0.1"}
OWN = {**FORMER, "counts": {"corpus": 90, "correction": 1}, "learnt": ["correction 1"]}


class Training:
    """Stands in for the process: returns or raises what it is given, and counts."""

    def __init__(self, outcome):
        self.outcome, self.orders = outcome, []

    async def __call__(self, order, within_s):
        self.orders.append(order)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Where no bundled model is kept yet."""
    monkeypatch.setenv("SIGNPOST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def present():
    """What the bundled model of this version says of itself."""
    return {**FORMER, BASIS: basis(CLASSIFIER, LinearSettings(), load_corpus()), RELEASE: release()}


async def serves(live):
    return await live.store.read(models.champion_version)


async def test_a_bundled_champion_of_a_former_version_served_on_after_an_upgrade(live, make, present):
    """The present one serves, operations are told, and a rollback goes back; what was gone back from stays away."""
    former = await registry.register(live.store, make("one", **FORMER), promote=True)
    training = Training(make("two", **present))
    renewal = Renewal(live.around, training)
    assert await renewal.look()
    assert await serves(live) == training.outcome.version
    assert (live.told, live.refreshed) == ([f"A new model serves: {training.outcome.version}"], 1)
    [promoted] = [row for row in await live.store.read(events.listing) if row.version == training.outcome.version][:1]
    assert (promoted.what, promoted.why) == ("promoted", "this version of Signpost brings a newer bundled model")
    assert not await renewal.look()
    await registry.rollback(live.store, by="ana@maple.example")
    assert not await renewal.look()
    assert (await serves(live), len(training.orders)) == (former.version, 1)


async def test_it_is_the_very_model_that_a_first_start_makes(live, make, present):
    """Nothing of the district goes into it, though its configuration is at hand."""
    await registry.register(live.store, make("one", **FORMER), promote=True)
    training = Training(make("two", **present))
    await Renewal(live.around, training).look()
    [order] = training.orders
    assert (order.store_url, order.departments, order.files, order.corpus) == ("", (), (), True)


async def test_a_champion_that_has_learnt_here_stays(live, make, present):
    """Whatever this version brings; nothing is trained for it."""
    own = await registry.register(live.store, make("one", **OWN), promote=True)
    training = Training(make("two", **present))
    assert not await Renewal(live.around, training).look()
    assert (await serves(live), training.orders) == (own.version, [])


async def test_the_present_one_is_not_made_again(live, make, present):
    """At every start after the first."""
    await registry.register(live.store, make("one", **present), promote=True)
    training = Training(make("two", **present))
    assert not await Renewal(live.around, training).look()
    assert training.orders == []


async def test_what_was_kept_is_not_trained(live, make, present, cache):
    """As at a first start."""
    await registry.register(live.store, make("one", **FORMER), promote=True)
    kept = make("two", **present)
    cache.mkdir()
    bundled._cached_file(CLASSIFIER, LinearSettings(), cache, load_corpus()).write_bytes(kept.artifact)
    training = Training(SignpostError("it must not be asked"))
    assert await Renewal(live.around, training).look()
    assert (await serves(live), training.orders) == (kept.version, [])


async def test_a_trial_is_ended_first(live, make, present):
    """A challenger that is being tried has learnt something here: it is compared with the one that serves."""
    former = await registry.register(live.store, make("one", **FORMER), promote=True)
    await registry.register(live.store, make("own", former.version, **OWN), promote=True, shadow=True)
    assert not await Renewal(live.around, Training(make("two", **present))).look()
    assert await serves(live) == former.version


async def test_what_fails_is_tried_again_after_an_hour(live, make, present):
    """The former one serves on; beside another training it is tried again at the next look."""
    former = await registry.register(live.store, make("one", **FORMER), promote=True)
    training = Training(Conflict("another training is under way"))
    renewal = Renewal(live.around, training)
    assert not await renewal.look()
    training.outcome = SignpostError("no memory")
    for _ in range(3):
        assert not await renewal.look()
    assert (await serves(live), len(training.orders)) == (former.version, 2)
    training.outcome = make("two", **present)
    live.clock.advance(timedelta(hours=1).total_seconds())
    assert await renewal.look()


async def test_who_promotes_another_meanwhile_is_not_overruled(live, make, present):
    """The newer one is thrown away."""
    former = await registry.register(live.store, make("one", **FORMER), promote=True)
    chosen = await registry.register(live.store, make("three", former.version, **OWN), promote=False)

    class Slow(Training):
        async def __call__(self, order, within_s):
            await registry.promote(live.store, chosen.version, by="ana@maple.example")
            return await super().__call__(order, within_s)

    training = Slow(make("two", **present))
    assert not await Renewal(live.around, training).look()
    assert await serves(live) == chosen.version
    assert await live.store.read(lambda c: models.get(c, training.outcome.version)) is None


async def test_the_daemon_of_the_older_version_brought_its_model_back(live, make, present):
    """While daemons of two versions share a store, the newer one's bundled model stays."""
    newer = await registry.register(live.store, make("one", **{**FORMER, RELEASE: "999.0.1"}), promote=True)
    training = Training(make("two", **present))
    assert not await Renewal(live.around, training).look()
    assert (await serves(live), training.orders) == (newer.version, [])


async def test_another_setting_was_taken_for_another_version(live, make, present):
    """A champion of this very version that was made with other settings serves on: training asks the gate."""
    same = await registry.register(live.store, make("one", **{**FORMER, RELEASE: release()}), promote=True)
    training = Training(make("two", **present))
    assert not await Renewal(live.around, training).look()
    assert (await serves(live), training.orders) == (same.version, [])


async def test_a_kept_model_that_does_not_say_what_it_is_made_of_took_the_place_for_ever(live, make, present, cache):
    """It is trained instead; and one that isn't made of what this version brings is refused, and tried in an hour."""
    former = await registry.register(live.store, make("one", **FORMER), promote=True)
    cache.mkdir()
    path = bundled._cached_file(CLASSIFIER, LinearSettings(), cache, load_corpus())
    path.write_bytes(make("kept", counts=FORMER["counts"]).artifact)
    training = Training(make("odd", **FORMER))
    renewal = Renewal(live.around, training)
    for _ in range(3):
        assert not await renewal.look()
    assert (await serves(live), len(training.orders)) == (former.version, 1)
    training.outcome = make("two", **present)
    live.clock.advance(timedelta(hours=1).total_seconds())
    assert await renewal.look()
    assert await serves(live) == training.outcome.version


@pytest.mark.parametrize(
    ("made_by", "earlier"), [("", True), ("0.0.9", True), ("0.1.0a1", False), ("0.1.1", False), ("10.0", False)]
)
def test_versions_are_compared_by_their_numbers(monkeypatch, made_by, earlier):
    """Not as texts; what says nothing was made before models said so."""
    monkeypatch.setattr(basis_module, "version", lambda _name: "0.1.0")
    assert is_earlier({RELEASE: made_by}) is earlier


def test_a_look_at_the_registry_read_all_bundled_messages():
    """Whether there are newer ones only a model of an earlier version makes a question."""

    def read():
        raise AssertionError("nothing is to be read")

    counts = {"counts": {"corpus": 90}}
    assert not is_older({**counts, RELEASE: release(), BASIS: "of other settings"}, read)
    assert not is_older({"counts": {"correction": 9}, RELEASE: "0.0.1"}, read)
    assert is_older({**counts, RELEASE: "0.0.1", BASIS: "a former one"}, lambda: "the present one")
