"""What the store holds for a training beside corrections: audits that were answered, and messages nobody flagged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import exists, select

from router.records import CorrectionState, DeliveryKind, DeliveryState, Reason, State
from router.store.models import ROLLED_BACK
from router.store.tables import audits, corrections, decisions, deliveries, messages, models

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row


def answered(connection: Connection) -> list[Row[Any]]:
    """Return the answers to audits with the message's medium and content, oldest first."""
    c = audits.c
    columns = c.message_id, c.answer, c.answer_urgent, c.wrong, c.by, c.answered_at
    statement = (
        select(*columns, messages.c.medium, messages.c.content)
        .join(messages, messages.c.id == audits.c.message_id)
        .where(audits.c.answered_at.is_not(None))
        .order_by(audits.c.answered_at, audits.c.message_id)
    )
    return list(connection.execute(statement))


def silent(connection: Connection, until: datetime, most: int) -> list[Row[Any]]:
    """Return messages that the model routed by then and that stayed there, the newest first.

    They have arrived, aren't urgent, and nobody flagged them: then a correction would be the decision in force. Their
    department is one that does flag: of one that never does, silence says nothing. Nor does it where the model was one
    that people, or the watch over it, have gone back from since.
    """
    live = corrections.c.state != CorrectionState.WITHDRAWN.value
    arrived = exists().where(
        deliveries.c.decision_id == decisions.c.id,
        deliveries.c.message_id == messages.c.id,
        deliveries.c.kind == DeliveryKind.ROUTE.value,
        deliveries.c.state == DeliveryState.DELIVERED.value,
        deliveries.c.settled_at <= until,
    )
    flagging = select(corrections.c.from_department).where(live)
    left = select(models.c.version).where(models.c.state == ROLLED_BACK)
    decided = decisions.c.department, decisions.c.prediction, decisions.c.confidence
    statement = (
        select(messages.c.id, messages.c.medium, messages.c.content, *decided)
        .join(decisions, decisions.c.id == messages.c.decision_id)
        .where(
            messages.c.state == State.ROUTED.value,
            messages.c.received_at <= until,
            decisions.c.reason == Reason.MODEL.value,
            decisions.c.urgent == "",
            decisions.c.decided_at <= until,
            decisions.c.department.in_(flagging),
            decisions.c.model.not_in(left),
            arrived,
        )
        .order_by(messages.c.received_at.desc(), messages.c.id)
        .limit(most)
    )
    return list(connection.execute(statement))
