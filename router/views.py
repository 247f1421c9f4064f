"""Records as JSON values, for `--json`, the control socket and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Row

    from router.records import Correction, Decision, Delivery, Message, State
    from router.store.alarms import Alarm

_BEGINNING = 120  # characters of a text that stand in a list


def message_row_view(row: Row[Any]) -> dict[str, Any]:
    """Return one line of a listing (`router.store.messages.listing`)."""
    content = row.content or {}
    return {
        "id": row.id,
        "received_at": when(row.received_at),
        "channel": row.channel,
        "medium": row.medium,
        "state": row.state,
        "subject": content.get("subject", ""),
        "beginning": beginning(content),
        "department": row.department or "",
        "reason": row.reason or "",
        "why": row.why or row.detail,
        "confidence": row.confidence,
        "urgent": row.urgent or "",
        "school": row.school or "",
        "suggestions": row.suggestions or [],
    }


def beginning(content: Mapping[str, Any]) -> str:
    """Return how a stored message begins, on one line."""
    return " ".join(content.get("text", "").split())[:_BEGINNING]


def message_view(message: Message, state: State, detail: str) -> dict[str, Any]:
    """Return a message as it was understood."""
    content = message.content
    return {
        "id": message.id,
        "received_at": when(message.received_at),
        "channel": message.channel,
        "medium": message.medium.value,
        "state": state.value,
        "detail": detail,
        "sender": content.sender,
        "sender_name": content.sender_name,
        "phone": content.phone,
        "recipient": content.recipient,
        "subject": content.subject,
        "text": content.text,
        "language": content.language,
        "attachments": [{"name": a.name, "type": a.content_type, "size": a.size} for a in content.attachments],
        "suspicion": content.suspicion,
        "unreadable": content.unreadable,
    }


def decision_view(decision: Decision) -> dict[str, Any]:
    """Return a decision."""
    prediction = decision.prediction
    return {
        "id": decision.id,
        "department": decision.department,
        "reason": decision.reason.value,
        "detail": decision.detail,
        "confidence": decision.confidence,
        "model": prediction.model if prediction else "",
        "ranking": [[label, p] for label, p in prediction.ranking[:5]] if prediction else [],
        "urgent": decision.urgent,
        "school": decision.school,
        "suggestions": list(decision.suggestions),
        "also": list(decision.also),
        "tags": list(decision.tags),
        "decided_at": when(decision.decided_at),
    }


def delivery_view(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery."""
    return {
        "id": delivery.id,
        "kind": delivery.kind.value,
        "message_id": delivery.message_id,
        "department": delivery.department,
        "via": delivery.via,
        "to": delivery.to,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "next_attempt_at": when(delivery.next_attempt_at) if delivery.state.value == "waiting" else None,
        "last_error": delivery.last_error,
    }


def alarm_view(alarm: Alarm, acknowledged_by: str) -> dict[str, Any]:
    """Return how the alarm of an urgent message stands."""
    return {
        "raised_at": when(alarm.raised_at),
        "why": alarm.why,
        "told_at": when(alarm.told_at),
        "acknowledged_at": when(alarm.over_at) if alarm.over_at else None,
        "acknowledged_by": acknowledged_by,
    }


def correction_view(correction: Correction) -> dict[str, Any]:
    """Return a correction."""
    return {
        "id": correction.id,
        "message_id": correction.message_id,
        "from": correction.from_department,
        "to": correction.to_department,
        "by": correction.by,
        "via": correction.via,
        "model": correction.model,
        "state": correction.state.value,
        "at": when(correction.at),
        "note": correction.note,
        "confirmed_by": correction.confirmed_by,
        "confirmed_via": correction.confirmed_via,
        "withdrawn_by": correction.withdrawn_by,
        "decision": correction.decision_id,
    }


def when(at: datetime) -> str:
    """Return a time in ISO 8601, to the second, in UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
