"""No failure on the way strands a message: what nobody works on is free again."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from router.errors import Permanent, StoreBusy
from router.orphans import Orphans
from router.records import DeliveryKind, DeliveryState, Destination, Notice, State
from router.store import deliveries, messages, passing
from router.store.tables import deliveries as delivery_rows
from router.testing_sinks import RecordingSink
from tests.unit.router.district import District


@pytest.fixture
async def district(store, log, rng):
    """A district on either kind of store."""
    return District(store, log, rng, sink=RecordingSink())


@pytest.fixture
def orphans(district, store, log):
    """What looks after the district's leases."""
    return Orphans(store, "d1", lambda: district.stage.holding, [district.dispatcher], log)


async def test_a_message_whose_giving_back_failed_is_decided_later(district, orphans, store):
    """A stage that leased a message and lost it (the store was full, the connection gone) doesn't strand it."""
    message_id = await district.accept()
    await district.register()
    await store.write(lambda c: messages.lease_undecided(c, "d1", 10))
    assert await district.stage.run_once() == 0

    assert [await orphans.sweep(), await orphans.sweep()] == [0, 1]
    await district.decide()

    assert await store.read(lambda c: messages.state_of(c, message_id)) is State.ROUTED


async def test_a_delivery_that_nobody_holds_is_attempted_later(district, orphans, store):
    """Likewise for what a dispatcher leased and lost sight of."""
    message_id = await district.route()
    await district.register()
    now = store.clock.now()
    await store.write(lambda c: deliveries.lease(c, "relay", "d1", now, 10))

    assert [await orphans.sweep(), await orphans.sweep()] == [0, 1]
    await district.dispatch()

    [delivery] = await district.deliveries(message_id)
    assert delivery.state is DeliveryState.DELIVERED


async def test_what_is_worked_on_is_left_alone(store, log, rng):
    """A long parse and a slow attempt are no orphans, however often it looks."""
    going_on = asyncio.Event()

    class Slow:
        concurrency = 1

        async def send(self, _forward):
            await going_on.wait()
            return ""

        async def aclose(self):
            """Nothing to close."""

    district = District(store, log, rng, sink=Slow())
    orphans = Orphans(store, "d1", lambda: district.stage.holding, [district.dispatcher], log)
    message_id = await district.route()
    await district.register()
    await district.dispatcher.run_once()
    freed = [await orphans.sweep() for _ in range(4)]
    going_on.set()
    await district.dispatcher.settled()

    [delivery] = await district.deliveries(message_id)
    assert freed == [0, 0, 0, 0]
    assert (delivery.state, delivery.lost_leases) == (DeliveryState.DELIVERED, 0)
    assert district.dispatcher.holding == set()


async def test_after_a_freeze_everything_goes_on(district):
    """Who was frozen past its lease sends nothing, but strands nothing either."""
    message_id = await district.route()
    await district.register()
    district.alive = True
    [forward] = await district.dispatcher._lease()
    district.alive = False
    await district.dispatcher._attempt(forward)
    district.alive = True
    await district.dispatch()

    [delivery] = await district.deliveries(message_id)
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)


async def test_a_stop_in_the_middle_of_an_attempt_is_remembered(store, log, rng):
    """It may have arrived: after two of those a person is asked, there is no third copy."""
    begun = asyncio.Event()

    class Never:
        concurrency = 1

        async def send(self, _forward):
            begun.set()
            await asyncio.Event().wait()

        async def aclose(self):
            """Nothing to close."""

    district = District(store, log, rng, sink=Never())
    message_id = await district.route()
    seen = []
    for _ in range(2):
        await district.register()
        due = update(delivery_rows).values(next_attempt_at=store.clock.now())
        await store.write(lambda c, due=due: c.execute(due))
        await district.dispatcher.run_once()
        await begun.wait()
        begun.clear()
        await district.dispatcher.drain(0)
        [delivery] = await district.deliveries(message_id)
        seen.append((delivery.state, delivery.unclear))

    assert seen == [(DeliveryState.WAITING, 1), (DeliveryState.UNCLEAR, 2)]


async def test_a_reply_in_latin_1_settles_the_delivery(store, log, rng):
    """A server may answer with whatever bytes it likes; what was sent is marked sent."""

    class Latin:
        concurrency = 1

        async def send(self, _forward):
            return "Nachricht \udcfcbernommen\x00"

        async def aclose(self):
            """Nothing to close."""

    district = District(store, log, rng, sink=Latin())
    message_id = await district.route()
    await district.dispatch()

    [delivery] = await district.deliveries(message_id)
    assert delivery.state is DeliveryState.DELIVERED


async def test_an_urgent_alert_that_dies_is_told(store, log, rng):
    """The people for urgent messages can't be reached: operations hear of it at once."""
    district = District(store, log, rng, sink=RecordingSink(Permanent("no such mailbox")))
    message_id = await district.route()
    now = store.clock.now()
    await store.write(lambda c: passing.drop_waiting(c, 1, now))
    await store.write(
        lambda c: deliveries.add(
            c,
            [Destination(via="relay", to="safety@district.example")],
            kind=DeliveryKind.ALERT,
            now=now,
            message_id=message_id,
            urgent=True,
            notice=Notice(subject="URGENT", text="x"),
        )
    )
    await district.dispatch()

    assert [f.delivery.to for f in district.dispatcher._sink.sent] == ["it@district.example"]


async def test_a_busy_store_does_not_end_an_attempt(district, store):
    """What was sent is written down as soon as the store answers again."""
    answers = [StoreBusy("full"), StoreBusy("full")]

    async def write():
        if answers:
            raise answers.pop()

    await district.dispatcher._write(write)

    assert answers == []
