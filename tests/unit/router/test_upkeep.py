"""Heartbeats and the daily digest."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from router.errors import Permanent, StoreBroken
from router.records import DeliveryKind, Destination
from router.store import deliveries
from router.store.engine import open_store
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from router.upkeep import Digest, Heartbeat
from tests.unit.router.district import ALERTS, District

CHICAGO = ZoneInfo("America/Chicago")


@pytest.fixture
async def clocked(store_url):
    """A store whose time stands still: 2 March 2026, 6:00 in Chicago."""
    opened = open_store(store_url, FakeClock(datetime(2026, 3, 2, 12, 0, tzinfo=UTC)))
    await opened.open()
    yield opened
    await opened.close()


async def freeze(store):
    """Let five minutes pass in which no daemon beats, by the clock that measures lives in this kind of store."""
    store.clock.advance(timedelta(minutes=5))
    if store.dialect == "postgresql":  # its clock can't be set: the lives end five minutes earlier
        earlier = text("UPDATE daemons SET expires_at = expires_at - interval '5 minutes'")
        await store.write(lambda c: c.execute(earlier).rowcount)


async def alerts(store):
    """Return the subjects of the alerts in the outbox."""
    waiting = await store.read(lambda c: deliveries.in_states(c, ["waiting"], 100))
    return [d.notice.subject for d in waiting if d.kind is DeliveryKind.ALERT]


async def test_no_digest_when_nothing_waits(clocked):
    """A quiet day sends no mail."""
    clocked.clock.advance(timedelta(hours=3))

    await Digest(clocked, ALERTS, time(7), CHICAGO).send_if_due()

    assert await alerts(clocked) == []


async def test_the_digest_comes_once_a_day_after_its_hour(clocked, log, rng):
    """At 7:00 local time, not before, not twice, and again tomorrow."""
    district = District(clocked, log, rng, sink=RecordingSink(Permanent("no such mailbox")))
    await district.route()
    await district.dispatch()
    digest = Digest(clocked, ALERTS, time(7), CHICAGO)
    subject = "What waits for a person"

    await digest.send_if_due()
    early = (await alerts(clocked)).count(subject)
    clocked.clock.advance(timedelta(hours=1))
    await digest.send_if_due()
    await digest.send_if_due()
    today = (await alerts(clocked)).count(subject)
    clocked.clock.advance(timedelta(days=1))
    await digest.send_if_due()

    assert (early, today, (await alerts(clocked)).count(subject)) == (0, 1, 2)


async def test_a_daemon_is_alive_while_it_beats(clocked, log):
    """Registering makes it alive; the leases of the one before are free again."""
    heart = Heartbeat(clocked, "d1", log)
    assert not heart.alive()

    await heart.register()
    await heart.beat()

    assert heart.alive()


async def test_a_refusal_is_an_answer(store_url, log):
    """A store that says no at once isn't stuck: a daemon that could only refuse is left running."""
    store = open_store(store_url)
    await store.open()
    heart = Heartbeat(store, "d1", log)
    await heart.register()
    await store.close()
    began = asyncio.get_running_loop().time()

    with pytest.raises(StoreBroken):
        await heart.beat()

    assert heart.silent_s() <= asyncio.get_running_loop().time() - began


async def test_a_store_that_says_nothing_is_silent(sqlite_store, log):
    """While a beat waits for the store, the silence lasts from the answer before it."""
    heart = Heartbeat(sqlite_store, "d1", log)
    await heart.register()
    answered = asyncio.get_running_loop().time()
    begun, go_on = threading.Event(), threading.Event()
    stuck = asyncio.create_task(sqlite_store.write(lambda _connection: begun.set() or go_on.wait()))
    try:
        await asyncio.to_thread(begun.wait)
        beating = asyncio.create_task(heart.beat())
        await asyncio.wait({beating}, timeout=0.05)
        assert heart.silent_s() >= asyncio.get_running_loop().time() - answered - 0.001
    finally:
        go_on.set()
        await asyncio.gather(stuck, beating)
    assert heart.silent_s() < asyncio.get_running_loop().time() - answered


async def test_who_was_taken_for_dead_comes_back_without_its_leases(clocked, log):
    """After a long freeze a daemon starts afresh; what it held is free."""
    heart = Heartbeat(clocked, "d1", log)
    await heart.register()
    destination = [Destination(via="relay", to="x")]
    now = clocked.clock.now()
    await clocked.write(lambda c: deliveries.add(c, destination, kind=DeliveryKind.ALERT, now=now))
    [held] = await clocked.write(lambda c: deliveries.lease(c, "relay", "d1", now, 1))
    await freeze(clocked)
    other = Heartbeat(clocked, "d2", log)
    await other.register()

    await heart.beat()

    after = await clocked.read(lambda c: deliveries.get(c, held.id))
    assert heart.alive()
    assert after.lost_leases == 1


async def test_a_single_daemon_was_dead_for_ever_after_a_freeze(clocked, log):
    """Nobody else is there to bury it: it buries itself, frees what it held, and beats on.

    With a file nobody else can have taken what it holds: that stays its own, and is not sent a second time.
    """
    heart = Heartbeat(clocked, "d1", log)
    await heart.register()
    now = clocked.clock.now()
    add = [Destination(via="relay", to="x")]
    await clocked.write(lambda c: deliveries.add(c, add, kind=DeliveryKind.ALERT, now=now))
    [held] = await clocked.write(lambda c: deliveries.lease(c, "relay", "d1", now, 1))
    await freeze(clocked)

    await heart.beat()
    await heart.beat()

    freed = 1 if clocked.dialect == "postgresql" else 0
    assert heart.alive()
    assert (await clocked.read(lambda c: deliveries.get(c, held.id))).lost_leases == freed
    assert len(await clocked.write(lambda c: deliveries.lease(c, "relay", "d1", now, 1))) == freed


async def test_a_beat_that_fails_says_why(sqlite_store, log):
    """Until the next one that doesn't."""
    heart = Heartbeat(sqlite_store, "d1", log)
    await heart.register()
    refusing = "CREATE TRIGGER full BEFORE UPDATE ON daemons BEGIN SELECT RAISE(ABORT, 'no room'); END"
    await sqlite_store.write(lambda c: c.execute(text(refusing)) and None)
    with pytest.raises(Exception, match="no room"):
        await heart.beat()
    await sqlite_store.write(lambda c: c.execute(text("DROP TRIGGER full")) and None)
    await heart.beat()
    assert heart.trouble == ""


async def test_a_clock_that_ran_ahead_took_a_living_daemon_for_dead(postgres_url, log):
    """On PostgreSQL a life is measured by the database's time, whatever the clocks of the daemons' machines say."""
    clocks = [FakeClock(datetime(2026, 3, 2, 12, 0, tzinfo=UTC)), FakeClock(datetime(2026, 3, 2, 12, 5, tzinfo=UTC))]
    stores = [open_store(postgres_url, clock) for clock in clocks]
    for store in stores:
        await store.open()
    now = clocks[0].now()
    add = [Destination(via="relay", to="x")]

    await Heartbeat(stores[0], "d1", log).register()
    await stores[0].write(lambda c: deliveries.add(c, add, kind=DeliveryKind.ALERT, now=now))
    [held] = await stores[0].write(lambda c: deliveries.lease(c, "relay", "d1", now, 1))
    ahead = Heartbeat(stores[1], "d2", log)
    await ahead.register()
    await ahead.beat()

    assert (await stores[0].read(lambda c: deliveries.get(c, held.id))).lost_leases == 0
    for store in stores:
        await store.close()


async def test_leaving_gives_everything_back(clocked, log):
    """A graceful stop is no lost lease."""
    heart = Heartbeat(clocked, "d1", log)
    await heart.register()
    now = clocked.clock.now()
    add = [Destination(via="relay", to="x")]
    await clocked.write(lambda c: deliveries.add(c, add, kind=DeliveryKind.ALERT, now=now))
    [held] = await clocked.write(lambda c: deliveries.lease(c, "relay", "d1", now, 1))

    await heart.leave()

    after = await clocked.read(lambda c: deliveries.get(c, held.id))
    assert (after.lost_leases, after.attempts) == (0, 0)
    assert len(await clocked.write(lambda c: deliveries.lease(c, "relay", "d2", now, 1))) == 1
