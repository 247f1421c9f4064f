"""Leases as such: what a daemon owns, and taking it back from a stage that lost sight of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from router.records import DeliveryState, State
from router.store.tables import deliveries, messages

if TYPE_CHECKING:
    from collections.abc import Iterable

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
