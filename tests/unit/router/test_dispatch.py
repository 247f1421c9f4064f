"""The dispatcher's leases: many at a time, and a wake-up only where there may be more."""

from __future__ import annotations

import asyncio

from router.store import deliveries
from router.testing import until
from router.testing_sinks import RecordingSink
from tests.unit.router.district import District


async def test_the_dispatcher_is_woken_while_more_is_due(sqlite_store, log, rng):
    """As long as more may wait than was leased, the end of an attempt asks for the next lease; then no more."""
    district, woken = District(sqlite_store, log, rng, sink=RecordingSink()), []
    district.dispatcher.wake = lambda: woken.append(1)
    for n in range(70):
        await district.route(f"buses {n}")

    leased = await district.dispatcher.run_once()
    await district.dispatcher.settled()
    asked = len(woken)
    while await district.dispatcher.run_once():
        woken.clear()
        await district.dispatcher.settled()

    assert 0 < asked <= leased < 70
    assert woken == []


async def test_what_is_under_way_is_not_topped_up_one_by_one(sqlite_store, log, rng):
    """While more is leased than the sink sends at once, nothing is leased: a lease of one costs as much as of many."""
    district = District(sqlite_store, log, rng, sink=RecordingSink())
    for n in range(70):
        await district.route(f"buses {n}")

    first = await district.dispatcher.run_once()
    again = await district.dispatcher.run_once()
    await district.dispatcher.settled()

    assert first > 1
    assert again == 0
    assert await district.dispatcher.run_once() == first
    await district.dispatcher.settled()


class SlowSink(RecordingSink):
    """A sink whose attempts end when they may."""

    def __init__(self):
        super().__init__()
        self.concurrency = 2
        self.begun, self.may_end = [], asyncio.Event()

    async def send(self, forward):
        """Begin, and wait."""
        self.begun.append(forward.delivery.id)
        await self.may_end.wait()
        return await super().send(forward)


async def test_who_retires_ends_what_was_begun_and_gives_back_the_rest(sqlite_store, log, rng):
    """The rest is there for a successor at once, unattempted, however long what was begun may take; each goes once."""
    former = District(sqlite_store, log, rng, sink=SlowSink())
    for n in range(9):
        await former.route(f"buses {n}")
    await former.dispatcher.run_once()
    sink = former.dispatcher._sink
    await until(lambda: len(sink.begun) == 2)

    former.dispatcher.retire()
    await until(lambda: len(former.dispatcher.holding) == 2)
    assert await former.dispatcher.run_once() == 0
    successor = District(sqlite_store, log, rng, sink=RecordingSink())
    taken = await successor.dispatcher.run_once()
    await successor.dispatcher.settled()
    sink.may_end.set()
    await former.dispatcher.settled()

    assert taken == 7
    assert sink.begun == [forward.delivery.id for forward in sink.sent]
    found = await sqlite_store.read(lambda c: deliveries.in_states(c, ["delivered"], 100))
    assert (len(found), {delivery.attempts for delivery in found}) == (9, {1})


async def test_what_is_leased_at_that_moment_is_given_back_too(sqlite_store, log, rng):
    """A lease that was being asked for when its dispatcher retired isn't sent by it."""
    former = District(sqlite_store, log, rng, sink=RecordingSink())
    await former.route()
    leasing = asyncio.create_task(former.dispatcher.run_once())
    await asyncio.sleep(0)
    former.dispatcher.retire()
    assert await leasing == 1
    await former.dispatcher.settled()

    assert former.dispatcher._sink.sent == []
    [waiting] = await sqlite_store.read(lambda c: deliveries.in_states(c, ["waiting"], 100))
    assert waiting.attempts == 0
