"""Alarms on both kinds of store: raised once, passed on once, ended once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

from sqlalchemy import update

from router.records import DeliveryKind, DeliveryState, Destination
from router.store import alarms, deliveries, tables
from router.store.engine import open_store
from router.testing import FakeClock
from router.urgency import acknowledge
from tests.contract.store_helpers import NOW, routed
from tests.unit.router.alarms import AFTER, THEN, escalation, told

LATER = NOW + timedelta(minutes=5)
SAFETY = Destination(via="relay", to="safety@district.example")


async def raised(store, key="k1"):
    """Return the id of a routed message with an alarm, whose one alert waits."""
    message_id = await routed(store, key)
    work = partial(alarms.raise_alarm, message_id=message_id, why="child missing", decision_id=None, now=NOW)
    assert await store.write(work)
    add = partial(deliveries.add, kind=DeliveryKind.ALERT, now=NOW, message_id=message_id, urgent=True)
    await store.write(lambda c: add(c, [SAFETY]))
    return message_id


async def test_an_alarm_is_due_when_its_time_has_come_and_not_before(store):
    """It waits for the delay since somebody was told last, and for as many steps as there are."""
    message_id = await raised(store)
    due = partial(alarms.due, told=2, limit=10)
    assert await store.read(lambda c: due(c, NOW - timedelta(seconds=1))) == []
    [alarm] = await store.read(lambda c: due(c, NOW))
    assert (alarm.message_id, alarm.told, alarm.raised_at) == (message_id, 0, NOW)
    assert await store.write(lambda c: alarms.tell_next(c, alarm, LATER))
    assert await store.read(lambda c: due(c, NOW)) == []
    [alarm] = await store.read(lambda c: due(c, LATER))
    assert await store.write(lambda c: alarms.tell_next(c, alarm, LATER))
    assert await store.read(lambda c: due(c, LATER)) == []


async def test_of_several_daemons_one_passes_an_alarm_on(store):
    """Ten that saw the same alarm at the same moment: one of them hears yes."""
    await raised(store)
    [alarm] = await store.read(lambda c: alarms.due(c, NOW, 1, 10))
    told = await asyncio.gather(*(store.write(lambda c: alarms.tell_next(c, alarm, LATER)) for _ in range(10)))
    assert sorted(told) == [False] * 9 + [True]


async def test_an_alarm_none_of_whose_alerts_can_arrive_is_due_at_once(store):
    """With its only alert dead there is nobody left who could acknowledge it."""
    message_id = await raised(store)
    [alert] = await store.read(lambda c: alarms.alerts_of(c, message_id))
    assert await store.read(lambda c: alarms.due(c, NOW - timedelta(hours=1), 1, 10)) == []
    [leased] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", NOW, 1))
    assert leased.id == alert.id
    await store.write(lambda c: deliveries.settle(c, leased, DeliveryState.DEAD, NOW))
    assert len(await store.read(lambda c: alarms.due(c, NOW - timedelta(hours=1), 1, 10))) == 1


async def test_an_acknowledged_alarm_is_over(store):
    """It is ended once, is never due again, isn't counted, and can't be raised anew."""
    message_id = await raised(store)
    [alert] = await store.read(lambda c: alarms.alerts_of(c, message_id))
    assert await store.read(lambda c: alarms.waiting(c, LATER)) == {"waiting_for_acknowledgement": 1, "oldest_s": 300.0}
    assert await store.write(lambda c: alarms.acknowledge(c, message_id, alert.id, LATER))
    assert not await store.write(lambda c: alarms.acknowledge(c, message_id, alert.id, LATER))
    assert await store.read(lambda c: alarms.due(c, LATER, 5, 10)) == []
    assert not await store.write(lambda c: alarms.raise_alarm(c, message_id, "again", None, LATER))
    assert await store.read(lambda c: alarms.waiting(c, LATER)) == {"waiting_for_acknowledgement": 0, "oldest_s": 0.0}


async def test_an_urgent_message_leaves_after_its_alert_and_before_the_rest(store):
    """The order at one sink: urgent alerts, urgent messages, everything else by age."""
    message_id = await routed(store)
    for kind, urgent, to in (
        (DeliveryKind.ROUTE, True, "desk"),
        (DeliveryKind.ALERT, False, "it"),
        (DeliveryKind.ALERT, True, "safety"),
    ):
        add = partial(deliveries.add, kind=kind, now=NOW, message_id=message_id, urgent=urgent)
        await store.write(lambda c, add=add, to=to: add(c, [Destination(via="order", to=to)]))
    leased = await store.write(lambda c: deliveries.lease(c, "order", "d1", NOW, 10))
    assert [each.to for each in leased] == ["safety", "desk", "it"]


async def test_urgent_alerts_can_be_leased_alone(store):
    """Where there is room for nothing else, urgent alerts are leased, and of those a process died over one."""
    message_id = await routed(store)
    for kind, urgent, to in (
        (DeliveryKind.ROUTE, True, "desk"),
        (DeliveryKind.ALERT, False, "it"),
        (DeliveryKind.ALERT, True, "safety"),
        (DeliveryKind.ALERT, True, "suspected"),
    ):
        add = partial(deliveries.add, kind=kind, now=NOW, message_id=message_id, urgent=urgent)
        await store.write(lambda c, add=add, to=to: add(c, [Destination(via="order", to=to)]))
    suspected = update(tables.deliveries).where(tables.deliveries.c.to == "suspected").values(lost_leases=1)
    await store.write(lambda c: c.execute(suspected))
    take = partial(deliveries.lease, via="order", owner="d1", now=NOW, limit=10, only_alerts=True)
    assert [each.to for each in await store.write(lambda c: take(c, suspects=0))] == ["safety"]
    assert [each.to for each in await store.write(take)] == ["suspected"]
    assert await store.write(take) == []


async def test_two_daemons_on_one_postgresql_tell_each_person_once(postgres_url, log):
    """Each looks with a connection pool of its own, again and again, at the same moments: nobody is told twice."""
    clock = FakeClock(NOW)
    stores = [open_store(postgres_url, clock) for _ in range(2)]
    for each in stores:
        await each.open()
    try:
        message_ids = [await raised(stores[0], f"k{n}") for n in range(5)]
        daemons = [escalation(each, log) for each in stores]
        for people in (1, 2, 2, 2):  # two in `then`, after them operations, after them nobody
            clock.advance(AFTER)
            passed_on = await asyncio.gather(*(daemon.run_once() for daemon in daemons * 3))
            expected = [SAFETY.to, *(to.to for to in THEN[:people])]
            assert [(await told(stores[1], each))[: people + 1] for each in message_ids] == [expected] * 5
            assert sum(passed_on) in (5, 0)
        assert [len(await told(stores[1], each)) for each in message_ids] == [4] * 5
    finally:
        for each in stores:
            await each.close()


async def test_of_pressing_the_button_and_passing_on_one_comes_first(store, log):
    """At the same moment: either nobody else is told, or who was told in that moment gets the note."""
    message_id = await raised(store)
    [alert] = await store.read(lambda c: alarms.alerts_of(c, message_id))
    now = store.clock.now()
    await asyncio.gather(store.write(lambda c: acknowledge(c, alert.id, now)), escalation(store, log).run_once())
    about = await store.read(lambda c: alarms.alerts_of(c, message_id))
    assert len(about) in (1, 2)
    assert all(each.state is DeliveryState.DROPPED for each in about)
    assert await escalation(store, log).run_once() == 0
