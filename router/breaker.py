"""A circuit breaker: a host that is down costs one attempt per backoff, not one per message."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_TRIPS_AFTER = 5  # failures in a row, of whatever deliveries
_FIRST = timedelta(seconds=2)
_LONGEST = timedelta(minutes=1)


class Breaker:
    """Closed: everything goes. Open: nothing goes until a time. Half open: one attempt goes, and decides."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._failures = 0
        self._open_until: datetime | None = None

    def allows(self, now: datetime, at_most: int) -> int:
        """Return how many attempts may be under way now."""
        if self._open_until is None:
            return at_most
        return 0 if self._is_open(now) else 1

    def _is_open(self, now: datetime) -> bool:
        """Return whether it is too early for an attempt; after a clock was set back it would seem so for long."""
        return self._open_until is not None and timedelta(0) < self._open_until - now < 2 * _LONGEST

    def succeeded(self) -> None:
        """Close it."""
        self._failures = 0
        self._open_until = None

    def failed(self, now: datetime) -> None:
        """Count a failure; open, or stay open for longer, after several in a row."""
        if self._is_open(now):
            return  # it was under way when the breaker opened: that says nothing new
        self._failures += 1
        if self._failures >= _TRIPS_AFTER:
            doublings = min(self._failures - _TRIPS_AFTER, 10)
            wait = min(_FIRST * (1 << doublings), _LONGEST)
            self._open_until = now + wait * self._rng.uniform(0.8, 1.2)
