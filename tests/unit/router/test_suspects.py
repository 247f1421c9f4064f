"""What was leased when a process died is tried one at a time, so that a few crashes don't bury a whole batch."""

from __future__ import annotations

import asyncio

from sqlalchemy import update

from router.records import State
from router.routing.stage import BATCH
from router.store import deliveries, messages
from router.store.tables import deliveries as delivery_rows
from router.store.tables import messages as message_rows
from tests.unit.router.district import District


class Waiting:
    """A sink whose attempts end when they are let go."""

    concurrency = 4

    def __init__(self):
        self.under_way = []
        self.all_busy = asyncio.Event()
        self.let_go = asyncio.Event()

    async def send(self, forward):
        """Wait."""
        self.under_way.append(forward.delivery.lost_leases)
        if len(self.under_way) == self.concurrency:
            self.all_busy.set()
        await self.let_go.wait()
        return ""

    async def aclose(self):
        """Nothing to close."""


async def suspect(store, table, count):
    """Let the first rows look as if a process had died over them."""
    await store.write(lambda c: c.execute(update(table).where(table.c.id.in_(count)).values(lost_leases=1)))


async def test_suspected_deliveries_go_one_at_a_time_beside_the_sound_ones(sqlite_store, log, rng):
    """Of six, three suspected: the sound ones leave at once, and of the others the next when one has ended."""
    sink = Waiting()
    district = District(sqlite_store, log, rng, sink=sink)
    ids = [(await district.deliveries(await district.route(f"buses {n}")))[0].id for n in range(6)]
    await suspect(sqlite_store, delivery_rows, ids[:3])
    assert await district.dispatcher.run_once() == 4
    assert await district.dispatcher.run_once() == 0
    async with asyncio.timeout(10):
        await sink.all_busy.wait()
    assert sorted(sink.under_way) == [0, 0, 0, 1]
    sink.let_go.set()
    await district.dispatcher.settled()
    assert await district.dispatcher.run_once() == 1
    await district.dispatcher.settled()
    assert await district.dispatcher.run_once() == 1
    await district.dispatcher.settled()


async def test_the_least_suspected_delivery_comes_first(store, log, rng):
    """Crashes in a row are spread over those that could be to blame; urgent ones still come before others."""
    district = District(store, log, rng)
    ids = [(await district.deliveries(await district.route(f"buses {n}")))[0].id for n in range(3)]
    await suspect(store, delivery_rows, ids)
    await suspect_more(store, ids[0])
    leased = []
    for _ in range(4):
        leased += await store.write(lambda c: deliveries.lease(c, "relay", "d1", store.clock.now(), 10))
    assert [delivery.id for delivery in leased] == [ids[1], ids[2], ids[0]]
    none = await store.write(lambda c: deliveries.lease(c, "relay", "d1", store.clock.now(), 10, suspects=0))
    assert none == []


async def suspect_more(store, delivery_id):
    """Let one delivery look as if two processes had died over it."""
    row = delivery_rows.c.id == delivery_id
    await store.write(lambda c: c.execute(update(delivery_rows).where(row).values(lost_leases=2)))


async def test_an_attempt_that_the_process_outlived_clears_the_suspicion(store, log, rng):
    """Who is deferred has killed nobody: the count starts afresh."""
    district = District(store, log, rng)
    message_id = await district.route()
    [delivery] = await district.deliveries(message_id)
    await suspect(store, delivery_rows, [delivery.id])
    now = store.clock.now()
    [leased] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", now, 10))
    assert await store.write(lambda c: deliveries.defer(c, leased, now, "try later"))
    [kept] = await district.deliveries(message_id)
    assert (leased.lost_leases, kept.lost_leases) == (1, 0)


async def test_a_suspected_message_is_decided_alone(store, log, rng):
    """It comes before the others and by itself; a young daemon leaves it alone and does the others."""
    district = District(store, log, rng)
    ids = [await district.accept(f"buses {n}") for n in range(4)]
    await suspect(store, message_rows, ids[2:3])
    young = await store.write(lambda c: messages.lease_undecided(c, "d1", 2, suspects=False))
    first = await store.write(lambda c: messages.lease_undecided(c, "d1", 10))
    second = await store.write(lambda c: messages.lease_undecided(c, "d1", 10))
    assert [undecided.id for undecided in young] == ids[:2]
    assert [undecided.id for undecided in first] == ids[2:3]
    assert [undecided.id for undecided in second] == ids[3:]


async def test_a_suspect_has_its_turn_however_much_there_is_to_do(sqlite_store, log, rng):
    """After a full batch without one suspects are left for a moment, and then looked for again."""
    district = District(sqlite_store, log, rng)
    ids = [await district.accept(f"buses {n}") for n in range(2 * BATCH + 1)]
    assert await district.stage.run_once() == BATCH
    await suspect(sqlite_store, message_rows, ids[-1:])
    assert await district.stage.run_once() == BATCH
    async with asyncio.timeout(30):
        while await district.stage.run_once() == 0:
            pass  # it waits for the store
    assert await sqlite_store.read(lambda c: messages.state_of(c, ids[-1])) is State.ROUTED
