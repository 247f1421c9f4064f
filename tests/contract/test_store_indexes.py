"""Indexes for tables in use are built beside those who write, and what was begun and not finished is built again."""

from __future__ import annotations

import ast
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url, text

from router.store import indexes, migrate
from router.store.engine import open_store
from router.store.tables import metadata
from tests.contract.store_helpers import accept, inbound, written_by

BUILDS = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'"
ADDED = {"ix_messages_filed", "ix_deliveries_dropped", "ix_deliveries_beside"}


@asynccontextmanager
async def looker(url):
    """A connection of somebody who looks at the database as it was: an index has to wait for the end of that."""
    line = await asyncpg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False))
    looking = line.transaction(isolation="repeatable_read")
    await looking.start()
    await line.execute("SELECT count(*) FROM marks")
    try:
        yield line, looking
    finally:
        await line.close()


async def building(store, while_):
    """Wait until an index is being built and waits for somebody, and return by which process."""
    async with asyncio.timeout(60):
        while not (pid := await store.read(lambda c: c.execute(text(BUILDS)).scalar())):
            assert not while_.done()
            await asyncio.wait([while_], timeout=0.01)
    return pid


async def valid(store):
    """Return the names of the sound indexes."""
    names = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE indisvalid AND indisready"
    return await store.read(lambda c: set(c.execute(text(names)).scalars()))


@pytest.fixture
async def earlier(postgres_url, monkeypatch):
    """A daemon's store, with a message, in the schema before these indexes."""
    await written_by("0011", postgres_url, monkeypatch, lambda _connection: None)
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "HEAD", "0011")
        store = open_store(postgres_url)
        await store.open()
    await accept(store, inbound("before"))
    yield store
    await store.close()


async def opened_and_closed(url):
    store = open_store(url)
    await store.open()
    await store.close()


async def test_nobody_could_write_while_an_index_was_built(earlier, postgres_url):
    """While the index waits in the middle, since somebody looks at the past, others write and start."""
    async with looker(postgres_url) as (_line, looking):
        upgrade = asyncio.create_task(opened_and_closed(postgres_url))
        await building(earlier, upgrade)
        assert await earlier.read(migrate.revision) == migrate.HEAD  # the rest of it is done
        async with asyncio.timeout(60):
            for n in range(5):
                await accept(earlier, inbound(f"meanwhile {n}"))
        other = open_store(postgres_url)  # a second daemon of the new version starts, and doesn't wait
        async with asyncio.timeout(60):
            await other.open()
        await other.close()
        assert not upgrade.done()
        await looking.rollback()
    async with asyncio.timeout(60):
        await upgrade
    assert await valid(earlier) >= ADDED


async def test_an_index_that_was_begun_stayed_useless(earlier, postgres_url):
    """Cut short in the middle it is there and isn't valid; the next start drops it and builds it, and all others."""
    async with looker(postgres_url) as (line, looking):
        upgrade = asyncio.create_task(opened_and_closed(postgres_url))
        pid = await building(earlier, upgrade)
        await line.execute("SELECT pg_terminate_backend($1)", pid)
        async with asyncio.timeout(60):
            await upgrade  # works all the same, only slower
        await looking.rollback()
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert await earlier.read(lambda c: c.execute(text(invalid)).scalar()) == 1
    await opened_and_closed(postgres_url)
    assert await earlier.read(lambda c: c.execute(text(invalid)).scalar()) == 0
    assert await valid(earlier) >= ADDED
    noted = "SELECT count(*) FROM cursors WHERE starts_with(key, 'index ')"
    assert await earlier.read(lambda c: c.execute(text(noted)).scalar()) == 0


async def test_every_index_of_the_tables_is_there(earlier, postgres_url):
    """After all migrations and what comes after them, whatever schema a database began with."""
    await opened_and_closed(postgres_url)
    wanted = {index.name for table in metadata.tables.values() for index in table.indexes}
    assert wanted <= await valid(earlier)


async def test_who_finds_another_at_it_goes_on(earlier):
    """The builder would wait for whoever waited for it."""
    noted = {"name": "ix_later", "table": "messages", "columns": ["channel"], "where": ""}
    await earlier.write(lambda c: indexes.note(c, [noted]))
    async with earlier.line() as one, earlier.line() as other:
        await one.execute("SELECT pg_advisory_lock($1)", indexes._LOCK)
        assert not await indexes.build(other)
        await one.execute("SELECT pg_advisory_unlock($1)", indexes._LOCK)
        assert await indexes.build(other)
        assert await indexes.build(other)
    assert "ix_later" in await valid(earlier)


def test_no_later_migration_builds_an_index_before_everybody():
    """`create_index` is for tables that the same migration makes; others are added by `indexes.add`."""
    for file in sorted((Path(migrate.__file__).parent / "migrations" / "versions").glob("*.py")):
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        named = [(call, getattr(call.func, "attr", "")) for call in calls]
        made = {call.args[0].value for call, name in named if name == "create_table"}
        on = {call.args[1].value for call, name in named if name == "create_index"}
        if file.name >= "0012":
            assert on <= made, file.name
