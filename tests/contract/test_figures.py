"""Daily sums: they say what a slow, obvious count of every message says, whatever becomes of it, and in any scope."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from random import Random
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, select, update

from router.business_hours import BusinessHours, week_of
from router.console import dashboard
from router.console.dashboard import Span
from router.figures import LEASE, Basis, Figures, due
from router.ownership import Ownership
from router.store import daemons, figure_reads, figures, tables
from router.store.engine import open_store
from router.store.scope import EVERYTHING, Scope
from router.testing import FakeClock
from tests.contract.figured import NOW, decide, fill

CHICAGO = ZoneInfo("America/Chicago")
HOURS = BusinessHours(CHICAGO, week_of({"mon-fri": "08:00-16:30"}))
LEVELS = {"buses": timedelta(minutes=15), "meals": timedelta(hours=2)}
SCOPES = (
    EVERYTHING,
    Scope(departments=frozenset({"buses"})),
    Scope(departments=frozenset({"buses", "office"}), schools=frozenset({"lincoln"})),
    Scope(schools=frozenset({"parks"})),
    Scope(departments=frozenset()),
    Scope(schools=frozenset()),
)
SINCE, UNTIL = (NOW - timedelta(days=9)).date(), (NOW + timedelta(days=2)).date()


class Counting:
    """A store with a follower and a clock to turn."""

    def __init__(self, store, clock):
        self.store, self.clock = store, clock
        self.lease = Ownership(store, LEASE, "one", lambda: True)
        self.basis = Basis(hours=HOURS, levels=LEVELS)
        self.figures = Figures(store, self.lease, lambda: self.basis, part=1.0)

    async def begin(self):
        now = self.clock.now() if self.store.dialect == "sqlite" else None
        await self.store.write(lambda c: daemons.register(c, "one", now, alone=False))
        return self

    async def follow(self):
        """Count until there is nothing more to count; return how many days that were."""
        days = 0
        while counted := await self.figures.look():
            days += counted
        return days


@pytest.fixture
async def counting(store_url):
    clock = FakeClock(NOW)
    store = open_store(store_url, clock)
    await store.open()
    yield await Counting(store, clock).begin()
    await store.close()


# --- the slow count ---------------------------------------------------------------------------------------------------


async def everything(store):
    """Return all rows there are, by table."""
    names = ("messages", "decisions", "deliveries", "corrections")
    kept = {}
    for name in names:
        kept[name] = await store.read(lambda c, name=name: list(c.execute(select(getattr(tables, name)))))
    return SimpleNamespace(**kept)


def slowly(all_, scope, now):
    """Count what `figure_reads` tells, message by message."""
    found = SimpleNamespace(
        totals=Counter(), days=Counter(), channels=Counter(), languages=Counter(), schools=Counter(), waits=[],
        departments=defaultdict(Counter), sent=defaultdict(Counter), open=0, late=0, oldest=None, waiting=set(),
    )  # fmt: skip
    decisions = {d.id: d for d in all_.decisions}
    for message in all_.messages:
        present = decisions.get(message.decision_id)
        department, school = (present.department, present.school) if present else ("", "")
        if scope.sees(department, school):
            _stands(found, all_, message, present, now)
        of_it = sorted((d for d in all_.decisions if d.message_id == message.id), key=lambda d: d.id)
        if of_it and scope.sees(of_it[0].department, of_it[0].school):
            _sent(found, all_, of_it[0])
    return found


def _stands(found, all_, message, present, now):
    of_desk = [
        d
        for d in all_.deliveries
        if present and (d.decision_id, d.department, d.kind) == (present.id, present.department, "route")
    ]
    arrived = min((d.settled_at for d in of_desk if d.state == "delivered"), default=None)
    stuck = any(d.state in ("waiting", "dead", "unclear") for d in of_desk)
    if message.state in ("undecided", "held"):
        arrived, stuck = None, True
    waits = arrived is None and stuck
    department = present.department if present else ""
    level = LEVELS.get(department)
    late = level is not None and (arrived is not None or waits)
    late = late and HOURS.between(message.received_at, arrived or now) > level
    facts = {
        "messages": 1,
        "after_hours": not HOURS.are_on(message.received_at),
        "urgent": bool(present and present.urgent),
        "arrived": arrived is not None,
        "open": waits,
        "late": late,
        "open_late": late and waits,
        "in_time": level is not None and arrived is not None and not late,
    }
    for sums in (found.totals, found.departments[department]):
        sums.update({name: int(value) for name, value in facts.items()})
    found.days[message.received_at.astimezone(CHICAGO).date()] += 1
    found.channels[message.channel] += 1
    found.languages[(message.content or {}).get("language", "")] += 1
    found.schools[present.school if present else ""] += 1
    found.open, found.late = found.open + waits, found.late + (late and waits)
    if waits:
        found.waiting.add(message.id)
        found.oldest = min(found.oldest or message.received_at, message.received_at)
    if arrived is not None:
        found.waits.append((arrived - message.received_at).total_seconds())


def _sent(found, all_, first):
    flags = [
        c
        for c in all_.corrections
        if c.decision_id == first.id and c.state != "withdrawn" and c.new_decision_id != first.id
    ]
    routed = first.reason in ("rule", "thread", "model")
    found.sent[first.department].update(
        asked=first.reason in ("model", "abstained"),
        abstained=first.reason == "abstained",
        routed=routed,
        flagged=routed and bool(flags),
    )


async def agrees(counting, scope):
    """Compare what is read with the slow count."""
    store, now = counting.store, counting.clock.now()
    slow = slowly(await everything(store), scope, now)
    read = figure_reads

    def look(connection):
        span = (connection, scope)
        assert _is(read.totals(*span, SINCE, UNTIL), slow.totals)
        days = read.per_day(*span, figures.ALL, SINCE, UNTIL)
        assert {row.day: row.messages for row in days} == slow.days
        channels = read.messages_per_day(*span, figures.CHANNEL, SINCE, UNTIL)
        assert sum(channels.values()) == slow.totals["messages"]
        assert read.per_name(*span, figures.CHANNEL, SINCE, UNTIL) == slow.channels
        assert read.per_name(*span, figures.LANGUAGE, SINCE, UNTIL) == slow.languages
        assert read.per_school(*span, SINCE, UNTIL) == slow.schools
        desks = read.per_department(*span, figures.ALL, SINCE, UNTIL)
        assert desks.keys() == slow.departments.keys()
        assert all(_is(desks[name], sums) for name, sums in slow.departments.items())
        sent = read.per_department(*span, figures.SENT, SINCE, UNTIL)
        assert sent.keys() == slow.sent.keys()
        assert all(_is(sent[name], sums) for name, sums in slow.sent.items())
        still = read.open_now(*span)
        assert (still.open, still.late, still.oldest_at) == (slow.open, slow.late, slow.oldest)
        buckets = read.waits(*span, SINCE, UNTIL)
        assert Counter(map(figures.bucket, slow.waits)) == buckets
        for part in (0.5, 0.9):
            assert _near(read.quantile(buckets, part), _quantile(slow.waits, part))

        oldest = read.waiting(*span, 1000)
        assert {row.id for row in oldest} == slow.waiting
        assert [row.received_at for row in oldest[:1]] == ([slow.oldest] if slow.open else [])

    await store.read(look)
    return slow


def _is(row, sums):
    return all(getattr(row, name) == value for name, value in sums.items())


def _quantile(waits, part):
    return sorted(waits)[max(0, -int(-part * len(waits) // 1) - 1)] if waits else None


def _near(read, exact):
    return read == exact or abs(read - exact) <= 0.05 * (exact + 1)


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
