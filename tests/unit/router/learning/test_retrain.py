"""A daemon's trainings: when, by whom, and what becomes of what comes out. The training itself is a stand-in here."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import time, timedelta

import pytest

from router.errors import SignpostError
from router.learning import registry
from router.learning.learner import Learner
from router.learning.retrain import Retraining
from router.learning.verdicts import FOR_A_PERSON, Check
from router.store import daemons, models, tables
from router.store import model_events as events
from router.store.engine import open_store
from router.testing import FakeClock
from tests.unit.router.learning.live import Live, champion, with_terms


class Trainer:
    """Stands in for the process: returns or raises what it is given, and counts."""

    def __init__(self, outcome):
        self.outcome, self.runs = outcome, 0

    async def __call__(self, order, within_s):
        self.runs += 1
        assert (order.classifier, within_s) == ("linear", 3600.0)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


async def happened(live):
    return [row.what for row in reversed(await live.store.read(events.listing))]


async def test_so_many_confirmed_corrections_lead_to_one_training(live, make):
    """Not two of three; with the third it trains, once, and the new model serves at once if no trial is wanted."""
    first = await champion(live, make)
    trainer = Trainer(make("two", first.version))
    retraining = Retraining(live.around, trainer)
    decided = await live.decided(4, first.version)
    await live.corrected(decided[:2])
    await live.corrected(decided[2:3], state="proposed")
    await retraining.look()
    assert trainer.runs == 0
    await live.corrected(decided[3:])
    for _ in range(3):
        await retraining.look()
        live.clock.advance(1.0)
    assert trainer.runs == 1
    row = await live.store.read(models.champion)
    assert (row.version, live.refreshed) == (trainer.outcome.version, 1)
    assert live.told == [f"A new model serves: {row.version}"]
    assert await happened(live) == ["registered", "promoted", "training", "registered", "promoted"]


async def test_what_was_confirmed_during_a_training_counts_for_the_next(live, make):
    """The snapshot's time counts, not the end."""
    first = await champion(live, make)
    trainer = Trainer(make("two", first.version))

    class Slow(Trainer):
        async def __call__(self, order, within_s):
            live.clock.advance(60.0)
            await live.corrected(await live.decided(3, first.version))
            live.clock.advance(60.0)
            return await super().__call__(order, within_s)

    await live.corrected(await live.decided(3, first.version))
    live.clock.advance(1.0)
    await Retraining(live.around, Slow(trainer.outcome)).look()
    live.clock.advance(1.0)
    await Retraining(live.around, trainer).look()
    assert trainer.runs == 1


async def test_a_refused_model_is_told_with_its_reason_and_changes_nothing(live, make):
    """The champion goes on."""
    first = await champion(live, make)
    await live.corrected(await live.decided(3, first.version))
    await Retraining(live.around, Trainer(make("bad", first.version, passed=False))).look()
    assert (await live.store.read(models.champion)).version == first.version
    assert live.told == ["A new model was refused"]


async def test_a_training_that_fails_is_told_and_tried_again_later(live, make):
    """The champion goes on, and the pause between tries grows."""
    first = await champion(live, make)
    await live.corrected(await live.decided(3, first.version))
    trainer = Trainer(SignpostError("its process was ended by signal 9 before it was done"))
    retraining = Retraining(live.around, trainer)
    for pause, runs in ((0, 1), (59, 1), (1, 2), (119, 2), (1, 3)):
        live.clock.advance(timedelta(minutes=pause))
        await retraining.look()
        assert trainer.runs == runs
    assert (await live.store.read(models.champion)).version == first.version
    assert live.told == ["The model couldn't be trained"] * 3
    trainer.outcome = make("two", first.version)
    live.clock.advance(timedelta(hours=4))
    await retraining.look()
    assert (await live.store.read(models.champion)).version == trainer.outcome.version


async def test_at_its_time_of_day_it_trains_once_if_anything_is_new(live, make):
    """07:00 in UTC is 02:00 in Chicago."""
    first = await champion(live, make)
    with_terms(live, retrain_after=0, retrain_at=time(2, 0))
    trainer = Trainer(make("two", first.version))
    retraining = Retraining(live.around, trainer)
    await retraining.look()
    live.clock.advance(timedelta(hours=20))
    await retraining.look()
    assert trainer.runs == 0
    await live.corrected(await live.decided(1, first.version))
    await retraining.look()
    assert trainer.runs == 0
    for hours, runs in ((22, 0), (1, 1), (1, 1), (24, 1)):
        live.clock.advance(timedelta(hours=hours))
        await retraining.look()
        assert trainer.runs == runs, live.clock.now()


async def test_a_trial_put_off_the_daily_training_by_a_day(live, make):
    """While a challenger was tried the daily time passed: it trains when the trial is over, not a day later."""
    first = await champion(live, make)
    with_terms(live, retrain_after=0, retrain_at=time(2, 0))
    trainer = Trainer(make("two", first.version))
    retraining = Retraining(live.around, trainer)
    await retraining.look()
    tried = await registry.register(live.store, make("tried", first.version), promote=True, shadow=True)
    await live.corrected(await live.decided(1, first.version))
    live.clock.advance(timedelta(hours=24))
    await retraining.look()
    assert trainer.runs == 0
    await live.store.write(lambda c: models.end_shadow(c, tried.version))
    for _ in range(2):
        await retraining.look()
        assert trainer.runs == 1
        live.clock.advance(1.0)


async def test_a_model_with_a_doubt_waits_for_a_person_who_is_told_so(live, make):
    """The champion goes on; the notice says what to look at and how to use it."""
    first = await champion(live, make)
    await live.corrected(await live.decided(3, first.version))
    doubt = Check(what="department meals", n=20, champion=1.0, challenger=0.8, outcome=FOR_A_PERSON)
    model = make("two", first.version)
    model = replace(model, verdict=replace(model.verdict, checks=(doubt,)))
    await Retraining(live.around, Trainer(model)).look()
    assert (await live.store.read(models.champion)).version == first.version
    assert live.told == ["A new model waits for a person"]
    waiting = await live.store.read(models.waiting)
    assert [row.version for row in waiting] == [model.version]
    await registry.promote(live.store, model.version)
    assert await live.store.read(models.waiting) == []


async def test_a_refusal_names_the_person_behind_most_of_what_is_new(live, make):
    """So that somebody can look at what they said; the log names nobody."""
    first = await champion(live, make)
    await live.corrected(await live.decided(3, first.version))
    model = make("bad", first.version, passed=False)
    remark = "50 of the 60 words of people that are new to it come of mal@d.example."
    model = replace(model, verdict=replace(model.verdict, remark=remark, doubted=("correction 1",)))
    await Retraining(live.around, Trainer(model)).look()
    [notice] = live.notices
    assert remark in notice.text
    assert "signpost corrections list --conflicts" in notice.text


async def test_while_a_challenger_is_tried_no_other_is_trained(live, make):
    """Or none would ever be tried to the end."""
    first = await champion(live, make)
    with_terms(live, shadow=100)
    trainer = Trainer(make("two", first.version))
    retraining = Retraining(live.around, trainer)
    for _ in range(2):
        await live.corrected(await live.decided(3, first.version))
        live.clock.advance(1.0)
        await retraining.look()
    assert trainer.runs == 1
    assert (await live.store.read(models.shadow)).version == trainer.outcome.version
    assert (await live.store.read(models.champion)).version == first.version


async def test_a_daemon_that_lost_the_lease_registers_nothing(live, log, make):
    """It was frozen while it trained, and another has taken over: what it has learnt is thrown away."""
    first = await champion(live, make)
    other = Live(live.store, live.clock, log, "other")

    class Frozen(Trainer):
        async def __call__(self, order, within_s):
            await live.store.write(lambda c: daemons.leave(c, live.name))
            await other.begin()
            return await super().__call__(order, within_s)

    await live.corrected(await live.decided(3, first.version))
    with pytest.raises(SignpostError, match="another daemon has taken this over"):
        await Retraining(live.around, Frozen(make("two", first.version))).look()
    assert await live.count(tables.models) == 1


async def test_of_two_daemons_one_does_the_learning(postgres_url, log):
    """The other looks, and takes over when the first is gone."""
    clock = FakeClock()
    stores = [open_store(postgres_url, clock) for _ in range(2)]
    try:
        for each in stores:
            await each.open()
        both = [Live(each, clock, log, name) for each, name in zip(stores, ("one", "other"), strict=True)]
        for live in both:
            await live.store.write(lambda c, name=live.name: daemons.register(c, name, None, alone=False))
        learners = [Learner(live.around) for live in both]
        for _ in range(3):
            await asyncio.gather(*(act() for learner in learners for _name, _s, act in learner.acts()))
        holders = [live for live in both if await live.lease.confirm()]
        assert len(holders) == 1
        await holders[0].store.write(lambda c: daemons.leave(c, holders[0].name))
        (other,) = [live for live in both if live is not holders[0]]
        await learners[both.index(other)].train()
        assert await other.lease.confirm()
        assert not await holders[0].lease.confirm()
    finally:
        for each in stores:
            await each.close()


async def test_a_training_that_made_the_champion_again_was_told_as_news(live, make):
    """Somebody confirmed and withdrew: the data are the same, and so is the model."""
    first = await champion(live, make)
    again = make("two", first.version)
    second = await registry.register(live.store, again, promote=True)
    await Retraining(live.around, Trainer(again)).train("somebody confirmed and withdrew")
    assert (await live.store.read(models.champion)).version == second.version
    assert live.told == []
