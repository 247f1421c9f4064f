"""What a mail server's report changes: a delivery that had left, and came back. Units of work."""

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


def is_wanted(connection: Connection, delivery: Delivery) -> bool:
    """Return whether a delivery has any use yet: an alert has, a message not after it was passed on to others."""
    return delivery.kind is DeliveryKind.ALERT or not moved_on(connection, delivery)
