"""How many references may be looked for that there aren't: so few that guessing finds none."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from router.errors import Refused

if TYPE_CHECKING:
    from router.interfaces import Clock

_WINDOW = timedelta(minutes=1)


class TooMany(Refused):
    """Too many references were looked for that there aren't."""

    status = 429


class Misses:
    """Counts misses afresh each minute, of all senders together: a school is one address, and so is a proxy.

    A reference has 25 random bits and the sixteenth of a second that it was made in: at 60 tries a minute, who knows
    that second finds it after half a million minutes. Links of receipts aren't counted, so nobody is kept out of them.
    """

    def __init__(self, clock: Clock, most: int = 60) -> None:
        self._clock = clock
        self._most = most
        self._since = clock.now()
        self._count = 0

    def look(self) -> None:
        """Raise `TooMany` if nothing more may be looked for in this minute."""
        if not timedelta() <= self._clock.now() - self._since < _WINDOW:
            self._since, self._count = self._clock.now(), 0
        if self._count >= self._most:
            raise TooMany("Too many references were looked for that there aren't. Please try again in a minute.")

    def add(self) -> None:
        """Count a miss."""
        self._count += 1
