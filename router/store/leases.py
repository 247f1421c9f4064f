"""Leases as such: what a daemon owns, taking it back from a stage that lost sight of it, and who reads a mailbox.

A polled mailbox belongs to one daemon at a time. Its lease is a row beside the channel's cursors, so that a cursor is
moved only by whoever holds it; it lasts as long as the daemon's heartbeat, by the database's clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.records import DeliveryState, State
from router.store.tables import cursors, daemons, deliveries, messages

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

Lease = tuple[str, Any, int]
"""The kind of row (`message` or `delivery`), its id, and the number of the lease."""

_TABLES = (("message", messages, State.UNDECIDED.value), ("delivery", deliveries, DeliveryState.WAITING.value))


def owned(connection: Connection, owner: str) -> set[Lease]:
    """Return the leases of a daemon."""
    return {
        (kind, row.id, row.fence)
        for kind, table, state in _TABLES
        for row in connection.execute(
            select(table.c.id, table.c.fence).where(table.c.state == state, table.c.owner == owner)
        )
    }


def free(connection: Connection, owner: str, lost: Iterable[Lease]) -> int:
    """Free leases that nobody works on any more, and count them as lost; return how many."""
    tables = {kind: table for kind, table, _ in _TABLES}
    freed = 0
    for kind, row_id, fence in lost:
        table = tables[kind]
        done = connection.execute(
            update(table)
            .where(table.c.id == row_id, table.c.owner == owner, table.c.fence == fence)
            .values(owner=None, lost_leases=table.c.lost_leases + 1)
        )
        freed += done.rowcount
    return freed


# --- who reads a mailbox ----------------------------------------------------------------------------------------------

_READER = ":reader"  # the key of the lease among a channel's cursors


def reader(connection: Connection, channel: str, now: datetime | None) -> str:
    """Return the daemon that reads a channel's mailbox, "" if nobody alive does. Without `now`: the database's time."""
    held = connection.execute(select(cursors.c.value).where(*_is_lease(channel))).scalar()
    return held["owner"] if held and _lives(connection, held["owner"], now) else ""


def take_mailbox(connection: Connection, channel: str, owner: str, now: datetime | None) -> int | None:
    """Let a daemon read a channel's mailbox; return the number of the lease, None if it is another's.

    A daemon that takes what it has already gets a new number: what it began under the old one is over.
    """
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    free_ = {"owner": "", "fence": 0}
    first = dialect.insert(cursors).values(channel=channel, key=_READER, value=free_).on_conflict_do_nothing()
    connection.execute(first)
    statement = select(cursors.c.value).where(*_is_lease(channel)).with_for_update()
    held = connection.execute(statement).scalar_one()
    others = held["owner"] != owner and _lives(connection, held["owner"], now)
    if others or not _lives(connection, owner, now):
        return None
    fence: int = held["fence"] + 1
    taken = {"owner": owner, "fence": fence}
    connection.execute(update(cursors).where(*_is_lease(channel)).values(value=taken))
    return fence


def has_mailbox(connection: Connection, channel: str, owner: str, fence: int, *, keep: bool = False) -> bool:
    """Return whether this lease is the newest; with `keep` nobody can take the next before the transaction ends."""
    statement = select(cursors.c.value).where(*_is_lease(channel))
    held = connection.execute(statement.with_for_update(read=True) if keep else statement).scalar()
    return held is not None and (held["owner"], held["fence"]) == (owner, fence)


def leave_mailbox(connection: Connection, channel: str, owner: str, fence: int) -> None:
    """Give a mailbox back, so that another daemon needn't wait."""
    if has_mailbox(connection, channel, owner, fence):
        nobodys = {"owner": "", "fence": fence}
        held = cursors.c.value["fence"].as_integer() == fence
        connection.execute(update(cursors).where(*_is_lease(channel), held).values(value=nobodys))


def _is_lease(channel: str) -> tuple[Any, ...]:
    return cursors.c.channel == channel, cursors.c.key == _READER


def _lives(connection: Connection, daemon_id: str, now: datetime | None) -> bool:
    until = func.now() if now is None else now
    statement = select(daemons.c.id).where(daemons.c.id == daemon_id, daemons.c.expires_at > until)
    return connection.execute(statement).first() is not None
