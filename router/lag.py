"""How late the event loop is: the longest time that something else kept everybody waiting."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_EVERY_S = 0.05  # how much of a pause may go unnoticed
_WINDOW_S = 60.0


class Longest:
    """The largest value of the last minute or two, in two windows, so that an old one is forgotten."""

    def __init__(self) -> None:
        self._former = self._present = 0.0
        self._began_s = 0.0

    def note(self, value: float, now_s: float) -> float:
        """Take a value in at a time (seconds of any clock) and return the largest that isn't old."""
        if now_s - self._began_s >= _WINDOW_S:
            self._former = self._present if now_s - self._began_s < 2 * _WINDOW_S else 0.0
            self._present, self._began_s = 0.0, now_s
        self._present = max(self._present, value)
        return max(self._former, self._present)


async def watch_lag(tell: Callable[[float], None]) -> None:
    """Sleep a little again and again, and tell the longest delay of the last minute or two, in seconds."""
    loop, longest = asyncio.get_running_loop(), Longest()
    timer: asyncio.TimerHandle | None = None
    told = -1.0

    def look(due: float) -> None:
        nonlocal told
        now = loop.time()
        found = longest.note(max(now - due, 0.0), now)
        if found != told:
            told = found
            tell(found)
        again()

    def again() -> None:  # by a callback: a task's sleep costs half as much again, twenty times a second
        nonlocal timer
        due = loop.time() + _EVERY_S
        timer = loop.call_at(due, look, due)

    again()
    try:
        await loop.create_future()  # for ever
    finally:
        if timer is not None:
            timer.cancel()
