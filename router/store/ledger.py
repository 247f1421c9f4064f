"""The ledger (CONTRACT section 5): `received = routed + held + filed + undecided`, and the fate of every delivery."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from router.records import DeliveryKind, DeliveryState, State
from router.store import alarms, audits, corrections, counts, drift, tables

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

RECENT = timedelta(days=30)  # how far back audits count that tell how good the router is now
_OF_ANSWERS = (DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.DROPPED)  # they end in no other


def status(connection: Connection, now: datetime) -> dict[str, Any]:
    """Return the counts, and the age in seconds of the oldest thing that still waits to be decided or delivered.

    Automatic answers are counted apart, so that nobody takes one for a message that is under way.
    """
    by_state = counts.messages_by_state(connection)
    stands = {state.value: by_state.get(state.value, 0) for state in (State.ROUTED, State.HELD, State.FILED)}
    sent = counts.deliveries_by_state(connection)
    forwarded = [DeliveryKind.ROUTE, DeliveryKind.ALERT]
    return {
        "messages": {
            "received": sum(by_state.values()),
            **stands,
            "undecided": by_state.get(State.UNDECIDED.value, 0),
        },
        "deliveries": {s.value: sum(sent.get((kind, s.value), 0) for kind in forwarded) for s in DeliveryState},
        "answers": {s.value: sent.get((DeliveryKind.ANSWER, s.value), 0) for s in _OF_ANSWERS},
        "urgent": alarms.waiting(connection, now),
        "oldest_waiting_s": _oldest_waiting_s(connection, now),
        "corrections": corrections.count_by_state(connection),
        "audits": audits.count(connection, now - RECENT),
        "drift": drift.report(connection),
    }


def _oldest_waiting_s(connection: Connection, now: datetime) -> float:
    """Return 0 when nothing waits."""
    message, delivery = tables.messages.c, tables.deliveries.c
    since = [
        connection.execute(
            select(func.min(message.received_at)).where(message.state == State.UNDECIDED.value)
        ).scalar(),
        connection.execute(
            select(func.min(delivery.created_at)).where(
                delivery.state == DeliveryState.WAITING.value, delivery.kind != DeliveryKind.ANSWER.value
            )
        ).scalar(),
    ]
    waiting = [at for at in since if at is not None]
    return round(max(0.0, (now - min(waiting)).total_seconds()), 1) if waiting else 0.0
