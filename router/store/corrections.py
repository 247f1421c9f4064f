"""Corrections and votes: what people said about decisions, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.records import Correction, CorrectionState, Reason
from router.store.tables import corrections, decisions, messages, votes

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row


def add(connection: Connection, correction: Correction, new_decision_id: int) -> int:
    """Store a correction with the decision it led to, and return its id."""
    row = {
        "message_id": correction.message_id,
        "from_department": correction.from_department,
        "to_department": correction.to_department,
        "by": correction.by[:320],
        "via": correction.via,
        "model": correction.model,
        "state": correction.state.value,
        "at": correction.at,
        "note": correction.note,
        "decision_id": correction.decision_id,
        "delivery_id": correction.delivery_id,
        "new_decision_id": new_decision_id,
        "confirmed_by": correction.confirmed_by[:320],
        "settled_at": None if correction.state is CorrectionState.PROPOSED else correction.at,
    }
    return int(connection.execute(insert(corrections).returning(corrections.c.id), row).scalar_one())


def settle(
    connection: Connection, correction_id: int, state: CorrectionState, now: datetime, by: str
) -> Correction | None:
    """Confirm a proposed correction, or withdraw a proposed or confirmed one; None if that can't be."""
    before = [CorrectionState.PROPOSED.value]
    if state is CorrectionState.WITHDRAWN:
        before.append(CorrectionState.CONFIRMED.value)
    row = connection.execute(
        update(corrections)
        .where(corrections.c.id == correction_id, corrections.c.state.in_(before))
        .values(state=state.value, confirmed_by=by[:320], settled_at=now)
        .returning(corrections)
    ).first()
    return None if row is None else to_correction(row)


def get(connection: Connection, correction_id: int) -> Correction | None:
    """Return one correction, or None."""
    row = connection.execute(select(corrections).where(corrections.c.id == correction_id)).first()
    return None if row is None else to_correction(row)


def of_message(connection: Connection, message_id: str) -> list[Correction]:
    """Return what was said about one message, oldest first."""
    rows = select(corrections).where(corrections.c.message_id == message_id).order_by(corrections.c.id)
    return [to_correction(row) for row in connection.execute(rows)]


def leading_to(connection: Connection, decision_id: int) -> Correction | None:
    """Return the correction that brought a message to where a decision put it, if one did."""
    row = connection.execute(select(corrections).where(corrections.c.new_decision_id == decision_id)).first()
    return None if row is None else to_correction(row)


def of_copies(connection: Connection, decision_id: int) -> list[Correction]:
    """Return by which corrections a copy of a message, sent for its second matter, was passed on to another department.

    They leave the message where it is: the decision that they are about stays in force.
    """
    rows = connection.execute(
        select(corrections)
        .where(
            corrections.c.decision_id == decision_id,
            corrections.c.new_decision_id == decision_id,
            corrections.c.state != CorrectionState.WITHDRAWN.value,
        )
        .order_by(corrections.c.id)
    )
    return [to_correction(row) for row in rows]


def led_to_dispute(connection: Connection, correction_id: int) -> bool:
    """Return whether a correction put its message before the fallback, disputed."""
    disputed = (
        select(corrections.c.id)
        .join(decisions, decisions.c.id == corrections.c.new_decision_id)
        .where(corrections.c.id == correction_id, decisions.c.reason == Reason.DISPUTED.value)
    )
    return connection.execute(disputed).first() is not None


def in_state(connection: Connection, state: str | None, limit: int) -> list[Correction]:
    """Return corrections, newest first."""
    statement = select(corrections).order_by(corrections.c.id.desc()).limit(limit)
    if state:
        statement = statement.where(corrections.c.state == state)
    return [to_correction(row) for row in connection.execute(statement)]


def confirmed_rows(connection: Connection) -> list[Row[Any]]:
    """Return confirmed corrections with the message's medium and content: what may be trained on, oldest first.

    What was said of a copy isn't among them: the message as a whole is about something else.
    """
    statement = (
        select(
            corrections.c.id,
            corrections.c.message_id,
            corrections.c.to_department,
            messages.c.medium,
            messages.c.content,
        )
        .join(messages, messages.c.id == corrections.c.message_id)
        .where(
            corrections.c.state == CorrectionState.CONFIRMED.value,
            corrections.c.new_decision_id.is_distinct_from(corrections.c.decision_id),
        )
        .order_by(corrections.c.id)
    )
    return list(connection.execute(statement))


def count_by_state(connection: Connection) -> dict[str, int]:
    """Return how many corrections there are in each state."""
    rows = connection.execute(select(corrections.c.state, func.count()).group_by(corrections.c.state))
    return {state: int(n) for state, n in rows}


def vote(connection: Connection, message_id: str, delivery_id: int, department: str, now: datetime) -> bool:
    """Record "This is ours" from a delivery; False if that delivery has voted before."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {"message_id": message_id, "delivery_id": delivery_id, "department": department, "at": now}
    statement = dialect.insert(votes).values(row).on_conflict_do_nothing().returning(votes.c.id)
    return connection.execute(statement).scalar() is not None


def to_correction(row: Row[Any]) -> Correction:
    """Return the record of a row of `corrections`."""
    return Correction(
        id=row.id,
        message_id=row.message_id,
        from_department=row.from_department,
        to_department=row.to_department,
        by=row.by,
        via=row.via,
        model=row.model,
        state=CorrectionState(row.state),
        at=row.at,
        note=row.note,
        decision_id=row.decision_id,
        delivery_id=row.delivery_id,
        confirmed_by=row.confirmed_by,
    )
