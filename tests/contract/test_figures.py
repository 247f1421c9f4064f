"""Daily sums: they say what a slow, obvious count of every message says, whatever becomes of it, and in any scope."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from types import SimpleNamespace

import pytest
from sqlalchemy import event, select, update

from router.console import dashboard
from router.console.dashboard import Span
from router.figures import LEASE, Figures, due
from router.ownership import Ownership
from router.store import daemons, tables
from router.store.engine import open_store
from router.store.scope import EVERYTHING
from router.testing import FakeClock
from tests.contract.counted import CHICAGO, SCOPES, SINCE, UNTIL, Counting, agrees
from tests.contract.figured import NOW, decide, fill


@pytest.fixture
async def counting(store_url):
    clock = FakeClock(NOW)
    store = open_store(store_url, clock)
    await store.open()
    yield await Counting(store, clock).begin()
    await store.close()


# --- what must hold ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_sums_are_what_a_slow_count_says(counting, seed):
    """Of every state, reason and school, in every scope, by the district's days."""
    await fill(counting.store, Random(seed))
    assert await counting.follow() == 9
    totals = [(await agrees(counting, scope)).totals["messages"] for scope in SCOPES]
    assert totals[0] == 120
    assert all(0 < each < 120 for each in totals[1:4])
    assert totals[4] == 0


async def test_sums_follow_what_becomes_of_messages(counting):
    """A correction, a delivery that arrives or comes back, a flag withdrawn: the days are counted again."""
    random = Random(7)
    await fill(counting.store, random)
    await counting.follow()
    before = (await agrees(counting, EVERYTHING)).totals

    def change(connection):
        ids = (
            connection.execute(select(tables.messages.c.id).where(tables.messages.c.state == "routed")).scalars().all()
        )
        for message_id in random.sample(ids, 30):
            decide(connection, random, message_id, counting.clock.now(), first=False)
        d, c = tables.deliveries, tables.corrections
        connection.execute(update(d).where(d.c.state == "waiting").values(state="delivered", settled_at=NOW))
        connection.execute(
            update(d).where(d.c.state == "dead", d.c.id % 2 == 0).values(state="waiting", settled_at=None)
        )
        connection.execute(update(c).where(c.c.id % 3 == 0).values(state="withdrawn"))

    await counting.store.write(change)
    counting.clock.advance(timedelta(minutes=12))
    await counting.follow()
    for scope in SCOPES:
        after = (await agrees(counting, scope)).totals
    assert after != before


async def test_a_correction_of_long_ago_is_counted(counting):
    """A decision about a message of last month makes its day be counted again within minutes, no other."""
    old = NOW - timedelta(days=40)
    random = Random(3)
    counting.clock.advance(-timedelta(days=40))
    await fill(counting.store, random)
    await counting.store.write(lambda c: c.execute(update(tables.messages).values(received_at=old, state="filed")))
    counting.clock.advance(timedelta(days=40))
    await counting.follow()

    def correct(connection):
        message_id = connection.execute(select(tables.messages.c.id).limit(1)).scalar_one()
        decide(connection, random, message_id, counting.clock.now(), first=False)

    await counting.store.write(correct)
    counting.clock.advance(timedelta(minutes=2))
    assert await counting.follow() == 2  # today, and that day


async def test_nothing_is_counted_by_a_daemon_without_the_lease(counting):
    """One of several counts."""
    await fill(counting.store, Random(1), messages=5)
    assert await counting.figures.look()
    now = counting.clock.now() if counting.store.dialect == "sqlite" else None
    await counting.store.write(lambda c: daemons.register(c, "two", now, alone=False))
    other = Ownership(counting.store, LEASE, "two", lambda: True)
    assert not await Figures(counting.store, other, lambda: counting.basis, part=1.0).look()


def test_a_long_day_keeps_nobody_from_being_counted():
    """Where counting today takes so long that it is always due, it and the others take turns."""
    today = NOW.date()
    row = SimpleNamespace(day=today, counted_at=NOW - timedelta(hours=1), stale=False, open=3)
    oldest = today - timedelta(days=2)
    assert due([row], oldest, today, NOW) == today
    assert due([row], oldest, today, NOW, last=today) == today - timedelta(days=1)


async def test_where_nobody_looks_at_figures_nothing_is_counted(counting):
    """Without a console there is no dashboard, and no day is counted until there is."""
    await fill(counting.store, Random(1), messages=5)
    basis, counting.basis = counting.basis, None
    assert await counting.follow() == 0
    counting.basis = basis
    assert await counting.follow() > 0


RARE = ("ix_messages_undecided", "ix_messages_held", "ix_deliveries_waiting", "ix_deliveries_unsettled")


@pytest.mark.parametrize("scope", SCOPES[:3], ids=str)
async def test_no_page_looks_at_every_message(sqlite_store, scope):
    """What the dashboard reads comes out of daily sums, and indexes of what is rare: a million doesn't matter."""
    plans = []

    def explain(connection, _cursor, statement, parameters, _context, _many):
        if not statement.startswith(("EXPLAIN", "BEGIN")):
            plans.extend(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))

    def work(connection):
        event.listen(connection, "before_cursor_execute", explain)
        dashboard._read(connection, scope, Span(since=SINCE, until=UNTIL, zone=CHICAGO))
        event.remove(connection, "before_cursor_execute", explain)

    await fill(sqlite_store, Random(2), messages=20)
    await sqlite_store.write(work)
    large = ("SCAN messages", "SCAN decisions", "SCAN deliveries")
    whole = [plan for plan in plans if plan.startswith(large) and not any(index in plan for index in RARE)]
    assert len(plans) > 20
    assert whole == []
