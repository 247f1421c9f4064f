"""Notices that the machine's clock was set, so that nothing waits for a time that is far away only by the clock."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from router.retry import RetryPolicy
from router.store import waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from router.store.engine import Store

LOOK_S = 1.0
_ALSO_LOOK = 60  # looks, after which the store is looked into whatever the clock does
_SET = timedelta(seconds=30)  # what a clock that is only corrected doesn't move by between two looks
_LONGEST = 2 * RetryPolicy().longest_asked  # no wait is longer: the clock was ahead when it began


class ClockWatch:
    """Compares the clock with time that only passes (`seconds`), and makes due what a jump has put off."""

    def __init__(self, store: Store, log: FilteringBoundLogger, seconds: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._log = log
        self._seconds = seconds
        self._offset = self._present()
        self._looks = 0

    async def look(self) -> int:
        """Return how many deliveries are due now because the clock was set back, here or before the start."""
        present = self._present()
        moved = present - self._offset
        was_set, seldom = abs(moved) > _SET, self._looks % _ALSO_LOOK == 0
        self._looks += 1
        if not was_set and not seldom:
            self._offset = present  # a clock that drifts isn't set
            return 0
        longest = timedelta(0) if was_set and moved < timedelta(0) else _LONGEST
        bring = partial(waiting.bring_forward, now=self._store.clock.now(), longest=longest)
        due = await self._store.write(bring)
        self._offset = present  # not before: a busy store is asked again
        if was_set or due:
            self._log.warning("clock_set", by_s=round(moved.total_seconds()), deliveries_due=due)
        return due

    def _present(self) -> timedelta:
        return timedelta(seconds=self._store.clock.now().timestamp() - self._seconds())
