"""Who is alive. A lease belongs to a daemon; when the daemon's heartbeat stops, its leases are free again.

Wherever `now` is None it is the database's own time: the clocks of several machines needn't agree.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, insert, select, update

from router.records import DeliveryState, State
from router.store.tables import daemons, deliveries, messages

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

LIFETIME = timedelta(seconds=20)
BEAT_S = 5.0


def register(connection: Connection, daemon_id: str, now: datetime | None, *, alone: bool) -> int:
    """Announce a daemon and free what dead ones held; return how many leases were lost.

    What this daemon held itself is free, too: it registers again when it was taken for dead. `alone` says that no
    other daemon can be running (it owns the SQLite file): all earlier ones are dead.
    """
    now = _time(connection, now)
    connection.execute(delete(daemons) if alone else delete(daemons).where(daemons.c.id == daemon_id))
    lost = reap(connection, now)
    connection.execute(insert(daemons), {"id": daemon_id, "started_at": now, "expires_at": now + LIFETIME})
    return lost


def beat(connection: Connection, daemon_id: str, now: datetime | None, *, alone: bool = False) -> bool:
    """Prolong a daemon's life; False if it was already taken for dead (it must not use its leases any more).

    Where it is `alone` nobody else can have taken its leases, however long it hasn't beaten.
    """
    now = _time(connection, now)
    alive = update(daemons).where(daemons.c.id == daemon_id)
    alive = alive if alone else alive.where(daemons.c.expires_at > now)
    return connection.execute(alive.values(expires_at=now + LIFETIME)).rowcount == 1


def reap(connection: Connection, now: datetime | None) -> int:
    """Free the leases of daemons that are dead or unknown; return how many."""
    connection.execute(delete(daemons).where(daemons.c.expires_at <= _time(connection, now)))
    lost = 0
    for table, state in ((messages, State.UNDECIDED.value), (deliveries, DeliveryState.WAITING.value)):
        freed = connection.execute(
            update(table)
            .where(table.c.state == state, table.c.owner.is_not(None), table.c.owner.not_in(select(daemons.c.id)))
            .values(owner=None, lost_leases=table.c.lost_leases + 1)
        )
        lost += freed.rowcount
    return lost


def leave(connection: Connection, daemon_id: str) -> None:
    """Say good-bye."""
    connection.execute(delete(daemons).where(daemons.c.id == daemon_id))


def _time(connection: Connection, now: datetime | None) -> datetime:
    if now is not None:
        return now
    present: datetime = connection.execute(select(func.now())).scalar_one()
    return present


def living(connection: Connection, now: datetime | None) -> int:
    """Return how many daemons are alive."""
    count = select(func.count()).select_from(daemons).where(daemons.c.expires_at > _time(connection, now))
    return connection.execute(count).scalar_one()
