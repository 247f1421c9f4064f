"""What the dashboard and the learning pages show, read out of kept sums and of what people said; each by a scope."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Integer, case, false, func, or_, select, text

from router.records import CorrectionState, DeliveryKind, Reason, State
from router.store import audits, figures
from router.store.corrections import MOVED, UNNAMED
from router.store.figure_tables import figure_counted, figure_totals
from router.store.scope import EVERYTHING, Scope
from router.store.tables import audits as audited
from router.store.tables import corrections, decisions, deliveries, messages

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection, Row, Select

_LEFT_OUT = {*figure_totals.primary_key.columns.keys(), "oldest_at"}
_SUMS = [func.coalesce(func.sum(c, type_=Integer), 0).label(c.name) for c in figure_totals.c if c.name not in _LEFT_OUT]
_MESSAGES = func.sum(figure_totals.c.messages)


def within(scope: Scope, department: ColumnElement[Any], school: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """Return the conditions under which a message is within a scope; what has no department is in none of some."""
    conditions: list[ColumnElement[bool]] = []
    if scope.departments is not None:
        conditions.append(department.in_(sorted(scope.departments)) if scope.departments else false())
    if scope.schools is not None:
        conditions.append(or_(school.in_(sorted(scope.schools)), func.coalesce(school, "") == ""))
    return conditions


def _of(scope: Scope, by: str, periods: Collection[str]) -> list[ColumnElement[bool]]:
    """Return the conditions of the rows that add up to what somebody sees: each part of the table's key is told."""
    t = figure_totals.c
    departments = [figures.ANY] if scope.departments is None else sorted(scope.departments)
    schools = [figures.ANY] if scope.schools is None else ["", *sorted(scope.schools)]
    return [t.period.in_(periods), t.by == by, t.department.in_(departments), t.school.in_(schools)]


def _days(since: date, until: date) -> list[str]:
    return [(since + timedelta(days=number)).isoformat() for number in range((until - since).days)]


def periods(since: date, until: date) -> list[str]:
    """Return the months that are wholly in a time, and the other days of it."""
    found, day = [], since
    while day < until:
        following = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        if day.day == 1 and following <= until:
            found.append(figures.month_of(day))
        else:
            following = min(following, until)
            found += _days(day, following)
        day = following
    return found


def totals(connection: Connection, scope: Scope, since: date, until: date) -> Row[Any]:
    """Return the sums of the messages that came in from one day to before another."""
    return connection.execute(select(*_SUMS).where(*_of(scope, figures.ALL, periods(since, until)))).one()


def per_day(
    connection: Connection, scope: Scope, by: str, since: date, until: date, *, months: bool = False
) -> dict[date, Row[Any]]:
    """Return the sums of each day (`ALL`, `SENT`); with `months` those of a whole month at its first day."""
    period = figure_totals.c.period
    conditions = _of(scope, by, (periods if months else _days)(since, until))
    found = connection.execute(select(period, *_SUMS).where(*conditions).group_by(period))
    return {_first(row.period): row for row in found}


def messages_per_day(
    connection: Connection, scope: Scope, by: str, since: date, until: date, *, months: bool = False
) -> dict[tuple[date, str], int]:
    """Return how many messages there are of each channel or language, on each day or, likewise, in each month."""
    t = figure_totals.c
    conditions = _of(scope, by, (periods if months else _days)(since, until))
    found = connection.execute(select(t.period, t.name, _MESSAGES).where(*conditions).group_by(t.period, t.name))
    return {(_first(period), name): int(n) for period, name, n in found}


def _first(period: str) -> date:
    return date.fromisoformat(period if len(period) > len("2026-11") else f"{period}-01")


def per_name(connection: Connection, scope: Scope, by: str, since: date, until: date) -> dict[str, int]:
    """Return how many messages there are of each channel, language or (`WAIT`) bucket."""
    return _messages_per(connection, figure_totals.c.name, _of(scope, by, periods(since, until)))


def _messages_per(
    connection: Connection, column: ColumnElement[str], conditions: list[ColumnElement[bool]]
) -> dict[str, int]:
    statement = select(column, _MESSAGES).where(*conditions).group_by(column).having(_MESSAGES > 0)
    return {name: int(n) for name, n in connection.execute(statement)}


def per_department(connection: Connection, scope: Scope, by: str, since: date, until: date) -> dict[str, Row[Any]]:
    """Return the sums of each department: those that messages are with (`ALL`), or were sent to first (`SENT`)."""
    column = figure_totals.c.department
    if scope.departments is None:
        by, column = {figures.ALL: figures.DESK, figures.SENT: figures.SENT_TO}[by], figure_totals.c.name
    conditions = _of(scope, by, periods(since, until))
    statement = select(column.label("of"), *_SUMS).where(*conditions).group_by(column).having(_MESSAGES > 0)
    return {row.of: row for row in connection.execute(statement)}


def per_school(connection: Connection, scope: Scope, since: date, until: date) -> dict[str, int]:
    """Return how many messages there are of each school ("": of none)."""
    t, all_of_it = figure_totals.c, periods(since, until)
    if scope.schools is None:
        return _messages_per(connection, t.name, _of(scope, figures.SCHOOL, all_of_it))
    return _messages_per(connection, t.school, _of(scope, figures.ALL, all_of_it))


def waits(connection: Connection, scope: Scope, since: date, until: date) -> dict[int, int]:
    """Return how many messages arrived after so long, by bucket (`router.store.figures.seconds_of`)."""
    return {int(name): n for name, n in per_name(connection, scope, figures.WAIT, since, until).items()}


def quantile(buckets: dict[int, int], part: float) -> float | None:
    """Return after how many seconds so large a part had arrived, within 5 %; None if nothing has."""
    left = part * sum(buckets.values())
    for number in sorted(buckets):
        left -= buckets[number]
        if left <= 0:
            return figures.seconds_of(number)
    return None


def open_now(connection: Connection, scope: Scope) -> Row[int, int, datetime | None]:
    """Return how many messages of any day don't lie with a department yet, how many are late, since when the oldest."""
    t, d = figure_totals.c, figure_counted.c
    some = [day.isoformat() for day in connection.execute(select(d.day).where(d.open > 0)).scalars()]
    return connection.execute(
        select(
            func.coalesce(func.sum(t.open), 0).label("open"),
            func.coalesce(func.sum(t.open_late), 0).label("late"),
            func.min(t.oldest_at).label("oldest_at"),
        ).where(*_of(scope, figures.ALL, some))
    ).one()


def counted(connection: Connection, since: date, until: date) -> tuple[int, datetime | None]:
    """Return how many days of a time are counted, and when the last was."""
    d = figure_counted.c
    n, at = connection.execute(
        select(func.count(), func.max(d.counted_at)).where(d.day >= since, d.day < until, d.counted_at.is_not(None))
    ).one()
    return n, at


# --- what people said -------------------------------------------------------------------------------------------------


def audited_per(connection: Connection, scope: Scope, since: datetime, until: datetime) -> list[Row[Any]]:
    """Return the answered audits of what the router itself sent: when it came in, to whom, and whether wrongly."""
    statement = (
        select(audited.c.received_at, audited.c.department, audited.c.wrong)
        .outerjoin(decisions, decisions.c.id == audited.c.decision_id)
        .where(
            audited.c.received_at >= since,
            audited.c.received_at < until,
            audited.c.answered_at.is_not(None),
            audited.c.reason.in_(audits.ROUTED),
            *within(scope, audited.c.department, decisions.c.school),
        )
    )
    return list(connection.execute(statement))


def confused(
    connection: Connection, scope: Scope, since: datetime, until: datetime
) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    """Return how often messages of one department (first) were sent by the model to another (second).

    Two counts that aren't to be mixed: of answered audits, which show what went right as well; and of corrections that
    named persons have confirmed, which only show what somebody noticed.  A scope asks where the messages are now.
    """
    model, c = decisions.c.reason == Reason.MODEL.value, corrections.c
    asked = (
        select(audited.c.answer, audited.c.department, func.count())
        .join(decisions, decisions.c.id == audited.c.decision_id)
        .where(audited.c.received_at >= since, audited.c.received_at < until, audited.c.answered_at.is_not(None), model)
        .group_by(audited.c.answer, audited.c.department)
    )
    corrected = (
        select(c.to_department, c.from_department, func.count())
        .join(decisions, decisions.c.id == c.decision_id)
        .where(c.at >= since, c.at < until, c.state == CorrectionState.CONFIRMED.value, MOVED, model)
        .where(c.confirmed_via.not_in(UNNAMED))
        .group_by(c.to_department, c.from_department)
    )
    asked, corrected = _now_within(scope, asked, audited.c.message_id), _now_within(scope, corrected, c.message_id)
    of_audits, of_corrections = (
        {(own, sent): int(n) for own, sent, n in connection.execute(statement)} for statement in (asked, corrected)
    )
    return of_audits, of_corrections


def _now_within(scope: Scope, said: Select[Any], message_id: ColumnElement[str]) -> Select[Any]:
    """Return a query about words of which the messages are now within a scope."""
    if scope == EVERYTHING:
        return said
    now_with = decisions.alias("now_with")
    return (
        said.join(messages, messages.c.id == message_id)
        .outerjoin(now_with, now_with.c.id == messages.c.decision_id)
        .where(*within(scope, now_with.c.department, now_with.c.school))
    )


def believed(connection: Connection, scope: Scope, since: datetime, until: datetime) -> list[tuple[float, bool]]:
    """Return how sure the model was of what it sent, and whether an audit found it right."""
    statement = (
        select(decisions.c.confidence, case((audited.c.wrong.is_(True), 0), else_=1).label("right"))
        .join(decisions, decisions.c.id == audited.c.decision_id)
        .where(
            audited.c.received_at >= since,
            audited.c.received_at < until,
            audited.c.answered_at.is_not(None),
            audited.c.reason == Reason.MODEL.value,
            decisions.c.confidence.is_not(None),
            *within(scope, audited.c.department, decisions.c.school),
        )
    )
    return [(row.confidence, bool(row.right)) for row in connection.execute(statement)]


# --- what waits -------------------------------------------------------------------------------------------------------


def waiting(connection: Connection, scope: Scope, limit: int) -> list[Row[Any]]:
    """Return the oldest messages that don't lie with a department yet: undecided, held, or not delivered.

    id, channel, received_at, state, department and school, the oldest first. Where very many deliveries wait, only the
    oldest of these are looked at.
    """
    undecided = [_standing(connection, scope, state, limit) for state in (State.UNDECIDED.value, State.HELD.value)]
    rows = {row.id: row for found in (*undecided, _undelivered(connection, scope, limit)) for row in found}
    return sorted(rows.values(), key=lambda row: (row.received_at, row.id))[:limit]


_COLUMNS = (
    *(messages.c.id, messages.c.channel, messages.c.received_at, messages.c.state),
    *(decisions.c.department, decisions.c.school),
)


def _standing(connection: Connection, scope: Scope, state: str, limit: int) -> list[Row[Any]]:
    statement = (
        select(*_COLUMNS)
        .outerjoin(decisions, decisions.c.id == messages.c.decision_id)
        .where(text(f"messages.state = '{state}'"), *within(scope, decisions.c.department, decisions.c.school))
        .order_by(messages.c.received_at)
        .limit(limit)
    )
    return list(connection.execute(statement))


def _undelivered(connection: Connection, scope: Scope, limit: int) -> list[Row[Any]]:
    d = deliveries.c
    mine = within(Scope(departments=scope.departments), d.department, d.department)
    stuck: set[str | None] = set()
    for which in ("state = 'waiting'", "state IN ('dead', 'unclear')"):  # as the indexes say it
        of_routes = select(d.message_id).where(text(which), d.kind == DeliveryKind.ROUTE.value, *mine)
        stuck |= set(connection.execute(of_routes.order_by(d.id + 0).limit(500)).scalars())  # + 0: not by all ids
    statement = (
        select(*_COLUMNS)
        .join(decisions, decisions.c.id == messages.c.decision_id)
        .where(
            messages.c.id.in_(stuck),
            messages.c.state.in_((State.ROUTED.value, State.FILED.value)),
            figures.STUCK,
            figures.ARRIVED_AT.is_(None),
            *within(scope, decisions.c.department, decisions.c.school),
        )
    )
    rows: list[Row[Any]] = list(connection.execute(statement))
    return sorted(rows, key=lambda row: row.received_at)[:limit]
