"""Who is asked for again and again, by browsers that wait for news: looked up all at once, once in a while."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from router.store import sessions

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from sqlalchemy import Row

    from router.store.engine import Store

_FRESH_S = 2.0  # so long it may take until a session that has ended hears nothing more
_WATCHES_S = 15.0  # who hasn't asked for so long doesn't watch any more


class Watching:
    """The sessions of those who watch. What two hundred browsers ask for costs one look at the store every 2 s."""

    def __init__(self, store: Store, idle: timedelta, clock: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._idle = idle
        self._clock = clock
        self._asked: dict[str, float] = {}  # when each of those who watch asked last
        self._looked: frozenset[str] = frozenset()  # for whom we looked last,
        self._found: dict[str, Row[Any]] = {}  # whom we found
        self._found_at = 0.0  # and when
        self._looking: asyncio.Task[None] | None = None

    async def find(self, digest: str) -> Row[Any] | None:
        """Return a session that goes on, as `router.store.sessions.find` does; it may have ended 2 s ago."""
        if digest not in self._asked:
            return await self._begin(digest)
        self._asked[digest] = self._clock()
        while digest in self._asked and not self._is_known(digest):
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look(), name="watching")
            await asyncio.shield(self._looking)  # others wait for it, too; it may have begun before we asked
        return self._found.get(digest)

    def _is_known(self, digest: str) -> bool:
        return digest in self._looked and self._clock() - self._found_at < _FRESH_S

    async def _begin(self, digest: str) -> Row[Any] | None:
        """Look for one who hasn't watched so far; who isn't there is forgotten again."""
        now = self._store.clock.now()
        row = await self._store.read(lambda c: sessions.find(c, digest, now, self._idle))
        if row is not None:
            self._asked[digest] = self._clock()
        return row

    async def _look(self) -> None:
        began, now = self._clock(), self._store.clock.now()
        digests = frozenset(digest for digest, at in self._asked.items() if began - at < _WATCHES_S)
        self._found = await self._store.read(lambda c: sessions.find_all(c, digests, now, self._idle))
        self._looked, self._found_at = digests, self._clock()
        self._asked = {digest: at for digest, at in self._asked.items() if self._goes_on(digest, at, began)}

    def _goes_on(self, digest: str, asked_at: float, began: float) -> bool:
        return digest in self._found if digest in self._looked else asked_at >= began
