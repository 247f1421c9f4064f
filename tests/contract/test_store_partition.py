"""The line to PostgreSQL is cut in between: nobody hangs up, and no answer ever comes."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from router import upkeep
from router.errors import StoreBusy
from router.store import backends, marks
from router.store.engine import open_store
from router.upkeep import Heartbeat
from tests.contract.store_helpers import NOW, accept, inbound
from tests.integration.proxy import Proxy

SOCKET = ".s.PGSQL.5432"


@pytest.fixture
async def line(postgres_url):
    """A line to the database that can go dark."""
    _, _, folder = postgres_url.partition("?host=")
    async with Proxy(f"{folder}/{SOCKET}") as proxy:
        yield proxy


@pytest.fixture
async def far(line, postgres_url, monkeypatch):
    """A store at the other end of that line."""
    monkeypatch.setattr(backends, "_CONNECT_S", 1.0)
    address, _, _ = postgres_url.partition("?")
    store = open_store(address.replace(":@", f"@127.0.0.1:{line.port}"))
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def heartbeat(far, log, monkeypatch):
    """A daemon's, which waits for less than a second."""
    monkeypatch.setattr(upkeep, "_PATIENCE_S", 0.5)
    beating = Heartbeat(far, "d1", log)
    await beating.register()
    return beating


async def test_what_was_under_way_waited_for_ever(far, line, heartbeat):
    """Reads, writes and the heartbeat fail together; when the line passes again all is well without a restart."""
    line.dark = True
    slow = text("SELECT pg_sleep(0)")
    reading = [asyncio.ensure_future(far.read(lambda c: c.execute(slow).scalar())) for _ in range(3)]
    writing = asyncio.ensure_future(accept(far, inbound("k1")))
    with pytest.raises(StoreBusy, match="connections were given up"):
        await heartbeat.beat()
    async with asyncio.timeout(30):
        for each in (*reading, writing):
            with pytest.raises(StoreBusy):
                await each
    line.dark = False

    async with asyncio.timeout(30):
        while True:  # what was tried in the dark may have to end first
            try:
                await heartbeat.beat()
                break
            except StoreBusy:
                continue
        assert not (await accept(far, inbound("k1"))).duplicate
        assert await far.read(lambda c: marks.get(c, "any")) is None
    assert heartbeat.alive()


async def test_a_stuck_store_is_told_from_one_that_refuses(far, line, heartbeat):
    """Silence doesn't count as an answer: the watchdog hears of it."""
    before = heartbeat.silent_s()
    line.dark = True
    with pytest.raises(StoreBusy):
        await heartbeat.beat()
    assert heartbeat.silent_s() >= before + 0.5
    line.dark = False


async def test_no_file_is_given_up(sqlite_store, log, monkeypatch):
    """On SQLite there is no line to cut: a beat that takes long leaves the connection alone."""
    monkeypatch.setattr(upkeep, "_PATIENCE_S", 0.0)
    with pytest.raises(StoreBusy):
        await Heartbeat(sqlite_store, "d1", log).beat()
    assert await sqlite_store.read(lambda c: marks.get(c, "any")) is None
    assert not (await accept(sqlite_store, inbound("k1", at=NOW))).duplicate
