"""The business-hours clock: what lies between two moments, on holidays, over weekends, and when clocks are set."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from router.business_hours import BusinessHours, week_of

CHICAGO = ZoneInfo("America/Chicago")
USUAL = BusinessHours(CHICAGO, week_of({"mon-fri": "08:00-16:30"}), frozenset({date(2026, 11, 26)}))
ALWAYS = BusinessHours(CHICAGO, week_of({"mon-sun": "00:00-00:00"}))
MINUTE = timedelta(minutes=1)

zones = st.sampled_from([CHICAGO, ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia"), ZoneInfo("UTC")])
minutes = st.integers(0, 24 * 60 - 1).map(lambda m: time(m // 60, m % 60))
spans = st.tuples(minutes, minutes).filter(lambda pair: pair[0] < pair[1])
weeks = st.lists(st.none() | spans, min_size=7, max_size=7).map(tuple)
moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31)).map(  # noqa: DTZ001 -- made aware at once
    lambda at: at.replace(second=0, microsecond=0, tzinfo=UTC)
)
hours = st.builds(BusinessHours, zones, weeks)


def at(text):
    """Return a moment of Chicago."""
    return datetime.fromisoformat(text).replace(tzinfo=CHICAGO).astimezone(UTC)


@pytest.mark.parametrize(
    ("start", "end", "minutes_between"),
    [
        ("2026-11-23 09:00", "2026-11-23 09:20", 20),
        ("2026-11-20 16:20", "2026-11-23 08:05", 15),  # over a weekend
        ("2026-11-25 16:00", "2026-11-27 08:30", 60),  # over Thanksgiving
        ("2026-11-21 03:00", "2026-11-22 20:00", 0),
        ("2026-10-30 16:00", "2026-11-02 09:00", 90),  # the clocks were set back in between
        ("2026-11-23 09:00", "2026-11-23 08:00", 0),
    ],
)
def test_only_business_hours_pass(start, end, minutes_between):
    """Nights, weekends and holidays don't count."""
    assert USUAL.between(at(start), at(end)) == minutes_between * MINUTE


def test_a_day_on_which_clocks_are_set_has_23_or_25_hours():
    """For those who are always open."""
    assert ALWAYS.between(at("2026-03-08 00:00"), at("2026-03-09 00:00")) == timedelta(hours=23)
    assert ALWAYS.between(at("2026-11-01 00:00"), at("2026-11-02 00:00")) == timedelta(hours=25)


def test_who_is_never_open_is_never_due():
    """There is no end to such a wait, and it is found out in finite time."""
    never = BusinessHours(CHICAGO, week_of({}))
    assert never.after(at("2026-11-23 09:00"), MINUTE) is None
    assert not never.are_on(at("2026-11-23 09:00"))


def test_days_are_written_as_in_rules():
    """A single day, days, or days over the weekend; the last word counts."""
    morning, day = (time(8), time(12)), (time(8), time(16))
    assert week_of({"mon-fri": "08:00-16:00", "fri": "08:00-12:00"}) == (day, day, day, day, morning, None, None)
    assert week_of({"sat-mon": "08:00-12:00"}) == (morning, None, None, None, None, morning, morning)


@given(hours, moments, st.integers(0, 3 * 24 * 60))
def test_what_passes_is_the_sum_of_its_minutes(clock, start, length):
    """Whatever the zone, and whatever the clocks do: as slow and obvious as it can be counted."""
    counted = sum(clock.are_on(start + number * MINUTE) for number in range(length))
    assert clock.between(start, start + length * MINUTE) == counted * MINUTE


@given(hours, moments)
def test_it_is_on_when_the_clock_on_the_wall_says_so(clock, start):
    """But for the night in which it is set: an hour that it skips or repeats may begin or end nothing."""
    local = start.astimezone(clock.zone)
    noon_before, noon_after = local - timedelta(days=1), local + timedelta(days=1)
    if noon_before.utcoffset() != noon_after.utcoffset():
        return
    span = clock.week[local.weekday()]
    assert clock.are_on(start) == (span is not None and span[0] <= local.time() < span[1])


@given(hours, moments, st.integers(1, 2000))
@example(BusinessHours(CHICAGO, week_of({"sun": "00:00-00:01"})), datetime(2025, 1, 1, tzinfo=UTC), 524)
def test_what_is_due_is_due_when_so_much_has_passed(clock, start, length):
    """Not a minute earlier, and never only if ten years don't have so much."""
    due = clock.after(start, length * MINUTE)
    if due is None:
        assert clock.between(start, start + timedelta(days=10 * 365)) < length * MINUTE
        return
    assert clock.between(start, due) == length * MINUTE
    assert clock.between(start, due - MINUTE) < length * MINUTE
