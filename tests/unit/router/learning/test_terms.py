"""When to train: so many corrections, a time of day whatever the clocks do, and a pause after failures. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from router.learning.terms import Standing, Terms, is_time, why_now

CHICAGO = ZoneInfo("America/Chicago")
NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
TERMS = Terms(
    order=lambda: None,
    departments=(),
    target_error=0.05,
    zone=CHICAGO,
    retrain_after=50,
    retrain_at=None,
    within=timedelta(hours=1),
    shadow=0,
    shadow_for=timedelta(days=1),
    keep=10,
)


@pytest.mark.parametrize(("confirmed", "due"), [(0, False), (49, False), (50, True), (400, True)])
def test_so_many_confirmed_corrections_are_a_reason(confirmed, due):
    """Counted since the last training."""
    assert bool(why_now(TERMS, Standing(now=NOW, confirmed=confirmed, changed=confirmed))) is due


def test_zero_means_never():
    """However many there are."""
    terms = replace(TERMS, retrain_after=0)
    assert why_now(terms, Standing(now=NOW, confirmed=999, changed=999)) == ""


def acted(at: time, zone: ZoneInfo, start: datetime, hours: int) -> list[datetime]:
    """Look every ten minutes for so many hours, act whenever it is time, and return when that was, by the wall."""
    terms, daily_at, times = replace(TERMS, retrain_at=at, zone=zone), start, []
    for step in range(hours * 6):
        now = start + timedelta(minutes=10 * step)
        if is_time(terms, Standing(now=now, daily_at=daily_at)):
            daily_at = now
            times.append(now.astimezone(zone))
    return times


@pytest.mark.parametrize("at", [time(0, 0), time(1, 30), time(2, 0), time(2, 30), time(3, 0), time(23, 50)])
@pytest.mark.parametrize("start", [datetime(2026, 3, 7, 18, tzinfo=UTC), datetime(2026, 10, 31, 18, tzinfo=UTC)])
def test_once_a_day_whatever_the_clocks_do(at, start):
    """On the days when the clocks change (2026-03-08, 2026-11-01) as on the others: once, not before its time."""
    times = acted(at, CHICAGO, start, 96)
    days = [each.date() for each in times]
    assert len(days) == len(set(days)) == 4
    assert all(each.time() >= at for each in times)
    on_time = [each for each in times if each.time().replace(second=0) == at]
    assert len(on_time) >= 3


def test_an_hour_that_is_left_out_is_over_when_the_clocks_are_put_forward():
    """02:30 doesn't exist on 2026-03-08 in Chicago: it is acted on at 03:00."""
    times = acted(time(2, 30), CHICAGO, datetime(2026, 3, 8, 0, tzinfo=UTC), 24)
    assert [f"{each:%H:%M}" for each in times] == ["03:00"]


def test_a_first_start_is_no_time_to_train():
    """Installed in the afternoon, it waits for the night."""
    assert not is_time(replace(TERMS, retrain_at=time(2, 0)), Standing(now=NOW))


def test_another_time_of_day_counts_on_the_same_day():
    """Acted on at 02:00, then the setting was changed to 14:00."""
    standing = Standing(now=datetime(2026, 9, 1, 19, 5, tzinfo=UTC), daily_at=datetime(2026, 9, 1, 7, 0, tzinfo=UTC))
    assert is_time(replace(TERMS, retrain_at=time(14, 0)), standing)
    assert not is_time(replace(TERMS, retrain_at=time(2, 0)), standing)


def test_at_its_time_it_trains_only_if_something_is_new():
    """A withdrawn correction is something new, too."""
    terms, standing = replace(TERMS, retrain_at=time(2, 0)), Standing(now=NOW, daily_at=NOW - timedelta(days=1))
    assert why_now(terms, standing) == ""
    assert why_now(terms, replace(standing, changed=1)).startswith("it is 02:00, and 1 ")


@pytest.mark.parametrize(("failures", "pause_h"), [(1, 1), (2, 2), (3, 4), (6, 24), (60, 24)])
def test_after_a_failure_it_is_tried_again_later_and_later(failures, pause_h):
    """The pause doubles up to a day, however many corrections wait."""
    standing = Standing(now=NOW, confirmed=90, changed=90, failures=failures)
    at = {True: timedelta(hours=pause_h), False: timedelta(hours=pause_h) - timedelta(minutes=1)}
    for over, ago in at.items():
        assert bool(why_now(TERMS, replace(standing, failed_at=NOW - ago))) is over


def test_a_daily_training_that_failed_is_tried_again_before_the_next_day():
    """What is new is few, but it was due."""
    standing = Standing(now=NOW, changed=2, failures=1, failed_at=NOW - timedelta(hours=2), daily_at=NOW)
    assert why_now(replace(TERMS, retrain_at=time(2, 0)), standing) == "the last training failed"
