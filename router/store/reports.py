"""What a server's report, or a provider's news, changes: a delivery that had left, and came back. Units of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, bindparam, or_, select, text, update

from router.records import DeliveryKind, DeliveryState
from router.store.deliveries import moved_on, to_delivery
from router.store.tables import BY_NO_MAIL, deliveries

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


def confirmed_as(connection: Connection, via: str, remote_id: str) -> Delivery | None:
    """Return the delivery by this channel that was confirmed under a provider's name for it, None if there is none.

    Of those alone that don't go by mail: the others' names are in no index.
    """
    row = connection.execute(_CONFIRMED, {"by": via, "name": remote_id[:255]}).first() if remote_id else None
    return None if row is None else to_delivery(row)


_CONFIRMED = (
    select(deliveries)
    .where(text(BY_NO_MAIL), deliveries.c.remote_id == bindparam("name"), deliveries.c.via == bindparam("by"))
    .order_by(deliveries.c.id.desc())
    .limit(1)
)


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
