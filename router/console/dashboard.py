"""The dashboard: what came in, how soon it lay with the right desk, what went wrong, what waits, and the measures."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from classifiers._figures import share
from router.console import charts, measures
from router.console.roles import Action
from router.console.routes import Route
from router.figures import midnight
from router.store import figure_reads as read
from router.store import figures

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import date, datetime, tzinfo

    from aiohttp import web
    from sqlalchemy import Connection, Row

    from router.console.console import Console
    from router.console.measures import Facts
    from router.console.routes import Visit
    from router.store.scope import Scope

SPANS = (7, 30, 92, 366)  # days
_MOST_DAYS = 92  # of which each has a bar; a longer time is drawn by months
_USUAL = 30
_LISTED = 15
_NOBODY, _NO_SCHOOL, _UNKNOWN = "no department yet", "no school", "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The district's days from one to before another."""

    since: date
    until: date
    zone: tzinfo

    @property
    def begin(self) -> datetime:
        """When the first day begins."""
        return midnight(self.since, self.zone)

    @property
    def end(self) -> datetime:
        """When the last day ends."""
        return midnight(self.until, self.zone)

    @property
    def days(self) -> list[date]:
        """Every day, the oldest first."""
        return [self.since + timedelta(days=number) for number in range((self.until - self.since).days)]

    @property
    def by_month(self) -> bool:
        """Whether it is so long that months are told."""
        return len(self.days) > _MOST_DAYS

    @property
    def periods(self) -> list[list[date]]:
        """The days in groups about which a rate says something: single days, weeks or months."""
        if self.by_month:
            return [[*days] for _, days in groupby(self.days, key=lambda day: (day.year, day.month))]
        size = 1 if len(self.days) <= 7 else 7
        return [self.days[first : first + size] for first in range(0, len(self.days), size)]


def span_of(console: Console, asked: str, spans: Sequence[int] = SPANS) -> Span:
    """Return the last days until today, as many as were asked for."""
    days = int(asked) if asked in {str(each) for each in spans} else _USUAL
    until = console.now.astimezone(console.zone).date() + timedelta(days=1)
    return Span(since=until - timedelta(days=days), until=until, zone=console.zone)


async def page(console: Console, visit: Visit) -> web.Response:
    """Show the dashboard of what the viewer may see."""
    span, scope = span_of(console, visit.request.query.get("days", "")), visit.viewer.scope
    got = await console.store.read(lambda c: _read(c, scope, span))
    names = Names(console)
    return console.page(
        visit,
        "dashboard.html",
        spans=SPANS,
        days=len(span.days),
        counted_at=got["counted"][1],
        uncounted=_days_since(got["first"], span) - got["counted"][0],
        whole=scope.departments is None,
        tiles=_tiles(got, console.now, whole=scope.departments is None),
        drawn=drawn(got, span, names),
        desks=_desks(got, console, names),
        waiting=[(row, names.department(row.department or "")) for row in got["waiting"]],
        now=console.now,
        told=told,
        **_checklist(console, got, whole=scope.departments is None),
    )


def _read(connection: Connection, scope: Scope, span: Span) -> dict[str, Any]:
    days, between = (scope, span.since, span.until), (span.since, span.until)
    return {
        "totals": read.totals(connection, *days),
        "sent": read.per_day(connection, scope, figures.SENT, *between, months=span.by_month),
        "channels": read.messages_per_day(connection, scope, figures.CHANNEL, *between, months=span.by_month),
        "languages": read.per_name(connection, scope, figures.LANGUAGE, span.since, span.until),
        "schools": read.per_school(connection, *days),
        "departments": read.per_department(connection, scope, figures.ALL, span.since, span.until),
        "sent_by": read.per_department(connection, scope, figures.SENT, span.since, span.until),
        "waits": read.waits(connection, *days),
        "open": read.open_now(connection, scope),
        "waiting": read.waiting(connection, scope, _LISTED),
        "audited": read.audited_per(connection, scope, span.begin, span.end),
        "counted": read.counted(connection, span.since, span.until),
        "first": figures.first_received(connection),
    }


def _days_since(first: datetime | None, span: Span) -> int:
    """Return on how many of the days something may have come in."""
    begin = span.until if first is None else max(span.since, first.astimezone(span.zone).date())
    return (span.until - begin).days


class Names:
    """What people call departments and schools."""

    def __init__(self, console: Console) -> None:
        self._desks = console.desks

    def department(self, department: str) -> str:
        """Return a department's name, also where there is none yet."""
        return self._desks.name(department) if department else _NOBODY

    def school(self, school: str) -> str:
        """Return a school's name, also where there is none."""
        return (self._desks.school_name(school) or school) if school else _NO_SCHOOL


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure, what it is of, and what it rests on."""

    figure: str
    of: str
    rests_on: str


def _tiles(got: Mapping[str, Any], now: datetime, *, whole: bool) -> list[Tile]:
    totals, still = got["totals"], got["open"]
    sent = _sum(got["sent"].values())
    wrong = sum(bool(row.wrong) for row in got["audited"])
    median, ninth = (read.quantile(got["waits"], part) for part in (0.5, 0.9))
    tiles = [
        Tile(f"{totals.messages:,}", "messages", f"{_share(totals.after_hours, totals.messages)} of them after hours"),
        Tile(told(median), "until a message lies with its desk", f"median; nine of ten within {told(ninth)}"),
        Tile(
            _share(sent["flagged"], sent["routed"]),
            "misrouted, by flags",
            _between(sent["flagged"], sent["routed"], "sent by itself"),
        ),
        Tile(
            _share(wrong, len(got["audited"])), "misrouted, by audits", _between(wrong, len(got["audited"]), "labelled")
        ),
        Tile(f"{still.open:,}", "waiting now", _oldest(still, now)),
    ]
    if whole:  # what it left to people went to the fallback: only who sees all sees how large a part that is
        of = f"of {sent['asked']:,} that the model was asked about"
        tiles.append(Tile(_share(sent["abstained"], sent["asked"]), "left to people", of))
    if totals.in_time + totals.late:
        of = f"of {totals.in_time + totals.late:,} with a service level; {still.late:,} are late now"
        tiles.append(Tile(_share(totals.in_time, totals.in_time + totals.late), "in time", of))
    return tiles


def _share(n: int, of: int) -> str:
    return "–" if not of else f"{n / of:.1%}"


def _between(n: int, of: int, what: str) -> str:
    interval = share(n, of)[1]
    between = f"between {interval[0]:.1%} and {interval[1]:.1%}, " if interval else ""
    return f"{between}of {of:,} {what}"


def _oldest(still: Row[Any], now: datetime) -> str:
    return f"the oldest for {told((now - still.oldest_at).total_seconds())}" if still.oldest_at else "nothing is open"


def _sum(rows: Collection[Row[Any]]) -> Counter[str]:
    names = ("asked", "abstained", "routed", "flagged")
    return Counter({name: sum(getattr(row, name) for row in rows) for name in names})


def told(seconds: float | None) -> str:
    """Return a time in one unit, as people say it."""
    if seconds is None:
        return "–"
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, round(seconds))} s"


def drawn(got: Mapping[str, Any], span: Span, names: Names) -> dict[str, charts.Chart]:
    """Return the charts by name."""
    firsts = [period[0] for period in span.periods]
    return {
        "days": _by_channel(got["channels"], span),
        "departments": charts.bars(
            "Messages by department",
            {names.department(name): row.messages for name, row in got["departments"].items()},
            "messages",
        ),
        "schools": charts.bars("Messages by school", _named(got["schools"], names.school), "messages"),
        "languages": charts.bars("Messages by language", _named(got["languages"], lambda n: n or _UNKNOWN), "messages"),
        "flagged": charts.rates("Misrouted, by flags", firsts, flagged(got["sent"], span), "sent by itself"),
        "audited": charts.rates("Misrouted, by audits", firsts, audited(got["audited"], span), "labelled"),
    }


def _by_channel(counts: Mapping[tuple[date, str], int], span: Span) -> charts.Chart:
    per, bars = ("month", span.periods) if span.by_month else ("day", [[day] for day in span.days])
    parts = {
        name: [sum(counts.get((day, name), 0) for day in bar) for bar in bars]
        for name in sorted({name for _, name in counts})
    }
    return charts.stacked(f"Messages by {per} and channel", [bar[0] for bar in bars], parts, per)


def _named(counts: Mapping[str, int], name: Callable[[str], str]) -> dict[str, int]:
    return {name(key): n for key, n in counts.items()}


def flagged(sent: Mapping[date, Row[Any]], span: Span) -> list[charts.Rate]:
    """Return for each period how many of the messages that the router sent by itself people flagged."""
    return [
        _rate_of(*(sum(getattr(sent[day], name) for day in period if day in sent) for name in ("flagged", "routed")))
        for period in span.periods
    ]


def audited(rows: Sequence[Row[Any]], span: Span) -> list[charts.Rate]:
    """Return for each period how many of the messages chosen at random were sent wrongly."""
    of_day = Counter((row.received_at.astimezone(span.zone).date(), bool(row.wrong)) for row in rows)
    return [
        _rate_of(
            sum(of_day[day, True] for day in period),
            sum(of_day[day, wrong] for day in period for wrong in (True, False)),
        )
        for period in span.periods
    ]


def _rate_of(n: int, of: int) -> charts.Rate:
    value, interval = share(n, of)
    return charts.Rate(value, interval, of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One department's row: its messages, its service level, and what of it waits."""

    name: str
    messages: int
    level: str
    in_time: str
    open: int
    late: int
    flagged: str


def _desks(got: Mapping[str, Any], console: Console, names: Names) -> list[Desk]:
    rows, sent = got["departments"], got["sent_by"]
    order = sorted((name for name in {*rows, *sent} if name), key=names.department)
    return [_desk(name, rows.get(name), sent.get(name), console, names) for name in order]


def _desk(name: str, row: Row[Any] | None, sent: Row[Any] | None, console: Console, names: Names) -> Desk:
    known = console.desks.departments.get(name)
    level = known.service_level if known else None
    measured = row.in_time + row.late if row is not None else 0
    return Desk(
        name=names.department(name),
        messages=row.messages if row is not None else 0,
        level=told(level.total_seconds()) if level else "",
        in_time=_share(row.in_time, measured) if row is not None and measured else "",
        open=row.open if row is not None else 0,
        late=row.open_late if row is not None else 0,
        flagged=_share(sent.flagged, sent.routed) if sent is not None else "",
    )


def _checklist(console: Console, got: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Return the measures for the page: of the whole district, for those who see it."""
    facts = console.facts if whole else None
    found = _measures(facts, got, console.now) if facts else []
    return {"measures": found, "reached": measures.stage(found) if found else "", "stages": measures.STAGES}


def _measures(facts: Facts, got: Mapping[str, Any], now: datetime) -> list[measures.Measure]:
    """Return the measures by what is configured and was measured."""
    totals, still, ninth = got["totals"], got["open"], read.quantile(got["waits"], 0.9)
    wrong = sum(bool(row.wrong) for row in got["audited"])
    return measures.measures(
        replace(
            facts,
            messages=totals.messages,
            open=still.open,
            oldest=now - still.oldest_at if still.oldest_at else None,
            in_time=totals.in_time,
            late=totals.late,
            after_hours=totals.after_hours,
            ninth_tenth=None if ninth is None else timedelta(seconds=ninth),
            audited=(len(got["audited"]), share(wrong, len(got["audited"]))[1]),
            written=got["languages"],
        )
    )


ROUTES = (Route(path="/dashboard", action=Action.FIGURES, page=page, noted="dashboard"),)
