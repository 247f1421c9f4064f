"""How much one session may ask for: generous, by session and not by address, for a school is one address."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from router.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_WINDOW_S = 60.0


class TooMany(Refused):
    """Too much was asked for in one session."""

    status = 429


class Pace:
    """Counts requests by session, afresh each minute."""

    def __init__(self, most: int = 900, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._since = clock()
        self._taken: Counter[int] = Counter()

    def take(self, session_id: int) -> None:
        """Count one request; raise `TooMany` beyond what a minute may hold."""
        now = self._clock()
        if now - self._since >= _WINDOW_S:
            self._since = now
            self._taken.clear()
        self._taken[session_id] += 1
        if self._taken[session_id] > self._most:
            raise TooMany("you have asked for very many pages within a minute; wait a minute and go on")


class Busy(Refused):
    """As many as there may be at once are being made."""

    status = 503


class Few:
    """Lets no more than a few of something be made at once, and one for the same person."""

    def __init__(self, most: int, otherwise: str) -> None:
        self._most = most
        self._otherwise = otherwise
        self._made_for: set[int] = set()

    @contextmanager
    def one(self, account_id: int) -> Iterator[None]:
        """Count one while the block runs; raise `Busy`, with its sentence, if there are too many."""
        if len(self._made_for) >= self._most or account_id in self._made_for:
            raise Busy(self._otherwise)
        self._made_for.add(account_id)
        try:
            yield
        finally:
            self._made_for.remove(account_id)
