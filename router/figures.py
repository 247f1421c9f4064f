"""Keeps the dashboard's sums: counts days again in which something has changed, in one daemon of all."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from router.records import Reason, State
from router.store import audits, figures
from router.store.figures import ALL, CHANNEL, LANGUAGE, SENT, WAIT, Change, Sums, add, bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from sqlalchemy import Row

    from router.business_hours import BusinessHours
    from router.ownership import Ownership
    from router.store.engine import Store

LOOK_S = 2.0  # between two looks for what has changed
LEASE = ":figures"  # no channel can have this name
_PAGE, _DECISIONS = 500, 2000  # rows at once
_LAG = timedelta(minutes=1)  # what was decided later may still be committed out of order
_ABSURD = timedelta(days=1)  # a clock that is ahead by more was wrong
_FRESH = timedelta(minutes=1)  # today is counted again so often
_AGAIN = timedelta(minutes=10)  # and an earlier day on which something is still under way, or that is of this week
_WEEK, _QUARTER = timedelta(days=7), timedelta(days=92)
_DAILY = timedelta(days=1)  # and any day of this quarter: a flag that was withdrawn, other business hours
_KEPT = timedelta(days=800)  # earlier days aren't counted
_NEVER = timedelta.max
_PART = 0.05  # of the time at most is spent on it,
_AT_ONCE_S = 0.2  # and about so long at once
_CHANGES = 300  # of a day's sums in one commit: so long may others wait


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What days are counted by; `levels` are the departments' service levels."""

    hours: BusinessHours
    levels: Mapping[str, timedelta] = field(default_factory=lambda: MappingProxyType({}))


class Figures:
    """`look` counts days that need it; call it again and again. `part` is the share of the time it may take.

    Without a basis nobody looks at figures, and nothing is counted.
    """

    def __init__(
        self,
        store: Store,
        lease: Ownership,
        basis: Callable[[], Basis | None],
        part: float = _PART,
    ) -> None:
        self._store = store
        self._lease = lease
        self._basis = basis
        self._part = part
        self._rest_until = 0.0
        self._last: date | None = None

    async def look(self) -> int:
        """Note what has changed, and count days again that need it, a short while long; return how many."""
        loop = asyncio.get_running_loop()
        basis, began, days = self._basis(), loop.time(), 0
        if basis is None or began < self._rest_until or not (await self._lease.confirm() or await self._lease.take()):
            return 0
        await self._note(basis)
        while (day := await self._due(basis)) is not None:  # once at least, however slow everything is
            await self._count(day, basis)
            self._last = day
            days += 1
            if loop.time() - began >= _AT_ONCE_S:
                break
        if days:
            self._rest_until = loop.time() + (loop.time() - began) * (1 / self._part - 1)
        return days

    async def _note(self, basis: Basis) -> None:
        """Note the days of messages about which something was decided."""
        store, zone = self._store, basis.hours.zone
        last = await store.read(figures.seen)
        if last is None:
            await self._lease.write(figures.begin)
            return
        now = store.clock.now()
        found = await store.read(lambda c: figures.decided_after(c, last, _DECISIONS))
        settled = [*_settled(found, now)]
        if settled:
            days = {row.received_at.astimezone(zone).date() for row in settled}
            await self._lease.write(lambda c: figures.note(c, days, settled[-1].id))

    async def _due(self, basis: Basis) -> date | None:
        """Return the day that needs counting most."""
        now, zone = self._store.clock.now(), basis.hours.zone
        first = await self._store.read(figures.first_received)
        if first is None:
            return None
        known = await self._store.read(figures.days)
        oldest = max(first, now - _KEPT).astimezone(zone).date()
        return due(known, oldest, now.astimezone(zone).date(), now, self._last)

    async def _count(self, day: date, basis: Basis) -> None:
        store, zone = self._store, basis.hours.zone
        since, until = midnight(day, zone), midnight(day + timedelta(days=1), zone)
        now, sums = store.clock.now(), Sums()
        after: tuple[datetime, str] | None = None
        while True:
            rows = await store.read(partial(figures.messages_of, since=since, until=until, after=after, limit=_PAGE))
            await asyncio.to_thread(tally, sums, rows, basis, now)
            if len(rows) < _PAGE:
                break
            after = rows[-1].received_at, rows[-1].id
        kept = await store.read(partial(figures.kept, day=day))
        changes = await asyncio.to_thread(_changes, kept, sums)
        for first in range(0, len(changes), _CHANGES):
            some = changes[first : first + _CHANGES]
            await self._lease.write(partial(figures.put, day=day, differences=some))
        waiting = sum(counts.get("open", 0) for (by, *_), counts in sums.items() if by == ALL)
        await self._lease.write(partial(figures.counted, day=day, waiting=waiting, at=now))


def _changes(kept: Sums, sums: Sums) -> list[Change]:
    return figures.changes(kept, figures.rolled_up(sums))


def midnight(day: date, zone: Any) -> datetime:
    """Return when a day of the district begins."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def due(known: Sequence[Row[Any]], oldest: date, today: date, now: datetime, last: date | None = None) -> date | None:
    """Return the day to count next: today every minute, what has changed, what never was, what is still under way.

    Where counting today takes long, it and the others take turns; `last` was counted last.
    """
    counted = {row.day: row for row in known}

    def since(day: date) -> timedelta:
        at = counted[day].counted_at if day in counted else None
        return now - at if at is not None and at <= now else _NEVER

    def earlier() -> Iterable[date]:
        yield from (row.day for row in known if row.stale and row.day < today)
        for back in range(1, (today - oldest).days + 1):
            day = today - timedelta(days=back)
            often = day in counted and (counted[day].open or today - day <= _WEEK)
            if day not in counted or since(day) >= (_AGAIN if often else _DAILY if back <= _QUARTER.days else _NEVER):
                yield day

    of_today = today if since(today) >= _FRESH else None
    others = next(iter(earlier()), None) if of_today is None or last == today else None
    return others or of_today


def tally(sums: Sums, rows: Iterable[Row[Any]], basis: Basis, now: datetime) -> None:
    """Add messages (`router.store.figures.messages_of`) to the sums of their day."""
    for row in rows:
        department, school = row.department or "", row.school or ""
        counts = _stands(row, basis, now)
        add(sums, (ALL, department, school, ""), counts)
        for by, name in ((CHANNEL, row.channel), (LANGUAGE, row.language)):
            add(sums, (by, department, school, name), {"messages": 1})
        if counts["arrived"]:
            waited = (row.arrived_at - row.received_at).total_seconds()
            add(sums, (WAIT, department, school, str(bucket(waited))), {"messages": 1})
        sent = _sent(row)
        if sent:
            add(sums, (SENT, row.first_department, row.first_school or "", ""), {"messages": 1, **sent})


def _stands(row: Row[Any], basis: Basis, now: datetime) -> dict[str, Any]:
    """Return what one message adds where it is now."""
    for_people = row.state in (State.UNDECIDED.value, State.HELD.value)  # the last also after it had arrived somewhere
    arrived = row.arrived_at is not None and not for_people
    waits = for_people or bool(row.stuck and not arrived)
    counts: defaultdict[str, Any] = defaultdict(int, messages=1, arrived=int(arrived), open=int(waits))
    counts["after_hours"] = int(not basis.hours.are_on(row.received_at))
    counts["urgent"] = int(bool(row.urgent))
    if waits:
        counts["oldest_at"] = row.received_at
    level = basis.levels.get(row.department or "")
    if level is not None and (arrived or waits):
        late = basis.hours.between(row.received_at, row.arrived_at if arrived else now) > level
        counts |= {"late": int(late), "in_time": int(arrived and not late), "open_late": int(waits and late)}
    return counts


def _sent(row: Row[Any]) -> dict[str, int]:
    """Return what one message adds where the router itself sent it, {} if that wasn't asked."""
    reason = row.first_reason
    if reason is None:
        return {}
    routed = reason in audits.ROUTED
    return {
        "asked": int(reason in (Reason.MODEL.value, Reason.ABSTAINED.value)),
        "abstained": int(reason == Reason.ABSTAINED.value),
        "routed": int(routed),
        "flagged": int(routed and bool(row.flagged)),
    }


def _settled(rows: Sequence[Row[Any]], now: datetime) -> Iterable[Row[Any]]:
    """Yield the rows up to the first that is so young that an earlier one may not be there yet."""
    for row in rows:
        if now - _LAG < row.decided_at <= now + _ABSURD:
            return
        yield row
