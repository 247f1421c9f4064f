"""Look for words in the texts of many messages, and keep nobody waiting.

A thread isn't free: while it computes, the event loop waits for the interpreter's lock, up to 5 ms after each of its
own calls of the system. So only what may take long is done in one.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.records import Content

T = TypeVar("T")
R = TypeVar("R")

LONG = 6_000  # characters: to look for words in as many takes a millisecond or two, in hostile ones ten
_TURN_S = 0.001


async def one_by_one(work: Callable[[T], R], items: Iterable[T], content_of: Callable[[T], Content]) -> list[R]:
    """Return what `work` makes of the text of each item: of a long one in a thread, of others here, in short turns."""
    done: list[R] = []
    began = perf_counter()
    for item in items:
        done.append(await asyncio.to_thread(work, item) if _length(content_of(item)) > LONG else work(item))
        if perf_counter() - began > _TURN_S:
            await asyncio.sleep(0)
            began = perf_counter()
    return done


def _length(content: Content) -> int:
    return len(content.subject) + len(content.text) + len(content.html_text)
