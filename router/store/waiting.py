"""Deliveries that wait for something that may never come: a channel that is gone, a sink that takes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select, update

from router.records import DeliveryKind, DeliveryState
from router.store.deliveries import to_delivery
from router.store.tables import deliveries

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from router.records import Delivery


def unreachable(connection: Connection, sinks: Collection[str]) -> list[Delivery]:
    """Return deliveries that wait for a channel that isn't there, and that nobody is just sending by it."""
    waiting = (deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.owner.is_(None))
    rows = connection.execute(select(deliveries).where(*waiting, deliveries.c.via.not_in(list(sinks))).limit(1000))
    return [to_delivery(row) for row in rows]


def late(connection: Connection, since: datetime) -> dict[str, tuple[int, str]]:
    """Return by sink how many deliveries were tried in vain and are older than `since`, and the last error of one."""
    statement = (
        select(deliveries.c.via, func.count(), func.max(deliveries.c.last_error))
        .where(
            deliveries.c.state == DeliveryState.WAITING.value,
            deliveries.c.created_at < since,
            deliveries.c.kind != DeliveryKind.ANSWER.value,
            deliveries.c.last_error != "",
        )
        .group_by(deliveries.c.via)
    )
    return {via: (int(n), error) for via, n, error in connection.execute(statement)}


def give_up(connection: Connection, lost: Delivery, error: str, now: datetime) -> DeliveryState | None:
    """End a waiting delivery that nobody has leased; return how (an answer is dropped), None if it isn't so."""
    state = DeliveryState.DROPPED if lost.kind is DeliveryKind.ANSWER else DeliveryState.DEAD
    ended = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id == lost.id,
            deliveries.c.state == DeliveryState.WAITING.value,
            deliveries.c.owner.is_(None),  # another daemon, which knows the channel, may have begun to send it
        )
        .values(state=state.value, settled_at=now, last_error=error)
    )
    return state if ended.rowcount else None


def bring_forward(connection: Connection, now: datetime, longest: timedelta) -> int:
    """Make due what would wait longer than `longest` for another try; return how many deliveries that were."""
    waits = (
        deliveries.c.state == DeliveryState.WAITING.value,
        deliveries.c.owner.is_(None),
        deliveries.c.next_attempt_at > now + longest,
    )
    return connection.execute(update(deliveries).where(*waits).values(next_attempt_at=now)).rowcount
