"""What goes wrong with the store itself: lost connections, servers that are away, deadlocks, files that are none."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from router.errors import StoreBroken, StoreBusy
from router.store import counts, marks
from router.store.engine import open_store
from tests.contract.store_helpers import NOW, accept, inbound


@pytest.fixture
async def postgres_store(postgres_url):
    """An open store on PostgreSQL."""
    opened = open_store(postgres_url)
    await opened.open()
    yield opened
    await opened.close()


@asynccontextmanager
async def relayed(folder, real):
    """Pass connections to a Unix socket on to another; at the end they are cut, and new ones refused."""
    writers = set()

    async def pump(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def passed_on(reader, writer):
        to_reader, to_writer = await asyncio.open_unix_connection(real)
        writers.update((writer, to_writer))
        await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer), return_exceptions=True)

    server = await asyncio.start_unix_server(passed_on, folder / ".s.PGSQL.5432")
    try:
        yield
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        (folder / ".s.PGSQL.5432").unlink()


def claim(name):
    """Return a unit of work that is easily seen to be done."""
    return lambda connection: marks.claim(connection, name, NOW, timedelta(1))


def end_connection(connection):
    """Do what an administrator or a restarting server does to a connection, amid a unit of work."""
    marks.claim(connection, "half", NOW, timedelta(1))
    connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


async def test_a_lost_connection_was_no_busy_store(postgres_store):
    """Everybody of the commit may try again, nothing of it is stored, and the next write works."""
    results = await asyncio.gather(
        postgres_store.write(end_connection),
        *(accept(postgres_store, inbound(f"k{n}", f"{n}".encode())) for n in range(5)),
        return_exceptions=True,
    )

    assert {type(result) for result in results} == {StoreBusy}
    assert await postgres_store.write(claim("half"))
    assert await postgres_store.read(counts.messages_by_state) == {}


async def test_a_server_that_is_away_is_busy_for_readers_too(postgres_url):
    """Reads and writes say that the store can't be used now, and work when the server is back."""
    url = make_url(postgres_url)
    real = Path(url.query["host"]) / ".s.PGSQL.5432"
    with tempfile.TemporaryDirectory(prefix="signpost-") as name:
        folder = Path(name)
        store = open_store(url.set(query={"host": name}).render_as_string(hide_password=False))
        async with relayed(folder, real):
            await store.open()
            await store.write(claim("before"))

        with pytest.raises(StoreBusy):
            await store.read(lambda c: marks.get(c, "before"))
        with pytest.raises(StoreBusy):
            await store.write(claim("while"))

        async with relayed(folder, real):
            assert await store.write(claim("while"))
            assert await store.read(lambda c: marks.get(c, "before")) == NOW
            await store.close()


@pytest.mark.parametrize("state", ["53100", "57P01", "57P03", "58030", "25006", "08006"])
async def test_what_the_server_itself_lacks_is_busy(postgres_store, state):
    """A full disk, a shutdown, a failed disk, a standby: SQLSTATEs that say nothing about our statement."""

    def fail(connection):
        connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"))

    with pytest.raises(StoreBusy):
        await postgres_store.write(fail)


async def test_a_deadlock_is_tried_again(postgres_store):
    """Who was chosen as its victim is run again with half of the others; alone, it is told that the store is busy."""
    runs = []

    def victim(connection):
        runs.append(1)
        if len(runs) <= 2:
            connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '40P01'; END $$"))
        return "done"

    with pytest.raises(StoreBusy):
        await postgres_store.write(victim)
    results = await asyncio.gather(
        *(postgres_store.write(claim(f"m{n}")) for n in range(5)), postgres_store.write(victim)
    )

    assert results == [True] * 5 + ["done"]


async def test_a_value_that_postgresql_refuses_spoils_no_neighbour(postgres_store):
    """What is wrong with one unit of work isn't taken for a failure of the store."""

    def wrong(connection):
        connection.execute(text("SELECT CAST(:value AS text)"), {"value": "\ud800"})

    results = await asyncio.gather(
        postgres_store.write(claim("a")), postgres_store.write(wrong), postgres_store.write(claim("b")),
        return_exceptions=True,
    )  # fmt: skip

    assert (results[0], results[2]) == (True, True)
    assert not isinstance(results[1], StoreBusy | bool)


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_file_that_is_no_database_gave_a_traceback(tmp_path, read_only):
    """Its owner is told in a sentence, and the file stays as it is."""
    path = tmp_path / "signpost.db"
    path.write_text("Dear office, this is a letter. " * 100)
    store = open_store(f"sqlite:///{path}", read_only=read_only)

    with pytest.raises(StoreBroken, match="not a database"):
        await open_and_look(store)

    assert path.read_text().startswith("Dear office")


async def test_a_damaged_file_is_broken(tmp_path):
    """Pages that make no sense are no passing trouble: better no daemon than one that loses messages."""
    path = tmp_path / "signpost.db"
    store = open_store(f"sqlite:///{path}")
    await store.open()
    await asyncio.gather(*(accept(store, inbound(f"k{n}", bytes(9000))) for n in range(50)))
    await store.close()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))

    with pytest.raises(StoreBroken, match="malformed"):
        await open_and_look(open_store(f"sqlite:///{path}"))


async def open_and_look(store):
    """Open a store and look into every message."""
    await store.open()
    try:
        await store.read(counts.messages_by_state)
    finally:
        await store.close()
