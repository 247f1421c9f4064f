"""Decisions: every one is kept, the message points at the one in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select

from router.records import Decision, Reason
from router.store.codec import prediction_from_json, prediction_to_json
from router.store.tables import decisions, messages

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row


def add(connection: Connection, decision: Decision) -> int:
    """Store a decision and return its id."""
    return int(connection.execute(insert(decisions).returning(decisions.c.id), to_row(decision)).scalar_one())


def to_row(decision: Decision) -> dict[str, Any]:
    """Return the columns of a decision, without its id."""
    prediction = decision.prediction
    return {
        "message_id": decision.message_id,
        "department": decision.department,
        "reason": decision.reason.value,
        "detail": decision.detail,
        "prediction": _with_also(prediction_to_json(prediction), decision.also),
        "confidence": decision.confidence,
        "model": prediction.model if prediction else "",
        "urgent": decision.urgent,
        "school": decision.school,
        "suggestions": list(decision.suggestions),
        "tags": list(decision.tags),
        "decided_at": decision.decided_at,
    }


def _with_also(prediction: dict[str, Any] | None, also: tuple[str, ...]) -> dict[str, Any] | None:
    """Keep the other departments beside the prediction, from which alone they can follow."""
    return prediction | {"also": list(also)} if prediction and also else prediction


def get(connection: Connection, decision_id: int) -> Decision:
    """Return one decision."""
    return to_decision(connection.execute(select(decisions).where(decisions.c.id == decision_id)).one())


def get_many(connection: Connection, ids: list[int]) -> dict[int, Decision]:
    """Return decisions by id."""
    return {row.id: to_decision(row) for row in connection.execute(_MANY, {"ids": ids})}


_MANY = select(decisions).where(decisions.c.id.in_(bindparam("ids", expanding=True)))  # made once: every mail needs it


def in_force(connection: Connection, message_id: str) -> Decision | None:
    """Return the decision that a message stands at, None before the first."""
    row = connection.execute(
        select(decisions).join(messages, messages.c.decision_id == decisions.c.id).where(messages.c.id == message_id)
    ).first()
    return None if row is None else to_decision(row)


def history(connection: Connection, message_id: str) -> list[Decision]:
    """Return all decisions about a message, oldest first."""
    rows = connection.execute(select(decisions).where(decisions.c.message_id == message_id).order_by(decisions.c.id))
    return [to_decision(row) for row in rows]


def to_decision(row: Row[Any]) -> Decision:
    """Return the record of a row of `decisions`."""
    return Decision(
        id=row.id,
        message_id=row.message_id,
        department=row.department,
        reason=Reason(row.reason),
        detail=row.detail,
        prediction=prediction_from_json(row.prediction),
        also=tuple((row.prediction or {}).get("also", ())),
        confidence=row.confidence,
        urgent=row.urgent,
        school=row.school,
        suggestions=tuple(row.suggestions),
        tags=tuple(row.tags),
        decided_at=row.decided_at,
    )
