"""Everything that is known of one message's way, from its receipt to what was learnt from it. A unit of work."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from sqlalchemy import select

from router.records import State
from router.store import alarms, corrections, decisions, deliveries, messages
from router.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from router.records import Correction, Decision, Delivery, Message
    from router.store.alarms import Alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What happened to one message so far, each list from the oldest on; `present` is the decision in force.

    `settled_at` says of deliveries, `said_at` of corrections, when that was that (None: it isn't). `led_to` are the
    decisions that corrections brought about; `learnt` the first model that has learnt from one, and since when.
    """

    message: Message
    state: State
    detail: str = ""
    present: Decision | None = None
    decisions: tuple[Decision, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    settled_at: Mapping[int, datetime | None] = field(default_factory=lambda: MappingProxyType({}))
    corrections: tuple[Correction, ...] = ()
    said_at: Mapping[int, datetime | None] = field(default_factory=lambda: MappingProxyType({}))
    led_to: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    alarm: Alarm | None = None
    acknowledged_by: str = ""
    learnt: Mapping[int, tuple[str, datetime]] = field(default_factory=lambda: MappingProxyType({}))


def of_message(connection: Connection, message_id: str) -> Journey | None:
    """Return a message's journey, None if there is no such message."""
    row = connection.execute(select(t.messages).where(t.messages.c.id == message_id)).first()
    if row is None:
        return None
    said = corrections.of_message(connection, message_id)
    changes = connection.execute(
        select(t.corrections.c.id, t.corrections.c.settled_at, t.corrections.c.new_decision_id).where(
            t.corrections.c.message_id == message_id
        )
    ).all()
    settled = connection.execute(
        select(t.deliveries.c.id, t.deliveries.c.settled_at).where(t.deliveries.c.message_id == message_id)
    )
    history = decisions.history(connection, message_id)
    alarm = alarms.get(connection, message_id)
    by = deliveries.get(connection, alarm.acknowledged_by) if alarm and alarm.acknowledged_by else None
    return Journey(
        message=messages.to_message(row),
        state=State(row.state),
        detail=row.detail,
        present=next((each for each in history if each.id == row.decision_id), None),
        decisions=tuple(history),
        deliveries=tuple(deliveries.of_message(connection, message_id)),
        settled_at={each.id: each.settled_at for each in settled},
        corrections=tuple(said),
        said_at={each.id: each.settled_at for each in changes},
        led_to={each.id: each.new_decision_id for each in changes if each.new_decision_id is not None},
        alarm=alarm,
        acknowledged_by=by.to if by else "",
        learnt=_learnt(connection, [each.id for each in said]),
    )


def _learnt(connection: Connection, ids: list[int]) -> dict[int, tuple[str, datetime]]:
    if not ids:
        return {}
    found: dict[int, tuple[str, datetime]] = {}
    models = select(t.models.c.version, t.models.c.created_at, t.models.c.metrics).order_by(t.models.c.created_at)
    for version, at, metrics in connection.execute(models):
        known = set(metrics.get("learnt") or ())
        for id_ in ids:
            if f"correction {id_}" in known:
                found.setdefault(id_, (version, at))
    return found
