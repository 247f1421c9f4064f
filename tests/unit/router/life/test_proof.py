"""What follows from proofs and failures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.life.proof import Expiry, Health, Life, silent_after

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NEW = Life(first_at=NOW)
LIMIT = silent_after(5 * MINUTE)

lives = st.builds(
    Life,
    first_at=st.datetimes(timezones=st.just(UTC)),
    proven_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    failed_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    error=st.text(max_size=5),
)


@pytest.mark.parametrize(
    ("life", "health"),
    [
        (NEW, Health.UNPROVEN),
        (NEW.proven(NOW), Health.WELL),
        (NEW.failed(NOW, "no"), Health.FAILING),
        (NEW.proven(NOW).failed(NOW + MINUTE, "no"), Health.FAILING),
        (NEW.failed(NOW, "no").proven(NOW + MINUTE), Health.WELL),
    ],
)
def test_the_last_thing_that_happened_counts(life, health):
    """A proof ends a failure, and the other way round."""
    assert life.health(NOW + MINUTE, None) is health


def test_a_polled_channel_without_a_proof_falls_silent():
    """Ten minutes after the last proof, or after it was first run; one that is only called never does."""
    assert NEW.health(NOW + 10 * MINUTE, LIMIT) is Health.UNPROVEN
    assert NEW.health(NOW + 11 * MINUTE, LIMIT) is Health.SILENT
    assert NEW.proven(NOW + 5 * MINUTE).health(NOW + 15 * MINUTE, LIMIT) is Health.WELL
    assert NEW.proven(NOW + 5 * MINUTE).health(NOW + 16 * MINUTE, LIMIT) is Health.SILENT
    assert NEW.proven(NOW).health(NOW + timedelta(days=30), None) is Health.WELL


@pytest.mark.parametrize(
    ("polls", "limit"), [(None, None), (timedelta(seconds=1), 10 * MINUTE), (29 * MINUTE, 58 * MINUTE)]
)
def test_who_looks_seldom_may_be_silent_for_longer(polls, limit):
    """Two looks may fail to come, and at least ten minutes pass."""
    assert silent_after(polls) == limit


def test_trouble_is_over_when_it_has_worked_for_a_while():
    """A channel that comes and goes isn't well."""
    life = NEW.failed(NOW, "no").merged(NEW.proven(NOW + MINUTE))
    assert not life.steady(NOW + 2 * MINUTE, LIMIT)
    assert life.steady(NOW + 6 * MINUTE, LIMIT)
    assert not life.steady(NOW + 12 * MINUTE, LIMIT)  # silent again


@given(lives, lives)
def test_what_two_daemons_know_is_the_same_for_both(one, other):
    """Merging is symmetric and repeatable, and keeps the newest of each."""
    merged = one.merged(other)
    assert merged == other.merged(one) or one.failed_at == other.failed_at  # then either error will do
    assert merged.merged(one).failed_at == merged.failed_at
    assert merged.proven_at == max((p for p in (one.proven_at, other.proven_at) if p), default=None)


def test_refusals_count_since_the_newest_proof_of_any_daemon():
    """A good request at one daemon makes what another refused before it count no more; the last reason stays."""
    stale = NEW.proven(NOW).turned_away(NOW + MINUTE, "the signature is wrong")
    fresh = NEW.proven(NOW + 2 * MINUTE)
    for merged in (stale.merged(fresh), fresh.merged(stale)):
        assert (merged.refused, merged.refusal) == (0, "the signature is wrong")
    assert stale.merged(fresh.turned_away(NOW + 3 * MINUTE, "none")).refused == 1
    assert stale.health(NOW + MINUTE, None) is Health.WELL


@given(lives)
def test_a_life_survives_the_store(life):
    """Kept as JSON and read back, it is the same."""
    assert Life.from_json(life.to_json()) == life


@pytest.mark.parametrize(
    ("days", "renewed", "step"),
    [(20, False, None), (13, False, 14), (2, False, 3), (-1, False, 0), (2, True, None), (-1, True, None)],
)
def test_what_runs_out_is_warned_of_twice(days, renewed, step):
    """Fourteen and three days before, and when it has happened; never of what we renew ourselves."""
    found = Expiry("the certificate", NOW + timedelta(days=days), renewed).step(NOW)
    assert found == (None if step is None else timedelta(days=step))
