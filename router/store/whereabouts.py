"""How far a message has come, for the one who wrote it: a unit of work for `Store.read`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, select

from router.records import DeliveryKind, DeliveryState, State
from router.store.tables import decisions, deliveries, messages
from router.whereabouts import Whereabouts

if TYPE_CHECKING:
    from datetime import tzinfo

    from sqlalchemy import Connection

_STUCK = (DeliveryState.DEAD, DeliveryState.UNCLEAR, DeliveryState.DROPPED)


def of(connection: Connection, message_id: str, channel: str, zone: tzinfo) -> Whereabouts | None:
    """Return how far a message of this channel has come; None if there is none of that id.

    Its department has it when the first of its places does: the others are copies.
    """
    found = connection.execute(
        select(messages.c.received_at, messages.c.state, decisions.c.id, decisions.c.decided_at)
        .outerjoin(decisions, decisions.c.id == messages.c.decision_id)
        .where(messages.c.id == message_id, messages.c.channel == channel)
    ).first()
    if found is None:
        return None
    sent = connection.execute(
        select(deliveries.c.state, deliveries.c.settled_at).where(
            and_(deliveries.c.message_id == message_id, deliveries.c.decision_id == found.id),
            deliveries.c.kind == DeliveryKind.ROUTE,
        )
    ).all()
    arrived = [each.settled_at for each in sent if each.state == DeliveryState.DELIVERED and each.settled_at]
    routed = found.state == State.ROUTED
    stuck = not arrived and bool(sent) and all(each.state in _STUCK for each in sent)
    return Whereabouts(
        reference=message_id,
        received_at=found.received_at.astimezone(zone),
        decided_at=found.decided_at.astimezone(zone) if routed and found.decided_at else None,
        delivered_at=min(arrived).astimezone(zone) if routed and arrived else None,
        waits_for_person=found.state == State.HELD or (routed and stuck),
    )
