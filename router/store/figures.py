"""Sums of messages for the dashboard: what must be counted, the messages of a day, and keeping the sums.

A day is counted again as a whole, so that a correction, a delivery that came back or a release is right by itself; what
differs is kept, and added to its month. `figure_totals.by` tells what a row is of: `ALL` the messages by the department
they are with and the school; `CHANNEL` and `LANGUAGE` the same, and by that; `SENT` by the department that the router
itself chose first; `WAIT` how many have arrived after so long, by `bucket`. Each is there for any department or school
(`ANY`), too, and then `DESK`, `SENT_TO` and `SCHOOL` tell those apart: so that whatever somebody may see is few rows.
"""

from __future__ import annotations

from math import floor, log2
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.records import CorrectionState, DeliveryKind, DeliveryState
from router.store import cursors
from router.store.corrections import MOVED
from router.store.figure_tables import figure_counted, figure_totals
from router.store.tables import corrections, decisions, deliveries, messages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import date, datetime

    from sqlalchemy import Connection, Row

ALL, CHANNEL, LANGUAGE, SENT, WAIT = "", "channel", "language", "sent", "wait"
DESK, SENT_TO, SCHOOL = "desk", "sent-to", "school"
ANY = "*"  # any department, any school; none can be named so
Key = tuple[str, str, str, str]
"""`by`, the department, the school, and the name of the channel, the language, the bucket, …"""
Sums = dict[Key, dict[str, Any]]
"""What is counted of each key; what is 0 is left out."""
Change = tuple[Key, "Mapping[str, Any] | None", "Mapping[str, Any] | None"]
"""What was kept of a day under a key, and what is there now; None: nothing."""

_OURS, _SEEN = ":figures", "noted"  # no channel can have this name
_PER_DOUBLING = 8  # buckets: neighbours differ by 9 %


def bucket(seconds: float) -> int:
    """Return the bucket of a wait."""
    return floor(_PER_DOUBLING * log2(1 + max(0.0, seconds)))


def seconds_of(number: int) -> float:
    """Return the middle of a bucket, in seconds; 0 for the first."""
    return 2 ** ((number + 0.5) / _PER_DOUBLING) - 1 if number else 0.0


# --- what must be counted ---------------------------------------------------------------------------------------------


def seen(connection: Connection) -> int | None:
    """Return the last decision whose day was noted, None before the first."""
    kept = cursors.get(connection, _OURS, _SEEN)
    return int(kept["decision"]) if kept else None


def begin(connection: Connection) -> None:
    """Note decisions from now on: the days before will all be counted."""
    last = connection.execute(select(func.coalesce(func.max(decisions.c.id), 0))).scalar_one()
    cursors.put(connection, _OURS, _SEEN, {"decision": int(last)})


def decided_after(connection: Connection, decision_id: int, limit: int) -> list[Row[Any]]:
    """Return the next decisions: id, when, and when their messages came in."""
    statement = (
        select(decisions.c.id, decisions.c.decided_at, messages.c.received_at)
        .join(messages, messages.c.id == decisions.c.message_id)
        .where(decisions.c.id > decision_id)
        .order_by(decisions.c.id)
        .limit(limit)
    )
    return list(connection.execute(statement))


def note(connection: Connection, days: Collection[date], decision_id: int) -> None:
    """Note that days must be counted again, in the transaction that remembers up to which decision this is known."""
    connection.execute(update(figure_counted).where(figure_counted.c.day.in_(days)).values(stale=True))
    cursors.put(connection, _OURS, _SEEN, {"decision": decision_id})


def days(connection: Connection) -> list[Row[Any]]:
    """Return the days that were counted, the newest first: day, counted_at, stale, open."""
    return list(connection.execute(select(figure_counted).order_by(figure_counted.c.day.desc())))


def first_received(connection: Connection) -> datetime | None:
    """Return when the oldest message came in, None where there is none."""
    return connection.execute(select(func.min(messages.c.received_at))).scalar()


# --- the messages of a day --------------------------------------------------------------------------------------------

_first = decisions.alias("first")
_FIRST_ID = (
    select(func.min(decisions.c.id))
    .where(decisions.c.message_id == messages.c.id)
    .correlate(messages)
    .scalar_subquery()
)
UNSETTLED = (DeliveryState.WAITING.value, DeliveryState.DEAD.value, DeliveryState.UNCLEAR.value)
_OF_DESK = (  # deliveries to the department that a message is with
    deliveries.c.message_id == messages.c.id,
    deliveries.c.decision_id == messages.c.decision_id,
    deliveries.c.department == decisions.c.department,
    deliveries.c.kind == DeliveryKind.ROUTE.value,
)
ARRIVED_AT = (
    select(func.min(deliveries.c.settled_at))
    .where(*_OF_DESK, deliveries.c.state == DeliveryState.DELIVERED.value)
    .correlate(messages, decisions)
    .scalar_subquery()
)
STUCK = exists().where(*_OF_DESK, deliveries.c.state.in_(UNSETTLED)).correlate(messages, decisions)
_FLAGGED = (
    exists()
    .where(corrections.c.decision_id == _first.c.id, corrections.c.state != CorrectionState.WITHDRAWN.value, MOVED)
    .correlate(_first)
)


def messages_of(
    connection: Connection, since: datetime, until: datetime, after: tuple[datetime, str] | None, limit: int
) -> list[Row[Any]]:
    """Return messages that came in from one time to before another, in order, each with what is counted of it."""
    statement = (
        select(
            *(messages.c.id, messages.c.channel, messages.c.received_at, messages.c.state),
            func.coalesce(messages.c.content["language"].as_string(), "").label("language"),
            *(decisions.c.department, decisions.c.school, decisions.c.urgent),
            _first.c.department.label("first_department"),
            _first.c.school.label("first_school"),
            _first.c.reason.label("first_reason"),
            _FLAGGED.label("flagged"),
            ARRIVED_AT.label("arrived_at"),
            STUCK.label("stuck"),
        )
        .select_from(messages)
        .outerjoin(decisions, decisions.c.id == messages.c.decision_id)
        .outerjoin(_first, _first.c.id == _FIRST_ID)
        .where(messages.c.received_at >= since, messages.c.received_at < until)
        .order_by(messages.c.received_at, messages.c.id)
        .limit(limit)
    )
    if after is not None:
        later = or_(
            messages.c.received_at > after[0], and_(messages.c.received_at == after[0], messages.c.id > after[1])
        )
        statement = statement.where(messages.c.received_at >= after[0], later)
    return list(connection.execute(statement))


# --- keeping the sums -------------------------------------------------------------------------------------------------

_COUNTS = tuple(column.name for column in figure_totals.c if not column.primary_key and column.name != "oldest_at")
_KEY = tuple(figure_totals.primary_key.columns)


def month_of(day: date) -> str:
    """Return under which period the sums of a day's month are kept."""
    return f"{day:%Y-%m}"


def add(sums: Sums, key: Key, counts: Mapping[str, Any]) -> None:
    """Add counts to those of a key; of `oldest_at` the earlier one stays."""
    kept = sums.setdefault(key, {})
    for name, value in counts.items():
        if name == "oldest_at":
            kept[name] = min(kept.get(name) or value, value)
        elif value:
            kept[name] = kept.get(name, 0) + value


def rolled_up(sums: Sums) -> Sums:
    """Return the sums of each department and school, and of any of them."""
    found = Sums()
    for (by, department, school, name), counts in sums.items():
        schools, departments = (school, ANY), (department, ANY)
        for each in departments:
            for of in schools:
                add(found, (by, each, of, name), counts)
        if by in _TOLD_APART:
            for of in schools:
                add(found, (_TOLD_APART[by], ANY, of, department), counts)
        if by == ALL:
            for each in departments:
                add(found, (SCHOOL, each, ANY, school), {"messages": counts["messages"]})
    return found


_TOLD_APART = {ALL: DESK, SENT: SENT_TO}


def kept(connection: Connection, day: date) -> Sums:
    """Return the sums that are kept of a day."""
    t = figure_totals.c
    names = (*_COUNTS, "oldest_at")
    statement = select(t.by, t.department, t.school, t.name, *(t[name] for name in names))
    return {
        (by, department, school, name): {of: n for of, n in zip(names, counts, strict=True) if n}
        for by, department, school, name, *counts in connection.execute(statement.where(t.period == day.isoformat()))
    }


def changes(before: Sums, now: Sums) -> list[Change]:
    """Return in what the sums of a day differ from those that are kept."""
    cut = Sums()
    for (by, department, school, name), counts in now.items():
        add(cut, (by, department, school, name[:64]), counts)
    gone: list[Change] = [(key, counts, None) for key, counts in before.items() if key not in cut]
    fresh = [(key, before.get(key), counts) for key, counts in cut.items() if before.get(key) != counts]
    return [*gone, *sorted(fresh, key=_together)]


def _together(change: Change) -> tuple[bool, bool, Key]:
    """Return by what changes are ordered: what is read together lies together, the same for all departments first."""
    key = change[0]
    return key[2] != ANY, key[1] != ANY, key


def put(connection: Connection, day: date, differences: Sequence[Change]) -> None:
    """Keep what has changed of a day, and of its month."""
    gone = [_row(day.isoformat(), key) for key, _, counts in differences if counts is None]
    if gone:
        same = (column == bindparam(f"of_{column.name}") for column in _KEY)
        these = [{f"of_{column.name}": row[column.name] for column in _KEY} for row in gone]
        connection.execute(delete(figure_totals).where(*same), these)
    fresh = [_row(day.isoformat(), key) | {**_NOTHING, **counts} for key, _, counts in differences if counts]
    _put(connection, fresh, more=False)
    month = month_of(day)
    _put(connection, [_row(month, key) | {**_NOTHING, **more} for key, more in _more(differences)], more=True)


def _row(period: str, key: Key) -> dict[str, Any]:
    return dict(zip((column.name for column in _KEY), (period, *key), strict=True))


def _more(differences: Sequence[Change]) -> Iterable[tuple[Key, dict[str, int]]]:
    """Yield what the month gets more, or less."""
    for key, before, now in differences:
        more = {name: (now or {}).get(name, 0) - (before or {}).get(name, 0) for name in _COUNTS}
        if any(more.values()):
            yield key, more


def _put(connection: Connection, rows: Sequence[dict[str, Any]], *, more: bool) -> None:
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(figure_totals)
    given, c = statement.excluded, figure_totals.c
    values: dict[str, Any] = {name: c[name] + given[name] if more else given[name] for name in _COUNTS}
    values |= {} if more else {"oldest_at": given["oldest_at"]}
    connection.execute(statement.on_conflict_do_update(index_elements=list(_KEY), set_=values), list(rows))


def counted(connection: Connection, day: date, waiting: int, at: datetime) -> None:
    """Note that a day is counted, and how many of its messages don't lie with a department yet."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {"counted_at": at, "stale": False, "open": waiting}
    statement = dialect.insert(figure_counted).values(day=day, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=[figure_counted.c.day], set_=row))


_NOTHING: dict[str, Any] = {**dict.fromkeys(_COUNTS, 0), "oldest_at": None}
