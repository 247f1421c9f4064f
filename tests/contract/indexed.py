"""A store with what indexes it for the console, for tests of lists and searches."""

from __future__ import annotations

from random import Random

from sqlalchemy import insert

from router.indexing import LEASE, Indexing
from router.ownership import Ownership
from router.store import daemons, inbox, inbox_news
from router.store.inbox import Filters
from router.store.scope import EVERYTHING
from router.store.tables import messages
from tests.contract.figured import NOW, decide


class Indexed:
    """A store with what indexes it."""

    def __init__(self, store, clock):
        self.store, self.clock = store, clock
        self.indexing = Indexing(store, Ownership(store, LEASE, "one", lambda: True), lambda: True, part=1.0)

    async def begin(self):
        now = self.clock.now() if self.store.dialect == "sqlite" else None
        await self.store.write(lambda c: daemons.register(c, "one", now, alone=False))
        return self

    async def follow(self):
        """Index until there is nothing more to index."""
        while await self.indexing.look():
            pass

    async def page(self, scope=EVERYTHING, filters=None, cursor="", limit=50):
        return await self.store.read(lambda c: inbox.page(c, scope, filters or Filters(), cursor, limit))

    async def all(self, scope=EVERYTHING, filters=None, limit=7):
        """Return the ids of all pages, from the first to the last."""
        cursor, found = "", []
        while True:
            page = await self.page(scope, filters, cursor, limit)
            found += [line.id for line in page.lines]
            if not page.older:
                return found
            cursor = page.older

    async def news(self, since, scope=EVERYTHING, filters=None):
        return await self.store.read(lambda c: inbox_news.news(c, scope, since, filters))

    async def again(self):
        """Return what indexes in another process, which is the only one from now on."""
        await self.indexing._lease.give_back()
        return Indexing(self.store, Ownership(self.store, LEASE, "one", lambda: True), lambda: True, part=1.0)

    async def find(self, words, scope=EVERYTHING):
        return set(await self.all(scope, Filters(text=words)))

    async def write(self, id_, at=NOW, department="buses", **content):
        """Store a message that was routed."""

        def work(connection):
            row = {"id": id_, "channel": "mail", "medium": "email", "source_key": id_, "sha256": id_, "facts": {}}
            values = row | {"received_at": at, "state": "routed", "content": content}
            connection.execute(insert(messages), values)
            decide(connection, Random(1), id_, at, (department,), first=True)

        await self.store.write(work)
