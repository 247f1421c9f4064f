"""News of the list are read once for all who ask the same, and again when there is more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine, event

from router.console.console import Latest
from router.store import inbox_news
from router.store.engine import open_store
from router.store.inbox import Filters
from router.store.scope import EVERYTHING, Scope
from router.testing import FakeClock
from tests.contract.figured import NOW
from tests.contract.indexed import Indexed

BUSES, MEALS = Scope(frozenset({"buses"})), Scope(frozenset({"meals"}))


@pytest.fixture
async def indexed(store_url):
    store = open_store(store_url, FakeClock(NOW + timedelta(minutes=30)))
    await store.open()
    yield await Indexed(store, store.clock).begin()
    await store.close()


async def heard(latest, store, since, scopes):
    """Return what each of them hears, and how many questions that cost the store."""
    reads = 0

    def note(*_):
        nonlocal reads
        reads += 1

    event.listen(Engine, "before_cursor_execute", note)
    try:
        found = [await latest.news(store, scope, Filters(), since) for scope in scopes]
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return [each.messages for each in found], reads


async def test_news_are_read_once_for_all_who_ask_the_same(indexed):
    """Each hears of what they may see; what comes later is heard of, too."""
    latest, store = Latest(), indexed.store
    for number in range(3):
        await indexed.write(f"A{number}", department="buses" if number else "meals")
    await indexed.follow()
    since = await latest.version(store) - 3
    seen, once = await heard(latest, store, since, (EVERYTHING, BUSES, MEALS))
    assert seen == [3, 2, 1]
    assert await heard(latest, store, since, (EVERYTHING, BUSES, MEALS) * 20) == ([3, 2, 1] * 20, 0)
    assert once >= 3
    await indexed.write("A9")
    await indexed.follow()
    latest._read_at -= 10  # a second has gone by
    assert await latest.version(store) == await store.read(inbox_news.version)
    assert (await heard(latest, store, since, (EVERYTHING, BUSES, MEALS)))[0] == [4, 3, 1]
