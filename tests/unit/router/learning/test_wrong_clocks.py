"""A clock was ahead for a while, and was put right: learning goes on as if nothing had been."""

from __future__ import annotations

from datetime import timedelta

from router.learning import registry
from router.learning.retrain import Retraining
from router.store import models
from tests.unit.router.learning.live import champion
from tests.unit.router.learning.test_retrain import Trainer


async def test_a_clock_that_was_ahead_sent_a_rollback_to_the_wrong_model(live, make):
    """The one that served last before the champion comes back, whatever the clock said when it was promoted."""
    versions = []
    for name, turn in (("one", 0.0), ("two", 86_400.0 * 9), ("three", -86_400.0 * 9), ("four", 60.0)):
        live.clock.advance(turn)
        parent = versions[-1] if versions else ""
        versions.append((await registry.register(live.store, make(name, parent), promote=True)).version)
    assert (await registry.rollback(live.store)).version == versions[2]
    assert (await registry.rollback(live.store)).version == versions[1]


async def test_a_clock_that_was_ahead_had_it_train_again_and_again(live, make):
    """What was confirmed by a wrong clock is a reason once, when its time has come."""
    first = await champion(live, make)
    trainer = Trainer(make("two", first.version))
    retraining = Retraining(live.around, trainer)
    live.clock.advance(timedelta(days=30))
    await live.corrected(await live.decided(3, first.version))
    live.clock.advance(-timedelta(days=30))
    for runs in (0, 1):
        for _ in range(3):
            live.clock.advance(1.0)
            await retraining.look()
        assert trainer.runs == runs
        live.clock.advance(timedelta(days=31))


async def test_a_training_by_a_clock_that_was_ahead_kept_others_from_training(live, make):
    """It lies in what is the future now, and says nothing of what has been confirmed since."""
    first = await champion(live, make)
    trainer = Trainer(make("two", first.version))
    retraining = Retraining(live.around, trainer)
    live.clock.advance(timedelta(days=30))
    await retraining.train("somebody wants it")
    live.clock.advance(-timedelta(days=29))
    await live.corrected(await live.decided(3, first.version))
    for _ in range(3):
        await retraining.look()
        live.clock.advance(1.0)
    assert trainer.runs == 2


async def test_clocks_that_were_ahead_made_the_newest_model_the_oldest(live, make):
    """What has just been trained stays, though all others seem to be of next month."""
    live.clock.advance(timedelta(days=30))
    await champion(live, make)
    for number in range(3):
        await registry.register(live.store, make(f"good {number}"), promote=False)
    live.clock.advance(-timedelta(days=31))
    newest = await registry.register(live.store, make("newest"), promote=False, keep=3)
    assert newest.version in {row.version for row in await live.store.read(models.listing)}
