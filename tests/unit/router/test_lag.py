"""How late the event loop is."""

from __future__ import annotations

import asyncio
import time

from router.lag import Longest, watch_lag


def test_the_largest_of_the_last_minute_or_two_counts():
    """A long wait is told for at least a minute, and forgotten after two."""
    longest = Longest()
    assert longest.note(0.5, 100) == 0.5
    assert longest.note(0.1, 159) == 0.5
    assert longest.note(0.2, 161) == 0.5
    assert longest.note(0.1, 225) == 0.2
    assert longest.note(0.1, 400) == 0.1


async def test_a_blocked_loop_is_told():
    """Work that doesn't let go of the event loop shows, to within the pause between two looks."""
    told = asyncio.Queue()
    task = asyncio.create_task(watch_lag(told.put_nowait))
    await told.get()
    began = time.monotonic()
    while time.monotonic() - began < 0.3:  # nobody else gets a turn
        pass
    while await told.get() < 0.2:
        pass
    task.cancel()
    await asyncio.wait([task])
