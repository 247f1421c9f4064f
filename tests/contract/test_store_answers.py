"""One automatic answer a day for each, and no more in an hour than the caps allow, however many daemons answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from router.records import DeliveryKind, Destination
from router.store import answers, deliveries, reports, tables
from router.store.engine import open_store
from tests.contract.store_helpers import NOW

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MANY = {"most_per_hour": 1000, "most_per_domain": 1000}


async def claim(store, key, domain="home.example", now=NOW, **caps):
    """Answer one, and return why not."""

    def work(connection):
        answers.lock(connection)
        return answers.claim(connection, key, domain, now, **(MANY | caps))

    return await store.write(work)


async def test_once_a_day(store):
    """The second is refused until a day has passed, and what is refused doesn't begin another day."""
    assert await claim(store, "ana") == ""
    assert "within a day" in await claim(store, "ana", now=NOW + DAY - timedelta(seconds=1))
    assert await claim(store, "ben", now=NOW + HOUR) == ""
    assert await claim(store, "ana", now=NOW + DAY) == ""


async def test_no_more_in_an_hour_than_the_caps_allow(store):
    """In all, and of one domain; what was refused counts for nothing, and an hour later there is room again."""
    caps = {"most_per_hour": 5, "most_per_domain": 3}
    of_home = [await claim(store, f"h{n}", **caps) for n in range(4)]
    elsewhere = [await claim(store, f"e{n}", f"e{n}.example", **caps) for n in range(3)]

    assert of_home == ["", "", "", "enough answers to this domain this hour"]
    assert elsewhere == ["", "", "enough answers this hour"]
    assert await claim(store, "h3", now=NOW + HOUR, **caps) == ""
    assert await claim(store, "none", most_per_hour=0) == "enough answers this hour"


async def test_nothing_is_remembered_for_longer_than_a_day(store):
    """Addresses aren't kept; and a clock that was wrong by a year silences nobody for a year."""
    await claim(store, "ana")
    await claim(store, "ben", now=NOW + timedelta(days=365))
    await claim(store, "cem", now=NOW + DAY)

    kept = await store.read(lambda c: list(c.execute(select(tables.answers.c.key)).scalars()))
    assert kept == ["cem"]


async def test_a_report_changes_no_answer(store):
    """It leaves with an empty sender, so nobody can report on it: whoever does has forged that."""
    there = [Destination(via="relay", to="ana@home.example")]
    kind = DeliveryKind.ANSWER
    [answer] = await store.write(lambda c: deliveries.add(c, there, kind=kind, now=NOW))
    settled = update(tables.deliveries).values(state="delivered", settled_at=NOW)
    await store.write(lambda c: c.execute(settled))

    assert not await store.read(lambda c: reports.can_come_back(c, answer))
    assert not await store.write(lambda c: reports.bury(c, answer, "it came back", NOW))


@pytest.fixture
async def stores(postgres_url):
    """Two daemons' stores on one PostgreSQL database."""
    opened = [open_store(postgres_url), open_store(postgres_url)]
    for store in opened:
        await store.open()
    yield opened
    for store in opened:
        await store.close()


async def test_two_daemons_answered_the_same_sender(stores):
    """Both have a message of each of fifty people at the same moment, in opposite order: one answer each."""
    one, other = await asyncio.gather(
        asyncio.gather(*(claim(stores[0], f"p{n}") for n in range(50))),
        asyncio.gather(*(claim(stores[1], f"p{n}") for n in reversed(range(50)))),
    )

    assert [(a == "") + (b == "") for a, b in zip(one, reversed(other), strict=True)] == [1] * 50


async def test_two_daemons_exceeded_a_cap_together(stores):
    """Each counts what the other one did."""
    caps = {"most_per_hour": 20, "most_per_domain": 12}
    results = await asyncio.gather(
        *(claim(stores[n % 2], f"p{n}", f"d{n % 3}.example", **caps) for n in range(90)),
    )

    count = select(tables.answers.c.domain, func.count()).group_by(tables.answers.c.domain)
    stored = await stores[0].read(lambda c: dict(c.execute(count).all()))
    assert results.count("") == sum(stored.values()) == 20
    assert max(stored.values()) <= 12
