"""What waits at each channel, and which daemon reads it: of the whole district, for those who see all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select, text

from router.records import DeliveryState
from router.store import leases, messages
from router.store.tables import deliveries

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Deliveries of one channel that haven't arrived: those to come, since when, and those that ended without."""

    waiting: int = 0
    oldest_at: datetime | None = None
    dead: int = 0
    unclear: int = 0


def left(connection: Connection) -> dict[str, Left]:
    """Return by channel what hasn't arrived, where there is any; as the indexes have it, looking at nothing else."""
    via, state = deliveries.c.via, deliveries.c.state
    waiting = select(via, func.count(), func.min(deliveries.c.created_at)).where(text("state = 'waiting'"))
    found = {name: (int(n), oldest) for name, n, oldest in connection.execute(waiting.group_by(via))}
    ended = select(via, state, func.count()).where(text("state IN ('dead', 'unclear')")).group_by(via, state)
    ends = {(name, DeliveryState(how)): int(n) for name, how, n in connection.execute(ended)}
    return {
        name: Left(
            waiting=found.get(name, (0, None))[0],
            oldest_at=found.get(name, (0, None))[1],
            dead=ends.get((name, DeliveryState.DEAD), 0),
            unclear=ends.get((name, DeliveryState.UNCLEAR), 0),
        )
        for name in found.keys() | {name for name, _ in ends}
    }


def readers(connection: Connection, channels: Collection[str], now: datetime | None) -> dict[str, str]:
    """Return by channel the daemon that reads its mailbox, "" for none. Without `now`: the database's time."""
    return {name: leases.reader(connection, name, now) for name in channels}


def newest(connection: Connection, channels: Collection[str]) -> dict[str, datetime | None]:
    """Return by channel when the last message came in by it."""
    return {name: messages.newest(connection, name) for name in channels}
