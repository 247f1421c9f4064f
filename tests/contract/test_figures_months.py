"""Sums of months: they are what their days say, whatever becomes of a message; what hasn't changed isn't written."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from datetime import date, timedelta
from random import Random

import pytest
from sqlalchemy import Engine, event, select, update

from router.console.dashboard import Span
from router.store import figure_reads, figures, tables
from router.store.engine import open_store
from router.store.figure_tables import figure_counted
from router.testing import FakeClock
from tests.contract.counted import CHICAGO, SCOPES, Counting, agrees
from tests.contract.figured import NOW, decide, fill


@pytest.fixture
async def counting(store_url):
    clock = FakeClock(NOW)
    store = open_store(store_url, clock)
    await store.open()
    yield await Counting(store, clock).begin()
    await store.close()


async def over_months(counting):
    """Store messages of a quarter of a year, a few in each week, and count them; return the first and the last day."""
    random = Random(5)
    for weeks in range(0, 16, 2):
        await fill(counting.store, random, messages=12, now=NOW - timedelta(weeks=weeks))
    await counting.follow()
    return (NOW - timedelta(weeks=18)).date(), (NOW + timedelta(days=1)).date()


async def test_whole_months_are_read_as_such(counting):
    """And say what their days say, also after a message of some month has moved."""
    since, until = await over_months(counting)
    assert [period for period in figure_reads.periods(since, until) if len(period) == 7] == [
        "2026-07", "2026-08", "2026-09", "2026-10"
    ]  # fmt: skip
    for scope in SCOPES:
        await agrees(counting, scope, since, until)
        await months_agree(counting.store, scope, since, until)
    random = Random(6)

    def move(connection):
        ids = connection.execute(select(tables.messages.c.id)).scalars().all()
        for message_id in random.sample(ids, 30):
            decide(connection, random, message_id, counting.clock.now(), first=False)

    await counting.store.write(move)
    counting.clock.advance(timedelta(minutes=12))
    assert await counting.follow() > 10
    for scope in SCOPES:
        await agrees(counting, scope, since, until)


async def months_agree(store, scope, since, until):
    """Compare months with their days."""

    def look(connection):
        span = (connection, scope, figures.CHANNEL, since, until)
        days = figure_reads.messages_per_day(*span)
        months = figure_reads.messages_per_day(*span, months=True)
        assert _by_month(days) == _by_month(months)
        assert bool(days) == (len(months) < len(days))
        sent = (connection, scope, figures.SENT, since, until)
        routed = [
            _by_month({(day, ""): row.routed for day, row in figure_reads.per_day(*sent, months=months).items()})
            for months in (False, True)
        ]
        assert routed[0] == routed[1]

    await store.read(look)


def _by_month(counts):
    found = Counter()
    for (day, name), n in counts.items():
        found[f"{day:%Y-%m}", name] += n
    return found


def test_a_year_is_told_by_months():
    """A quarter by weeks, a week by days; every day is in one period."""
    for days, periods in ((7, 7), (30, 5), (92, 14), (366, 13)):
        span = Span(since=date(2026, 11, 4) - timedelta(days=days), until=date(2026, 11, 4), zone=CHICAGO)
        assert len(span.periods) == periods
        assert [day for period in span.periods for day in period] == span.days


async def test_what_has_not_changed_is_not_written(counting):
    """A day that is counted again, and is as it was, costs one row."""
    await over_months(counting)
    day = (NOW - timedelta(weeks=6)).date()
    before = await counting.store.read(lambda c: figures.kept(c, day))
    assert before
    written = []

    def note(connection, _cursor, statement, _parameters, _context, many):
        written.append((connection.dialect.name, statement, many))

    await counting.store.write(lambda c: c.execute(update(figure_counted).values(stale=True)))
    async with watched(counting.store, note):
        assert await counting.follow() > 50
    assert not [statement for _, statement, _ in written if "figure_totals" in statement and "SELECT" not in statement]
    assert await counting.store.read(lambda c: figures.kept(c, day)) == before


@asynccontextmanager
async def watched(store, note):
    """Have every statement of a store's connections noted."""
    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize(
    ("since", "until", "periods"),
    [
        ("2026-01-30", "2026-02-02", ["2026-01-30", "2026-01-31", "2026-02-01"]),
        ("2026-02-01", "2026-03-01", ["2026-02"]),
        ("2026-01-31", "2026-03-02", ["2026-01-31", "2026-02", "2026-03-01"]),
        ("2025-12-01", "2026-01-01", ["2025-12"]),
        ("2026-02-02", "2026-02-03", ["2026-02-02"]),
        ("2026-02-02", "2026-02-02", []),
    ],
)
def test_a_time_is_its_whole_months_and_the_other_days(since, until, periods):
    """In order, none twice."""
    assert figure_reads.periods(date.fromisoformat(since), date.fromisoformat(until)) == periods
