"""Daily sums of messages for the dashboard: what must be counted, the messages of a day, and keeping the sums.

A day is made again as a whole, so that a correction, a delivery that came back or a release is right by itself.
`figure_sums.by` tells what a row is of: `ALL` the messages by the department they are with and the school; `CHANNEL`
and `LANGUAGE` the same, and by that; `SENT` by the department that the router itself chose first; `WAIT` how many have
arrived after so long, by `bucket`.
"""

from __future__ import annotations

from math import floor, log2
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.records import CorrectionState, DeliveryKind, DeliveryState
from router.store import cursors
from router.store.corrections import MOVED
from router.store.figure_tables import figure_days, figure_sums
from router.store.tables import corrections, decisions, deliveries, messages

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date, datetime

    from sqlalchemy import Connection, Row

ALL, CHANNEL, LANGUAGE, SENT, WAIT = "", "channel", "language", "sent", "wait"
Key = tuple[str, str, str, str]
"""`by`, the department, the school, and the name of the channel, the language or the bucket."""

_OURS, _SEEN = ":figures", "seen"  # no channel can have this name
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
    connection.execute(update(figure_days).where(figure_days.c.day.in_(days)).values(stale=True))
    cursors.put(connection, _OURS, _SEEN, {"decision": decision_id})


def days(connection: Connection) -> list[Row[Any]]:
    """Return the days that were counted, the newest first: day, counted_at, stale, open."""
    return list(connection.execute(select(figure_days).order_by(figure_days.c.day.desc())))


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

_EVERY = (ALL, CHANNEL, LANGUAGE, SENT, WAIT)


def put(connection: Connection, day: date, sums: Mapping[Key, Mapping[str, Any]], counted_at: datetime) -> None:
    """Keep what was counted of a day in place of what was there."""
    connection.execute(delete(figure_sums).where(figure_sums.c.by.in_(_EVERY), figure_sums.c.day == day))
    rows = [
        {"by": by, "day": day, "department": department, "school": school, "name": name[:64], **_NOTHING, **counts}
        for (by, department, school, name), counts in sums.items()
    ]
    if rows:
        connection.execute(insert(figure_sums), rows)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    waiting = sum(counts.get("open", 0) for (by, *_), counts in sums.items() if by == ALL)
    row = {"counted_at": counted_at, "stale": False, "open": waiting}
    statement = dialect.insert(figure_days).values(day=day, **row)
    connection.execute(statement.on_conflict_do_update(index_elements=[figure_days.c.day], set_=row))


_NOTHING = {
    column.name: None if column.name == "oldest_at" else 0 for column in figure_sums.c if not column.primary_key
}
