"""Follows what is decided, so that the console finds it: in one daemon of all, in small batches, beside the path."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from router.store import inbox_index
from router.store.inbox_index import AGAIN, EARLIER, FIRST

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from router.ownership import Ownership
    from router.store.engine import Store

LOOK_S = 1.0  # between two looks
LEASE = ":inbox"  # no channel can have this name
_BATCH = 25  # messages in one commit: so long may others wait
_PART = 0.1  # of the time at most is spent on it,
_AT_ONCE_S = 0.1  # and about so long at once


class Indexing:
    """`look` indexes what isn't yet, a short while long; call it again and again. Without `wanted` nothing is done.

    What comes in goes first; then what a store holds from before anybody indexed it, the newest of it first. `part` is
    the share of the time it may take, `batch` how many messages one commit.
    """

    def __init__(
        self, store: Store, lease: Ownership, wanted: Callable[[], bool], part: float = _PART, batch: int = _BATCH
    ) -> None:
        self._store = store
        self._lease = lease
        self._wanted = wanted
        self._part = part
        self._batch = batch
        self._rest_until = 0.0
        self._began = False
        self._lately = False  # what was undone while nobody looked is known
        self._filed_until: datetime | None = None  # what was filed later is known

    async def look(self) -> int:
        """Index what was decided or moved; return how many messages."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if not self._wanted() or began < self._rest_until:
            return 0
        if not (await self._lease.confirm() or await self._lease.take()):
            return 0
        if not self._began:
            await self._begin()
        done = await self._moved()
        if self._store.dialect == "postgresql":
            done += await self._decided(AGAIN)
        for follow in (partial(self._decided, FIRST), self._filed_before, self._earlier):
            while step := await follow():  # once at least, however slow everything is
                done += step
                if loop.time() - began >= _AT_ONCE_S:
                    break
        if done:
            self._rest_until = loop.time() + (loop.time() - began) * (1 / self._part - 1)
        return done

    async def _begin(self) -> None:
        now = self._store.clock.now()
        await self._lease.write(partial(inbox_index.begin, now=now))
        self._filed_until = inbox_index.long_ago(now)
        self._began = True

    async def _decided(self, name: str) -> int:
        """Follow the next decisions; return how many messages they were about, 0 if there were none."""
        now = self._store.clock.now()
        before = await self._store.read(partial(inbox_index.value, name=name))
        ids, last = await self._store.read(partial(inbox_index.decided, name=name, limit=self._batch, now=now))
        if last == before:
            return 0
        await self._lease.write(partial(inbox_index.put, ids=ids, followed=(name, last)))
        return max(1, len(ids))

    async def _moved(self) -> int:
        now = self._store.clock.now()
        found = await self._store.read(partial(inbox_index.moved, limit=self._batch, now=now, lately=self._lately))
        self._lately = len(found) < self._batch
        for start in range(0, len(found), self._batch):
            await self._lease.write(partial(inbox_index.put, ids=found[start : start + self._batch]))
        return len(found)

    async def _filed_before(self) -> int:
        if self._filed_until is None:
            return 0
        look = partial(inbox_index.filed_before, until=self._filed_until, limit=self._batch)
        ids, self._filed_until = await self._store.read(look)
        if ids:
            await self._lease.write(partial(inbox_index.put, ids=ids, is_news=False))
        return len(ids)

    async def _earlier(self) -> int:
        """Index the next messages of before; return how many these were, or 1 if all of these are known."""
        if not await self._store.read(partial(inbox_index.value, name=EARLIER)):
            return 0
        ids, last = await self._store.read(partial(inbox_index.earlier, limit=self._batch))
        await self._lease.write(partial(inbox_index.put, ids=ids, followed=(EARLIER, last), is_news=False))
        return max(1, len(ids))
