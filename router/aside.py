"""Work on the bytes of a large message in a thread: what takes a moment there would keep everybody waiting here."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

T = TypeVar("T")
Octets = TypeVar("Octets", bound="Sized")

LARGE = 1_000_000  # octets: a hash or a copy of as many takes a millisecond or two


async def aside(work: Callable[[Octets], T], data: Octets) -> T:
    """Return what `work` makes of `data`: at once if that is small, by a thread if it isn't."""
    return await asyncio.to_thread(work, data) if len(data) > LARGE else work(data)
