"""Messages of the past for tests: stored with what was decided of them, without going through the steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select

from router.records import Content, Prediction
from router.store.codec import content_to_json, prediction_to_json
from router.store.tables import corrections, decisions, messages

if TYPE_CHECKING:
    from datetime import datetime

_numbers = count(1)


@dataclass(kw_only=True)
class Past:
    """One message. Without a `label` no model was asked; `belongs` is what people have confirmed."""

    text: str
    at: datetime
    department: str
    reason: str = "model"
    label: str = ""
    confidence: float = 0.95
    model: str = "m1"
    urgent: str = ""
    sender: str = ""
    belongs: str = ""
    correction: str = "confirmed"
    detail: str = ""
    id: str = field(default_factory=lambda: f"P{next(_numbers):011d}")

    def prediction(self):
        """Return what the model said, None if it wasn't asked."""
        if not self.label:
            return None
        ranking = ((self.label, self.confidence), ("other", 1 - self.confidence))
        return prediction_to_json(Prediction(ranking=ranking, score=1.0, model=self.model))


async def keep(store, past, at_once=500):
    """Store messages with their decisions, and what people said of them."""
    past = list(past)
    for start in range(0, len(past), at_once):
        await store.write(lambda c, some=past[start : start + at_once]: _keep(c, some))


def _keep(connection, past):
    connection.execute(insert(messages), [_message(each) for each in past])
    connection.execute(insert(decisions), [_decision(each) for each in past])
    ids = [each.id for each in past]
    found = connection.execute(select(decisions.c.message_id, decisions.c.id).where(decisions.c.message_id.in_(ids)))
    decided = {row.message_id: row.id for row in found}
    of_each = messages.update().where(messages.c.id == bindparam("message")).values(decision_id=bindparam("decision"))
    connection.execute(of_each, [{"message": message, "decision": number} for message, number in decided.items()])
    said = [_correction(each, decided[each.id]) for each in past if each.belongs]
    if said:
        connection.execute(insert(corrections), said)


def _message(each):
    content = Content(text=each.text, sender=each.sender or f"{each.id}@home.example", language="en")
    return {
        "id": each.id,
        "channel": "mail",
        "source_key": each.id,
        "medium": "email",
        "received_at": each.at,
        "state": "routed",
        "sha256": each.id,
        "facts": {},
        "sender": content.sender,
        "content": content_to_json(content),
    }


def _decision(each):
    return {
        "message_id": each.id,
        "department": each.department,
        "reason": each.reason,
        "detail": each.detail,
        "prediction": each.prediction(),
        "confidence": each.confidence if each.label else None,
        "model": each.model if each.label else "",
        "urgent": each.urgent,
        "suggestions": [],
        "decided_at": each.at,
    }


def _correction(each, decision_id):
    return {
        "message_id": each.id,
        "from_department": each.department,
        "to_department": each.belongs,
        "by": "jo@d.example",
        "via": "command",
        "state": each.correction,
        "at": each.at,
        "decision_id": decision_id,
        "settled_at": each.at if each.correction == "confirmed" else None,
        "confirmed_via": "command" if each.correction == "confirmed" else "",
        "confirmed_by": "jo@d.example" if each.correction == "confirmed" else "",
    }
