"""Follows what is decided, so that the console finds it: in one daemon of all, in small batches, beside the path."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from router.store import inbox_index
from router.store.inbox_index import AGAIN, FIRST

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.ownership import Ownership
    from router.store.engine import Store

LOOK_S = 1.0  # between two looks
LEASE = ":inbox"  # no channel can have this name
_BATCH = 25  # messages in one commit: so long may others wait
_PART = 0.1  # of the time at most is spent on it,
_AT_ONCE_S = 0.1  # and about so long at once


class Indexing:
    """`look` indexes what isn't yet, a short while long; call it again and again. Without `wanted` nothing is done."""

    def __init__(self, store: Store, lease: Ownership, wanted: Callable[[], bool], part: float = _PART) -> None:
        self._store = store
        self._lease = lease
        self._wanted = wanted
        self._part = part
        self._rest_until = 0.0
        self._began = False

    async def look(self) -> int:
        """Index what was decided or moved; return how many messages."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if not self._wanted() or began < self._rest_until:
            return 0
        if not (await self._lease.confirm() or await self._lease.take()):
            return 0
        done = await self._moved()
        while step := await self._decided(FIRST):  # once at least, however slow everything is
            done += step
            if loop.time() - began >= _AT_ONCE_S:
                break
        if self._store.dialect == "postgresql":
            done += await self._decided(AGAIN)
        if done:
            self._rest_until = loop.time() + (loop.time() - began) * (1 / self._part - 1)
        return done

    async def _decided(self, name: str) -> int:
        """Follow the next decisions; return how many messages they were about, 0 if there were none."""
        now = self._store.clock.now()
        before = await self._store.read(partial(inbox_index.value, name=name))
        ids, last = await self._store.read(partial(inbox_index.decided, name=name, limit=_BATCH, now=now))
        if last == before:
            return 0
        await self._lease.write(partial(inbox_index.put, ids=ids, followed=(name, last)))
        return max(1, len(ids))

    async def _moved(self) -> int:
        now = self._store.clock.now()
        found = await self._store.read(partial(inbox_index.moved, limit=_BATCH, now=now))
        if not self._began:
            found += await self._store.read(partial(inbox_index.filed_before, now=now))
            self._began = True
        for start in range(0, len(found), _BATCH):
            await self._lease.write(partial(inbox_index.put, ids=found[start : start + _BATCH]))
        return len(found)
