"""The dispatcher's leases: many at a time, and a wake-up only where there may be more."""

from __future__ import annotations

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
