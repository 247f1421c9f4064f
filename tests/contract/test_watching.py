"""Browsers that wait for news ask the store together, and hear nothing soon after their session has ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from hashlib import sha256

import pytest
from sqlalchemy import Engine, event, select

from router.console.watching import Watching
from router.store import accounts, sessions
from router.store.console_tables import sessions as table
from router.store.engine import open_store
from router.store.scope import EVERYTHING
from router.testing import FakeClock
from tests.contract.store_helpers import NOW

IDLE = timedelta(hours=4)


class Desk:
    """A store with sessions, those who watch, and two clocks to turn."""

    def __init__(self, store, clock):
        self.store, self.clock, self.at = store, clock, 100.0
        self.watching = Watching(store, IDLE, lambda: self.at)
        self.looks = 0

    def pass_by(self, seconds):
        self.at += seconds
        self.clock.advance(timedelta(seconds=seconds))

    async def sign_in(self, count):
        """Begin so many sessions of one account; return their digests."""
        digests = [sha256(bytes([number])).hexdigest() for number in range(count)]
        kept = {"now": NOW, "ends_at": NOW + timedelta(hours=9), "way": "local", "address": "", "browser": ""}

        def work(connection):
            number = accounts.add(connection, "kim@maple.example", role="staff", scope=EVERYTHING, now=NOW)
            for digest in digests:
                sessions.begin(connection, number, digest, **kept)
            return number

        return await self.store.write(work), digests

    async def ask(self, digests):
        """Let all of them ask at once; return which are signed in, and how often the store was asked for sessions."""
        looks = 0

        def note(_connection, _cursor, statement, *_):
            nonlocal looks
            looks += "FROM sessions" in statement

        event.listen(Engine, "before_cursor_execute", note)
        try:
            rows = await asyncio.gather(*(self.watching.find(digest) for digest in digests))
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        return [digest for digest, row in zip(digests, rows, strict=True) if row is not None], looks


@pytest.fixture
async def desk(store_url):
    clock = FakeClock(NOW)
    store = open_store(store_url, clock)
    await store.open()
    yield Desk(store, clock)
    await store.close()


async def test_many_who_watch_cost_one_look(desk):
    """Every two seconds, not each time that one of them asks."""
    _, digests = await desk.sign_in(30)
    assert await desk.ask(digests) == (digests, 30)  # each is looked for when it begins
    assert await desk.ask(digests) == (digests, 1)
    assert await desk.ask(digests) == (digests, 0)
    desk.pass_by(1.5)
    assert await desk.ask(digests) == (digests, 0)
    desk.pass_by(0.6)
    assert await desk.ask(digests) == (digests, 1)


async def test_a_row_says_who_it_is(desk):
    """The same that `find` says."""
    _, (digest,) = await desk.sign_in(1)
    row = await desk.store.read(lambda c: sessions.find(c, digest, NOW, IDLE))
    await desk.ask([digest])
    desk.pass_by(3)
    assert await desk.watching.find(digest) == row
    assert accounts.account_of(row).email == "kim@maple.example"


async def test_who_is_signed_out_hears_nothing_two_seconds_later(desk):
    """Alone; and where the account may not sign in any more, nobody does."""
    number, digests = await desk.sign_in(3)
    await desk.ask(digests)
    ended = await desk.store.read(
        lambda c: c.execute(select(table.c.id).where(table.c.digest == digests[0])).scalar_one()
    )
    await desk.store.write(lambda c: sessions.end(c, ended, number))
    desk.pass_by(2.1)
    assert (await desk.ask(digests))[0] == digests[1:]
    await desk.store.write(lambda c: accounts.disable(c, number, NOW))
    desk.pass_by(2.1)
    assert (await desk.ask(digests))[0] == []


async def test_nobody_watches_for_ever_without_moving(desk):
    """Asking for news is no use of a session: it ends when it has been idle for too long."""
    _, digests = await desk.sign_in(2)
    assert len((await desk.ask(digests))[0]) == 2
    for _ in range(241):
        desk.pass_by(60)
        left, _ = await desk.ask(digests)
    assert left == []


async def test_made_up_tokens_are_not_kept(desk):
    """Whoever makes up tokens makes nobody's look longer."""
    _, digests = await desk.sign_in(1)
    made_up = [sha256(bytes([7, number])).hexdigest() for number in range(40)]
    assert await desk.ask(digests + made_up) == (digests, 41)
    desk.pass_by(3)
    assert await desk.ask(made_up) == ([], 40)  # by their keys, one at a time
    assert list(desk.watching._asked) == digests


async def test_who_has_gone_is_not_looked_for(desk):
    """After a quarter of a minute without a question."""
    _, digests = await desk.sign_in(2)
    await desk.ask(digests)
    for _ in range(4):
        desk.pass_by(5)
        await desk.ask(digests[:1])
    assert list(desk.watching._asked) == digests[:1]


async def test_who_asks_while_a_look_is_under_way_waits_for_one_of_their_own(desk):
    """The look began before they watched, and so says nothing of them."""
    _, (first, second) = await desk.sign_in(2)
    await desk.ask([first])
    desk.pass_by(3)
    slow, under_way, read = asyncio.Event(), asyncio.Event(), desk.store.read

    async def read_slowly(work):
        desk.store.read = read
        under_way.set()
        await slow.wait()
        return await read(work)

    desk.store.read = read_slowly
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        waits = group.create_task(desk.watching.find(first))
        await under_way.wait()
        assert await desk.watching.find(second) is not None
        asks = group.create_task(desk.watching.find(second))
        await asyncio.sleep(0)
        slow.set()
    assert waits.result() is not None
    assert asks.result() is not None
