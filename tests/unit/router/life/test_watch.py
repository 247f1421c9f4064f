"""What nobody would notice otherwise is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from router.errors import Retryable
from router.life.watch import Watch
from router.records import DeliveryKind, DeliveryState, State
from router.store import deliveries, messages
from router.store.engine import open_store
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.district import ALERTS, District


@pytest.fixture
async def clocked(store_url):
    """A store whose time stands still."""
    opened = open_store(store_url, FakeClock(datetime(2026, 3, 2, 12, 0, tzinfo=UTC)))
    await opened.open()
    yield opened
    await opened.close()


async def subjects(store):
    """Return the subjects of the alerts in the outbox, the newest first."""
    waiting = await store.read(lambda c: deliveries.in_states(c, ["waiting"], 100))
    return [d.notice.subject for d in waiting if d.kind is DeliveryKind.ALERT]


async def test_what_waits_for_a_channel_that_is_gone_becomes_a_dead_letter(clocked, log, rng):
    """A renamed or removed channel doesn't keep messages for ever: a person hears of it.

    Where daemons share a store it takes five minutes: another one may still have the channel, or have it already.
    """
    district = District(clocked, log, rng, sink=RecordingSink())
    message_id = await district.route()
    watch = Watch(clocked, ALERTS, {"new-relay"})

    await watch.look()
    [early] = await district.deliveries(message_id)
    clocked.clock.advance(timedelta(minutes=6))
    await watch.look()

    assert early.state is (DeliveryState.DEAD if clocked.dialect == "sqlite" else DeliveryState.WAITING)

    [delivery] = await district.deliveries(message_id)
    assert delivery.state is DeliveryState.DEAD
    assert "no channel 'relay'" in delivery.last_error


async def test_a_sink_that_takes_nothing_is_told(clocked, log, rng):
    """An expired password is retried for days; a person hears of it after a quarter of an hour, and not again soon."""
    district = District(clocked, log, rng, sink=RecordingSink(Retryable("535 refused")))
    await district.route()
    await district.dispatch()
    watch = Watch(clocked, ALERTS, {"relay"})

    await watch.look()
    early = await subjects(clocked)
    clocked.clock.advance(timedelta(minutes=16))
    await watch.look()
    await watch.look()

    assert early == []
    assert await subjects(clocked) == ["relay delivers nothing"]


async def test_what_was_not_told_at_once_is_summed_up(clocked, log, rng):
    """Five held messages in a minute are one alert now, and one summary when the quiet ends."""
    district = District(clocked, log, rng)
    message_id = await district.route()

    def hold(connection):
        messages.set_state(connection, message_id, State.HELD, "it came back")
        for _ in range(5):
            ALERTS.tell_held(connection, message_id, "it came back", clocked.clock.now())

    await clocked.write(hold)
    watch = Watch(clocked, ALERTS, {"relay"})
    first = await subjects(clocked)
    await watch.look()
    await watch.look()

    assert first == ["A message is held: it came back"]
    assert await subjects(clocked) == ["More waits for a person", *first]
