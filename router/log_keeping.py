"""Once a day: the access log is made as short as the configuration says, and its end told to the daemon's own log."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from router.store import access, marks

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from router.store.engine import Store

KEEPING_S = 600.0
_DAILY = timedelta(days=1)


class LogKeeping:
    """Does so for all daemons of a store: who comes first does it. `keep` returns None where there is no console."""

    def __init__(self, store: Store, keep: Callable[[], timedelta | None], log: FilteringBoundLogger) -> None:
        self._store = store
        self._keep = keep
        self._log = log

    async def look(self) -> None:
        """Do it unless it was done within a day."""
        now, keep = self._store.clock.now(), self._keep()
        if keep is None or not await self._store.write(lambda c: marks.claim(c, "access-log", now, _DAILY)):
            return
        gone = 0
        while dropped := await self._store.write(lambda c: access.shorten(c, now - keep, now)):
            gone += dropped
        if gone:
            self._log.info("access_log_shortened", rows=gone)
        if end := await self._store.read(access.last):
            self._log.info("access_log_end", row=end[0], digest=end[1])
