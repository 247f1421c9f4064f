"""A clock that was set: no delivery waits for a time that is far away only by the clock, on either store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from router.breaker import Breaker
from router.clock_watch import ClockWatch
from router.records import DeliveryKind, Destination
from router.store import deliveries
from router.testing import FakeClock

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)


@pytest.fixture
def clock():
    """A clock that is set by hand."""
    return FakeClock(NOW)


class Passing:
    """Time that only passes."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        """Return the seconds so far."""
        return self.seconds


async def waiting(store, wait):
    """Store a delivery that waits so long for its next try, and return its id."""

    def work(connection):
        now = store.clock.now() + wait
        return deliveries.add(
            connection, [Destination(via="relay", to="a@maple.example")], kind=DeliveryKind.ALERT, now=now
        )

    [delivery_id] = await store.write(work)
    return delivery_id


async def due(store):
    """Return what is due now."""
    now = store.clock.now()
    return {each.id for each in await store.write(lambda c: deliveries.lease(c, "relay", "d1", now, 10))}


async def test_set_back_by_an_hour_what_waits_is_due(store, clock, log):
    """It would wait an hour more than it was to; now it is tried at once."""
    passing = Passing()
    watch = ClockWatch(store, log, passing)
    delivery_id = await waiting(store, timedelta(seconds=30))
    clock.advance(-3600)
    assert await watch.look() == 1
    assert await due(store) == {delivery_id}


async def test_a_clock_that_was_right_changes_nothing(store, clock, log):
    """Time passes, the clock is corrected by seconds: what waits goes on waiting."""
    passing = Passing()
    watch = ClockWatch(store, log, passing)
    await waiting(store, timedelta(hours=1))
    clock.advance(600 - 5)
    passing.seconds += 600
    assert await watch.look() == 0
    assert await due(store) == set()


async def test_the_clock_was_a_year_ahead_before_the_start(store, log):
    """No wait is as long as that: it is due."""
    delivery_id = await waiting(store, YEAR)
    await waiting(store, timedelta(hours=23))
    assert await ClockWatch(store, log, Passing()).look() == 1
    assert await due(store) == {delivery_id}


def test_a_breaker_does_not_stay_open_for_a_year():
    """Opened by a clock that was ahead, it lets one attempt through."""
    breaker = Breaker(Random(1))
    for _ in range(5):
        breaker.failed(NOW + YEAR)
    assert breaker.allows(NOW + YEAR, 8) == 0
    assert breaker.allows(NOW, 8) == 1
    breaker.failed(NOW)
    assert breaker.allows(NOW, 8) == 0
