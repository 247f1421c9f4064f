"""What a store holds from before anybody indexed it: the newest is found first, and in the end nothing is missing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from router.records import State
from router.store import inbox_index
from router.store.engine import open_store
from router.store.inbox import Filters
from router.store.inbox_news import version
from router.store.inbox_tables import inbox_follow, inbox_rows
from router.store.scope import Scope
from router.store.tables import corrections, decisions, deliveries, messages
from router.testing import FakeClock
from tests.contract.figured import NOW
from tests.contract.indexed import Indexed


@pytest.fixture
async def indexed(store_url):
    clock = FakeClock(NOW + timedelta(minutes=30))
    store = open_store(store_url, clock)
    await store.open()
    yield await Indexed(store, clock).begin()
    await store.close()


async def test_the_newest_is_found_first(indexed, monkeypatch):
    """Of a store that nobody has indexed the newest is found at once, and what comes meanwhile; the oldest last."""
    for number in range(300):
        await indexed.write(f"M{number:03}", NOW - timedelta(days=9, minutes=300 - number))
    seen = await indexed.store.read(version)
    monkeypatch.setattr("router.indexing._AT_ONCE_S", 0)  # one step of each kind at a time
    assert await indexed.indexing.look()
    first = await indexed.all(limit=500)
    assert first == [f"M{number:03}" for number in range(299, 299 - len(first), -1)]
    assert 0 < len(first) < 200
    left = await indexed.store.read(inbox_index.earlier_than)
    assert NOW - timedelta(days=9, minutes=300) <= left < NOW - timedelta(days=9)

    await indexed.write("NEW")
    assert await indexed.indexing.look()
    assert (await indexed.all(limit=500))[: len(first) + 1] == ["NEW", *first]
    await indexed.follow()
    assert len(await indexed.all(limit=500)) == 301
    assert await indexed.store.read(inbox_index.earlier_than) is None
    assert (await indexed.news(seen)).messages == 1  # what was there before is no news


async def test_what_nobody_had_indexed_for_long_is_found_newest_first_too(indexed, monkeypatch):
    """A daemon that was without a console for a year begins with the newest again, and ends with nothing missing."""
    await indexed.write("OLD")
    await indexed.follow()
    beside = await indexed.again()
    for number in range(40):
        await indexed.write(f"M{number:03}", NOW + timedelta(minutes=number))
    await indexed.store.write(lambda c: inbox_index._set(c, inbox_index.FIRST, -5000))
    monkeypatch.setattr("router.indexing._AT_ONCE_S", 0)  # one step of each kind at a time
    assert await beside.look()
    assert (await indexed.all())[0] == "M039"
    while await beside.look():
        pass
    assert len(await indexed.all()) == 41


async def test_what_was_indexed_before_copies_were_known_is_indexed_again(indexed):
    """By the program of before: then the department that got the copy finds it, and is told no news."""
    await indexed.write("M1")
    copied = {"ranking": [], "also": ["meals"]}
    await indexed.follow()
    await indexed.store.write(lambda c: c.execute(update(decisions).values(prediction=copied)))
    meals, seen = Scope(departments=frozenset({"meals"})), await indexed.store.read(version)
    assert await indexed.all(meals) == []
    before = [update(inbox_rows).values(departments=None), delete(inbox_follow).where(inbox_follow.c.name == "earlier")]
    await indexed.store.write(lambda c: [c.execute(each) for each in before])
    beside = await indexed.again()
    while await beside.look():
        pass
    assert await indexed.all(meals) == ["M1"]
    assert (await indexed.news(seen)).messages == 0


async def test_filed_messages_of_before_are_found(indexed):
    """More of them than one step takes, of one time."""
    for number in range(60):
        await indexed.write(f"M{number}", NOW - timedelta(days=30))
    gone = {"state": "filed", "decision_id": None}
    await indexed.store.write(lambda c: [c.execute(update(messages).values(gone)), c.execute(delete(corrections))])
    await indexed.store.write(lambda c: [c.execute(delete(each)) for each in (deliveries, decisions)])
    await indexed.follow()
    assert len(await indexed.all(filters=Filters(state=State.FILED))) == 60
