"""Daily sums of what the model answered and what people corrected: what a change over weeks is seen by, and cheaply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from router.records import CorrectionState, Reason
from router.store import cursors
from router.store.corrections import MOVED
from router.store.model_tables import drift_sums
from router.store.tables import corrections, decisions, messages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from sqlalchemy import Connection, Row

Key = tuple["date", str, str, str]
"""A day, a model's version, what is counted, and of which label or department ("" where it is of all)."""

_OURS, _COUNTED, _REPORT = ":drift", "counted", "report"  # no channel can have this name
_MOST_LOOKED_AT = 100_000  # decisions


def counted(connection: Connection, first: int) -> int:
    """Return the last decision that was counted; at the first time the one from which to begin, `first` back."""
    kept = cursors.get(connection, _OURS, _COUNTED)
    return int(kept["decision"]) if kept else max(0, _last(connection) - first)


def _last(connection: Connection) -> int:
    return int(connection.execute(select(func.coalesce(func.max(decisions.c.id), 0))).scalar_one())


def after(connection: Connection, decision_id: int, limit: int) -> list[Row[Any]]:
    """Return the next decisions, in order, each with its message's medium and content."""
    statement = (
        select(decisions, messages.c.medium, messages.c.content)
        .join(messages, messages.c.id == decisions.c.message_id)
        .where(decisions.c.id > decision_id)
        .order_by(decisions.c.id)
        .limit(limit)
    )
    return list(connection.execute(statement))


def add(connection: Connection, sums: Mapping[Key, float], decision_id: int) -> None:
    """Add to the sums and remember the last decision that is in them, in one transaction."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(drift_sums)
    more = {"amount": drift_sums.c.amount + insert.excluded.amount}
    statement = insert.on_conflict_do_update(index_elements=list(drift_sums.primary_key), set_=more)
    rows = [
        {"day": day, "model": model, "what": what, "name": name, "amount": amount}
        for (day, model, what, name), amount in sums.items()
    ]
    if rows:
        connection.execute(statement, rows)
    cursors.put(connection, _OURS, _COUNTED, {"decision": decision_id})


def sums(connection: Connection, since: date, until: date) -> dict[Key, float]:
    """Return the sums of the days from one to before another."""
    of_these = select(drift_sums).where(drift_sums.c.day >= since, drift_sums.c.day < until)
    return {(row.day, row.model, row.what, row.name): row.amount for row in connection.execute(of_these)}


def forget(connection: Connection, before: date) -> None:
    """Drop the sums of days long past."""
    connection.execute(delete(drift_sums).where(drift_sums.c.day < before))


def corrected(connection: Connection, since: datetime, until: datetime) -> list[tuple[datetime, str]]:
    """Return when messages that the model had routed were flagged, and from which department.

    A flag that was withdrawn doesn't count.
    """
    c = corrections.c
    statement = (
        select(c.at, c.from_department)
        .join(decisions, decisions.c.id == c.decision_id)
        .where(
            c.at >= since,
            c.at < until,
            c.state != CorrectionState.WITHDRAWN.value,
            MOVED,
            decisions.c.reason == Reason.MODEL.value,
        )
    )
    return [(row.at, row.from_department) for row in connection.execute(statement)]


def left_to_people(connection: Connection, since: datetime, until: datetime, limit: int) -> list[Row[Any]]:
    """Return messages about which the model abstained (or, observing, may have), the newest first, of one time.

    Among the last 100,000 decisions: it is about the last weeks.
    """
    statement = (
        select(decisions, messages.c.sender, messages.c.medium, messages.c.content)
        .join(messages, messages.c.id == decisions.c.message_id)
        .where(
            decisions.c.id > max(0, _last(connection) - _MOST_LOOKED_AT),
            decisions.c.reason.in_((Reason.ABSTAINED.value, Reason.OBSERVE.value)),
            decisions.c.model != "",
            decisions.c.decided_at >= since,
            decisions.c.decided_at < until,
        )
        .order_by(decisions.c.id.desc())
        .limit(limit)
    )
    return list(connection.execute(statement))


def report(connection: Connection) -> dict[str, Any]:
    """Return what was found when it was last looked, {} if it never was."""
    return cursors.get(connection, _OURS, _REPORT) or {}


def keep_report(connection: Connection, found: Mapping[str, Any]) -> None:
    """Keep what was found."""
    cursors.put(connection, _OURS, _REPORT, dict(found))
