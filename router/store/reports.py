"""What a server's report, or a provider's news, changes: a delivery that had left, and came back. Units of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, or_, select, update

from router.records import DeliveryKind, DeliveryState
from router.store.deliveries import moved_on
from router.store.tables import deliveries

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from router.records import Delivery

# Delivered, or under way: a server's report may be here before the dispatcher has noted that server's 250.
_SENT = and_(
    or_(
        deliveries.c.state == DeliveryState.DELIVERED.value,
        and_(deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.owner.is_not(None)),
    ),
    deliveries.c.kind != DeliveryKind.ANSWER.value,  # it leaves without a reverse path: nobody reports on it
)


def can_come_back(connection: Connection, delivery_id: int) -> bool:
    """Return whether a delivery has left and nothing else is known of it."""
    found = select(deliveries.c.id).where(deliveries.c.id == delivery_id, _SENT)
    return connection.execute(found).first() is not None


def bury(connection: Connection, delivery_id: int, reason: str, now: datetime) -> bool:
    """Make a delivery that came back a dead letter; False if a report can't change it (any more)."""
    return _came_back(connection, delivery_id, state=DeliveryState.DEAD.value, settled_at=now, last_error=reason)


def send_again(connection: Connection, delivery_id: int, at: datetime, reason: str) -> bool:
    """Let a delivery that came back wait for another attempt; False if a report can't change it (any more)."""
    return _came_back(
        connection,
        delivery_id,
        state=DeliveryState.WAITING.value,
        settled_at=None,
        next_attempt_at=at,
        last_error=reason,
        remote_id="",
    )


def _came_back(connection: Connection, delivery_id: int, **values: Any) -> bool:
    """Take the lease away, too: an attempt whose report is here already has nothing to add."""
    done = connection.execute(
        update(deliveries).where(deliveries.c.id == delivery_id, _SENT).values(owner=None, **values)
    )
    return done.rowcount == 1


def is_out(connection: Connection, delivery_id: int, fence: int, remote_id: str) -> bool:
    """Return whether an attempt is what last became of a delivery: confirmed by this id, or still under way.

    Locks the delivery, so that this is so until the unit of work ends.
    """
    confirmed = and_(
        deliveries.c.state == DeliveryState.DELIVERED.value,
        or_(deliveries.c.remote_id == remote_id, and_(deliveries.c.remote_id == "", deliveries.c.fence == fence)),
    )
    under_way = and_(deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.fence == fence)
    found = select(deliveries.c.id).where(deliveries.c.id == delivery_id, _SENT, or_(confirmed, under_way))
    return connection.execute(found.with_for_update()).first() is not None


def end_doubt(connection: Connection, delivery_id: int, fence: int, remote_id: str, now: datetime) -> bool:
    """End a delivery as delivered if the answer to this attempt, its last, was lost; False if nobody doubts it."""
    waits = and_(deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.owner.is_(None))
    doubted = or_(deliveries.c.state == DeliveryState.UNCLEAR.value, and_(waits, deliveries.c.unclear > 0))
    done = connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.fence == fence, doubted)
        .values(state=DeliveryState.DELIVERED.value, settled_at=now, last_error="", remote_id=remote_id[:255])
    )
    return done.rowcount == 1


def outdate(connection: Connection, delivery_id: int) -> None:
    """Let nothing that is said of a delivery's attempts so far count any more."""
    connection.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(fence=deliveries.c.fence + 1))


def is_wanted(connection: Connection, delivery: Delivery) -> bool:
    """Return whether a delivery has any use yet: an alert has, a message not after it was passed on to others."""
    return delivery.kind is DeliveryKind.ALERT or not moved_on(connection, delivery)
