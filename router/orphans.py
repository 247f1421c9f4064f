"""Leases that a living daemon owns but no stage works on: freed, so that no failure on the way strands a message.

A stage gives back what it leased; but the giving back can fail, too (the store is full, the connection is gone). So the
daemon compares, every few seconds, what it owns with what its stages hold. What was an orphan twice in a row is one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from router.store import leases

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set

    from structlog.typing import FilteringBoundLogger

    from router.store.engine import Store
    from router.store.leases import Lease


class DeliveryHolder(Protocol):
    """A dispatcher: the ids of deliveries it has leased and not yet settled."""

    holding: set[int]


class Orphans:
    """Finds and frees orphaned leases of one daemon."""

    def __init__(
        self,
        store: Store,
        daemon_id: str,
        messages_held: Callable[[], set[str]],
        dispatchers: Sequence[DeliveryHolder],
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._daemon_id = daemon_id
        self._messages_held = messages_held
        self._dispatchers = dispatchers
        self._log = log
        self._suspects: set[Lease] = set()

    async def sweep(self) -> int:
        """Free what was nobody's in this sweep and the one before; return how many leases that were."""
        owned = await self._store.read(partial(leases.owned, owner=self._daemon_id))
        deliveries_held = {delivery for dispatcher in self._dispatchers for delivery in dispatcher.holding}
        held: dict[str, Set[object]] = {"message": self._messages_held(), "delivery": deliveries_held}
        nobodys = {lease for lease in owned if lease[1] not in held[lease[0]]}
        lost, self._suspects = nobodys & self._suspects, nobodys - self._suspects
        if not lost:
            return 0
        freed = await self._store.write(lambda c: leases.free(c, self._daemon_id, lost))
        self._log.warning("orphaned_leases_freed", leases=freed)
        return freed
