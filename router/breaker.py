"""A circuit breaker: a host that is down costs one attempt per backoff, not one per message."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

_TRIPS_AFTER = 5  # failures in a row, of whatever deliveries
_FIRST = timedelta(seconds=2)
_LONGEST = timedelta(minutes=1)
_LONGEST_ASKED = timedelta(minutes=15)  # whatever a host asks for, its return is noticed


class Breaker:
    """Closed: everything goes. Open: nothing goes until a time. Half open: one attempt goes, and decides."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._failures = 0
        self._open_until: datetime | None = None
        self._wait = timedelta(0)  # how long that was when it opened

    @property
    def in_doubt(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    def allows(self, now: datetime, at_most: int) -> int:
        """Return how many attempts may be under way now."""
        if self._open_until is None:
            return at_most
        return 0 if self._is_open(now) else 1

    def _is_open(self, now: datetime) -> bool:
        """Return whether it is too early for an attempt; after a clock was set back it would seem so for long."""
        return self._open_until is not None and timedelta(0) < self._open_until - now <= self._wait

    def succeeded(self) -> None:
        """Close it."""
        self._failures = 0
        self._open_until = None

    def failed(self, now: datetime, asked_s: float | None = None) -> None:
        """Count a failure; open, or stay open for longer, after several in a row.

        A host that named a time (`asked_s` in seconds: Retry-After) is left alone at once, and for so long.
        """
        if self._is_open(now):
            return  # it was under way when the breaker opened: that says nothing new
        self._failures += 1
        if self._failures >= _TRIPS_AFTER:
            doublings = min(self._failures - _TRIPS_AFTER, 10)
            self._open(now, min(_FIRST * (1 << doublings), _LONGEST) * self._rng.uniform(0.8, 1.2))
        if asked_s is not None and asked_s > 0:
            asked = min(timedelta(seconds=min(asked_s, 86_400)), _LONGEST_ASKED)
            self._open(now, max(asked, self._wait if self._is_open(now) else asked))

    def _open(self, now: datetime, wait: timedelta) -> None:
        self._open_until, self._wait = now + wait, wait
