"""After an upgrade: the bundled model of the new version follows the former one, unless something was learnt here."""

from __future__ import annotations

from datetime import timedelta

import pytest

from classifiers._corpus import load_corpus
from classifiers.linear import CLASSIFIER, LinearSettings
from router.errors import Conflict, SignpostError
from router.learning import bundled, registry
from router.learning.basis import BASIS, basis
from router.learning.renewal import Renewal
from router.store import model_events as events
from router.store import models

FORMER = {"counts": {"corpus": 90, "glossary": 9}, "learnt": [], BASIS: "of a former version"}
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
    return {**FORMER, BASIS: basis(CLASSIFIER, LinearSettings(), load_corpus())}


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
