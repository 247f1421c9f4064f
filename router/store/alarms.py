"""Alarms: urgent messages that somebody has to acknowledge, who has been told so far, and who has acknowledged it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.records import DeliveryKind, DeliveryState
from router.store.deliveries import to_delivery
from router.store.tables import alarms, deliveries

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from router.records import Delivery

COUNTED = timedelta(days=7)  # an alarm that nobody has acknowledged in a week is no longer waited for
OVERTAKEN = "the alarm was acknowledged before this was sent"
_UNDER_WAY = (DeliveryState.WAITING.value, DeliveryState.DELIVERED.value, DeliveryState.UNCLEAR.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """`told` is how many of those who are told one after the other have been, `told_at` when anybody was told last.

    `over_at` is when it was acknowledged, by the recipient of the delivery `acknowledged_by`; None as long as nobody
    has.
    """

    message_id: str
    why: str
    decision_id: int | None
    raised_at: datetime
    told_at: datetime
    told: int = 0
    over_at: datetime | None = None
    acknowledged_by: int | None = None


def raise_alarm(connection: Connection, message_id: str, why: str, decision_id: int | None, now: datetime) -> bool:
    """Remember an alarm; False if it was acknowledged before: its message was held, and is decided again."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    first = dialect.insert(alarms).values(
        message_id=message_id, why=why, decision_id=decision_id, raised_at=now, told_at=now
    )
    connection.execute(first.on_conflict_do_nothing())
    alarm = get(connection, message_id)
    return alarm is not None and alarm.over_at is None


def get(connection: Connection, message_id: str) -> Alarm | None:
    """Return a message's alarm, None if it raised none."""
    row = connection.execute(select(alarms).where(alarms.c.message_id == message_id)).first()
    return None if row is None else _alarm(row)


def due(connection: Connection, before: datetime, told: int, limit: int) -> list[Alarm]:
    """Return the oldest alarms, of which fewer than `told` have been told, that it is time to tell others of.

    It is time if nobody has been told since `before`, or if no alert has arrived anywhere nor still can.
    """
    alert = deliveries.c
    reached = select(alert.id).where(
        alert.message_id == alarms.c.message_id,
        alert.kind == DeliveryKind.ALERT.value,
        alert.state.in_(_UNDER_WAY),
    )
    statement = (
        select(alarms)
        .where(alarms.c.over_at.is_(None), alarms.c.told < told, (alarms.c.told_at <= before) | ~reached.exists())
        .order_by(alarms.c.told_at)
        .limit(limit)
    )
    return [_alarm(row) for row in connection.execute(statement)]


def tell_next(connection: Connection, alarm: Alarm, now: datetime) -> bool:
    """Note that one more has been told; False if another daemon has just done it, or somebody has acknowledged it."""
    still = (alarms.c.message_id == alarm.message_id, alarms.c.told == alarm.told, alarms.c.over_at.is_(None))
    return connection.execute(update(alarms).where(*still).values(told=alarm.told + 1, told_at=now)).rowcount == 1


def acknowledge(connection: Connection, message_id: str, delivery_id: int, now: datetime) -> bool:
    """End an alarm; False if it was acknowledged before."""
    is_open = (alarms.c.message_id == message_id, alarms.c.over_at.is_(None))
    ended = {"over_at": now, "acknowledged_by": delivery_id}
    return connection.execute(update(alarms).where(*is_open).values(**ended)).rowcount == 1


def alerts_of(connection: Connection, message_id: str) -> list[Delivery]:
    """Return every alert about a message, oldest first."""
    rows = connection.execute(
        select(deliveries)
        .where(deliveries.c.message_id == message_id, deliveries.c.kind == DeliveryKind.ALERT.value)
        .order_by(deliveries.c.id)
    )
    return [to_delivery(row) for row in rows]


def drop_unsent(connection: Connection, message_id: str, now: datetime) -> None:
    """Drop the alerts about a message that nobody has begun to send."""
    connection.execute(
        update(deliveries)
        .where(
            deliveries.c.message_id == message_id,
            deliveries.c.kind == DeliveryKind.ALERT.value,
            deliveries.c.state == DeliveryState.WAITING.value,
            deliveries.c.owner.is_(None),
        )
        .values(state=DeliveryState.DROPPED.value, settled_at=now, last_error=OVERTAKEN)
    )


def waiting(connection: Connection, now: datetime) -> dict[str, Any]:
    """Return how many alarms of the last week wait to be acknowledged, and the age of the oldest in seconds."""
    since = (alarms.c.over_at.is_(None), alarms.c.raised_at > now - COUNTED)
    count, oldest = connection.execute(select(func.count(), func.min(alarms.c.raised_at)).where(*since)).one()
    age = round(max(0.0, (now - oldest).total_seconds()), 1) if oldest else 0.0
    return {"waiting_for_acknowledgement": count, "oldest_s": age}


def _alarm(row: Row[Any]) -> Alarm:
    return Alarm(
        message_id=row.message_id,
        why=row.why,
        decision_id=row.decision_id,
        raised_at=row.raised_at,
        told_at=row.told_at,
        told=row.told,
        over_at=row.over_at,
        acknowledged_by=row.acknowledged_by,
    )
