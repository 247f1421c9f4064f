"""A host that is down costs one attempt per backoff, not one per message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from router.breaker import Breaker

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


def test_a_few_failures_change_nothing(rng):
    """One bad address is no outage."""
    breaker = Breaker(rng)
    for _ in range(4):
        breaker.failed(NOW)

    assert breaker.allows(NOW, 12) == 12


def test_it_opens_then_tries_one_then_closes(rng):
    """Open for a moment, then half open, then everything goes again."""
    breaker = Breaker(rng)
    for _ in range(5):
        breaker.failed(NOW)
    later = NOW + timedelta(seconds=3)

    assert breaker.allows(NOW, 12) == 0
    assert breaker.allows(later, 12) == 1
    breaker.succeeded()
    assert breaker.allows(later, 12) == 12


def test_it_waits_longer_but_never_long(rng):
    """A dead host is asked at least every 72 s, so that its return is noticed."""
    breaker, now = Breaker(rng), NOW
    for _ in range(200):
        breaker.failed(now)
        now += timedelta(seconds=73)
    breaker.failed(now)

    assert breaker.allows(now + timedelta(seconds=40), 12) == 0
    assert breaker.allows(now + timedelta(seconds=73), 12) == 1


def test_attempts_that_were_under_way_when_it_opened_do_not_prolong_it(rng):
    """A dozen attempts that fail within one moment are one outage: the host is asked again after two seconds."""
    breaker = Breaker(rng)
    for _ in range(12):
        breaker.failed(NOW)

    assert breaker.allows(NOW + timedelta(seconds=3), 12) == 1


def test_a_time_that_was_named_is_kept_within_limits(rng):
    """Retry-After opens it at once, for so long and at most a quarter of an hour; success closes it."""
    breaker = Breaker(rng)
    breaker.failed(NOW, 90.0)
    assert breaker.allows(NOW + timedelta(seconds=89), 12) == 0
    assert breaker.allows(NOW + timedelta(seconds=91), 12) == 1
    breaker.failed(NOW + timedelta(seconds=91), 1e12)
    assert breaker.allows(NOW + timedelta(minutes=16), 12) == 0
    assert breaker.allows(NOW + timedelta(minutes=17), 12) == 1
    breaker.succeeded()
    assert breaker.allows(NOW + timedelta(minutes=17), 12) == 12
