"""A flag that a department lives with for some business days is confirmed by that, if the district wants it so."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from router.learning.lessons import Rules, gather
from router.learning.tacit import BY, Tacit, business_days_before
from router.records import CorrectionState
from router.store import corrections
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.district import District
from tests.unit.router.learning.test_corrections import delivered, flag

CHICAGO = ZoneInfo("America/Chicago")
THANKSGIVING = frozenset({date(2026, 11, 26), date(2026, 11, 27)})
MONDAY_NOON = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)  # in Chicago


@pytest.mark.parametrize(
    ("now", "days", "holidays", "since"),
    [
        ("2026-11-25 12:00", 1, (), "2026-11-24 00:00"),  # Wednesday: Tuesday lies between
        ("2026-11-23 12:00", 1, (), "2026-11-20 00:00"),  # Monday: Friday does
        ("2026-11-22 12:00", 1, (), "2026-11-20 00:00"),  # Sunday: so it does
        ("2026-11-30 00:01", 3, (), "2026-11-25 00:00"),
        ("2026-11-30 00:01", 3, THANKSGIVING, "2026-11-23 00:00"),
        ("2026-11-04 12:00", 3, (), "2026-10-30 00:00"),  # the clocks were set back on 1 November
    ],
)
def test_business_days_are_the_districts(now, days, holidays, since):
    """Weekends, holidays and today don't count; a day begins at midnight in the district, in winter or summer."""
    at = datetime.fromisoformat(now).replace(tzinfo=CHICAGO)
    wanted = datetime.fromisoformat(since).replace(tzinfo=CHICAGO)
    assert business_days_before(at.astimezone(UTC), days, CHICAGO, holidays) == wanted


@pytest.fixture
def clock():
    """A clock that stands still until it is turned."""
    return FakeClock(MONDAY_NOON)


@pytest.fixture
async def district(store, log, rng):
    """A district on either kind of store."""
    return District(store, log, rng, sink=RecordingSink())


@pytest.fixture
async def kept(district):
    """A flag of Monday noon, by link, whose message has arrived at meals."""
    message_id = await district.route("buses one")
    first = await delivered(district, message_id)
    moved = await flag(district, message_id, "meals", first, by="link")
    await delivered(district, message_id)
    return message_id, moved.correction_id


async def after(district, log, days, wanted=2):
    """Let days go by, look, and return the oldest correction."""
    district.store.clock.advance(timedelta(days=days))
    await Tacit(district.store, wanted, zone=CHICAGO, holidays=THANKSGIVING, log=log).run_once()
    return (await district.store.read(lambda c: corrections.in_state(c, None, 9)))[-1]


async def test_a_flag_is_kept_for_two_business_days(district, log, kept):
    """Of Monday noon: on Wednesday only Tuesday lies between, and Thursday to Sunday are no business days."""
    assert (await after(district, log, 2)).state is CorrectionState.PROPOSED
    assert (await after(district, log, 1)).state is CorrectionState.CONFIRMED
    said = await district.store.read(lambda c: corrections.get(c, kept[1]))
    assert (said.confirmed_by, said.confirmed_via) == (BY, "tacit")


async def test_what_a_person_confirmed_later_counted_as_known(district, log, kept):
    """A model that has learnt from time's word hasn't learnt from the person's: that is new, and counts for more."""
    correction = await after(district, log, 3)
    [tacit] = (await district.store.read(partial(gather, rules=Rules(), now=district.store.clock.now()))).rows
    confirmed = partial(
        corrections.settle,
        correction_id=correction.id,
        state=CorrectionState.CONFIRMED,
        by="jo@d.example",
        now=district.store.clock.now(),
    )
    await district.store.write(confirmed)
    learnt = partial(gather, rules=Rules(), now=district.store.clock.now(), learnt=[tacit.key])
    lessons = await district.store.read(learnt)
    assert (tacit.source, [row.source for row in lessons.rows], lessons.new) == ("tacit", ["correction"], 1)


async def test_it_is_off_unless_it_is_switched_on(district, log, kept):
    """None of the days in the world confirm anything then."""
    assert (await after(district, log, 300, wanted=0)).state is CorrectionState.PROPOSED


async def test_what_moved_on_or_was_undone_is_not_kept(district, log, kept):
    """Meals sent it on: the first flag stays proposed, and the second one's time only begins."""
    message_id, _first = kept
    await flag(district, message_id, "office")
    assert (await after(district, log, 10)).state is CorrectionState.PROPOSED
    assert len(await district.store.read(lambda c: corrections.in_state(c, "confirmed", 9))) == 0


async def test_what_has_not_arrived_is_not_kept(district, log):
    """The desk can't have kept what it never got."""
    message_id = await district.route("buses two")
    await flag(district, message_id, "meals", await delivered(district, message_id), by="link")
    assert (await after(district, log, 10)).state is CorrectionState.PROPOSED


async def test_what_the_fallback_got_in_a_dispute_is_not_kept(district, log):
    """The third flag named meals, but a person at the fallback was to decide: it isn't with whom the flag named."""
    message_id = await district.route("buses three")
    for to in ("meals", "buses", "meals"):
        moved = await flag(district, message_id, to)
    assert moved.disputed
    await district.dispatch()
    await after(district, log, 10)
    assert await district.store.read(partial(corrections.in_state, state="confirmed", limit=9)) == []
