"""One training at a time: by the daemons, and by whoever types a command."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from router.errors import Conflict
from router.learning.learner import Learner
from router.learning.turn import BEGIN, LASTS, say_in, turn, under_way
from router.store import marks
from router.store import model_events as events
from tests.unit.router.learning.live import champion


async def busy(live):
    """Return whether somebody trains."""
    return await live.store.read(lambda c: under_way(c, live.clock.now()))


async def test_of_two_one_trains_at_a_time(live):
    """The other is told so; when the first has ended, however it ended, it is the other's turn."""
    say = say_in(live.store)

    async def trains(ending=None):
        async with turn(say):
            assert await busy(live)
            with pytest.raises(Conflict, match="another training is under way"):
                await say(BEGIN)
            assert await busy(live)
            if ending:
                raise ending

    with pytest.raises(ZeroDivisionError):
        await trains(ZeroDivisionError)
    assert not await busy(live)
    await trains()
    assert not await busy(live)


async def test_who_is_killed_keeps_nobody_waiting_for_long(live):
    """Two minutes after the last sign of life it is anybody's turn."""
    await say_in(live.store)(BEGIN)
    live.clock.advance(LASTS - timedelta(seconds=1))
    assert await busy(live)
    live.clock.advance(1.0)
    assert not await busy(live)
    async with turn(say_in(live.store)):
        assert await busy(live)


async def test_a_long_training_keeps_its_turn(live):
    """It gives signs of life while it lasts."""

    async def renewed():
        return await live.store.read(lambda c: marks.get(c, "learning:turn")) == live.clock.now()

    async with turn(say_in(live.store), renew_s=0.01):
        for _ in range(3):
            live.clock.advance(LASTS * 0.75)
            async with asyncio.timeout(60):
                while not await renewed():
                    pass
            assert await busy(live)


async def test_a_daemon_waits_while_a_command_trains(live, make):
    """It neither begins nor fails, and begins afterwards: here with an order that can't be done."""
    first = await champion(live, make)
    await live.corrected(await live.decided(3, first.version))
    learner = Learner(live.around)

    async def tried():
        return events.FAILED in {row.what for row in await live.store.read(events.listing)}

    async with turn(say_in(live.store)):
        await learner.train()
        assert not await tried()
    await learner.train()
    assert await tried()
    assert not await busy(live)
