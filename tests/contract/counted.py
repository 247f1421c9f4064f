"""A slow, obvious count of every message, and a follower of sums whose clock can be turned, for tests of daily sums."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

from sqlalchemy import select

from router.business_hours import BusinessHours, week_of
from router.figures import LEASE, Basis, Figures
from router.ownership import Ownership
from router.store import daemons, figure_reads, figures, tables
from router.store.scope import EVERYTHING, Scope
from tests.contract.figured import NOW

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


async def agrees(counting, scope, since=SINCE, until=UNTIL):
    """Compare what is read with the slow count."""
    store, now = counting.store, counting.clock.now()
    slow = slowly(await everything(store), scope, now)
    read = figure_reads

    def look(connection):
        span = (connection, scope)
        assert _is(read.totals(*span, since, until), slow.totals)
        days = read.per_day(*span, figures.ALL, since, until)
        assert {day: row.messages for day, row in days.items()} == slow.days
        channels = read.messages_per_day(*span, figures.CHANNEL, since, until)
        assert sum(channels.values()) == slow.totals["messages"]
        assert read.per_name(*span, figures.CHANNEL, since, until) == slow.channels
        assert read.per_name(*span, figures.LANGUAGE, since, until) == slow.languages
        assert read.per_school(*span, since, until) == slow.schools
        desks = read.per_department(*span, figures.ALL, since, until)
        assert desks.keys() == slow.departments.keys()
        assert all(_is(desks[name], sums) for name, sums in slow.departments.items())
        sent = read.per_department(*span, figures.SENT, since, until)
        assert sent.keys() == slow.sent.keys()
        assert all(_is(sent[name], sums) for name, sums in slow.sent.items())
        still = read.open_now(*span)
        assert (still.open, still.late, still.oldest_at) == (slow.open, slow.late, slow.oldest)
        buckets = read.waits(*span, since, until)
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
