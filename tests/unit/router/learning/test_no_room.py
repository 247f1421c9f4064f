"""The disk is full while a model is registered: the last good one serves, and messages get the room that there is."""

from __future__ import annotations

from datetime import timedelta
from random import Random

import numpy as np
import pytest
from sqlalchemy import func, select

from router.errors import SignpostError, StoreBusy
from router.learning import registry
from router.learning.retrain import Retraining
from router.store import artifacts, models
from router.store import model_events as events
from router.store.model_tables import model_artifacts
from router.testing import FakeClock
from tests.contract.store_helpers import accept, inbound
from tests.unit.router.learning.live import Live, champion
from tests.unit.router.learning.test_retrain import Trainer

NOISE = {"noise": np.frombuffer(Random(1).randbytes(6 * artifacts.PART), dtype="u1")}


@pytest.fixture
def clock():
    """A clock that is turned by hand."""
    return FakeClock()


@pytest.fixture
async def live(sqlite_store, clock, log):
    """A daemon that does the learning."""
    return await Live(sqlite_store, clock, log).begin()


async def full(store, more=0):
    """Let the store have no more pages than there are, and so many."""
    pages = await store.read(lambda c: c.exec_driver_sql("PRAGMA page_count").scalar_one())
    await store.write(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count={pages + more}").close())


async def roomy(store):
    """Let it have as many as it likes."""
    await store.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1000000").close())


async def test_no_room_for_a_trained_model(live, make):
    """There is room for half of it: none of that stays, messages come in, and an hour later it is trained again."""
    first = await champion(live, make)
    trainer = Trainer(make("two", first.version, arrays=NOISE))
    retraining = Retraining(live.around, trainer)
    await live.corrected(await live.decided(4, first.version))
    live.clock.advance(1.0)
    await full(live.store, more=3 * artifacts.PART // 4096)
    await retraining.look()
    await accept(live.store, inbound("k", bytes(artifacts.PART)))
    assert await live.store.read(models.champion_version) == first.version
    assert live.told == ["The model couldn't be trained"]
    assert "the store can't be used now" in live.notices[0].text
    kept = select(func.count()).select_from(model_artifacts).where(model_artifacts.c.version != first.version)
    assert await live.store.read(lambda c: c.execute(kept).scalar_one()) == 0
    await roomy(live.store)
    await retraining.look()
    assert trainer.runs == 1
    live.clock.advance(timedelta(hours=1).total_seconds())
    await retraining.look()
    assert await live.store.read(models.champion_version) == trainer.outcome.version
    assert await live.store.read(lambda c: artifacts.read(c, trainer.outcome.version)) == trainer.outcome.artifact


async def test_a_failure_that_could_not_be_noted_either_trained_for_ever(live, make):
    """Not even why fits: it isn't tried again before an hour is over, however often it is looked."""
    first = await champion(live, make)
    trainer = Trainer(SignpostError("no memory " * artifacts.PART))
    retraining = Retraining(live.around, trainer)
    await live.corrected(await live.decided(4, first.version))
    live.clock.advance(1.0)
    await full(live.store)
    with pytest.raises(StoreBusy):
        await retraining.look()
    for _ in range(3):
        await retraining.look()
    assert trainer.runs == 1
    await roomy(live.store)
    live.clock.advance(timedelta(hours=1).total_seconds())
    await retraining.look()
    assert (trainer.runs, live.told) == (2, ["The model couldn't be trained"])


async def test_no_room_for_a_model_that_a_person_registers(live, make):
    """The command says so; what serves goes on, and with room it is registered."""
    first = await champion(live, make)
    second = make("two", first.version, arrays=NOISE)
    await full(live.store)
    with pytest.raises(StoreBusy):
        await registry.register(live.store, second, promote=True)
    assert await live.store.read(models.champion_version) == first.version
    assert [row.what for row in await live.store.read(events.listing)] == ["promoted", "registered"]
    await roomy(live.store)
    row = await registry.register(live.store, second, promote=True)
    assert row.state == models.CHAMPION
