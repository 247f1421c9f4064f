"""`check --connect` with the store, SQLite and PostgreSQL: what is well, and how each mistake is to be mended."""

from __future__ import annotations

import shutil
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from router.findings import Finding, Level
from router.interfaces import SystemClock
from router.store import cursors
from router.store.checking import check_store
from router.store.engine import open_store
from router.store.migrate import HEAD, SCHEMA
from router.testing_checks import failures


async def check(url, *, daemon_runs=False, clock=None):
    """Run the check and return what it found."""
    steps = check_store(url, daemon_runs=daemon_runs, clock=clock or SystemClock())
    return [step async for step in steps if isinstance(step, Finding)]


async def make(url, schema=HEAD, oldest=""):
    """Make a store, as the first start does; then say which schema it has, and which is the oldest that fits."""
    store = open_store(url)
    await store.open()
    await store.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": schema}))
    if oldest:
        await store.write(lambda c: cursors.put(c, SCHEMA, "oldest", {"revision": oldest}))
    await store.close()


def said(found):
    """Return the sentences."""
    return [finding.what for finding in found]


class Ahead:
    """A clock that is ahead of the machine's."""

    def __init__(self, by):
        self._by = by

    def now(self):
        """Return a time to come."""
        return SystemClock().now() + self._by


# --- both -------------------------------------------------------------------------------------------------------------


async def test_a_store_that_is_well(store_url):
    """The schema is told, and nothing has failed."""
    await make(store_url)
    found = await check(store_url)
    assert not failures(found)
    assert f"Its schema ({HEAD}) is this version's." in said(found)


@pytest.mark.parametrize(
    ("schema", "oldest", "level"),
    [("0002", "", Level.REMARK), ("9999", "", Level.REMARK), ("9999", "9998", Level.FAILED)],
)
async def test_a_schema_of_another_version(store_url, schema, oldest, level):
    """An older one is brought up to date by itself; a newer one does, unless something was taken away from it."""
    await make(store_url, schema, oldest)
    (found,) = [finding for finding in await check(store_url) if schema in finding.what]
    assert found.level is level


# --- SQLite -----------------------------------------------------------------------------------------------------------


async def test_where_there_is_no_store_nothing_is_made(tmp_path):
    """Before the first start: what will be made is told, and nothing is."""
    path = tmp_path / "var" / "signpost.db"
    found = await check(f"sqlite:///{path}")
    assert said(found) == [f"There is no store yet: the first start makes {path}."]
    assert list(tmp_path.iterdir()) == []


async def test_beside_the_running_daemon(sqlite_store, sqlite_url):
    """A store that another connection writes to is read all the same, and left as it is."""
    path = make_url(sqlite_url).database
    before = _bytes(path)
    found = await check(sqlite_url, daemon_runs=True)
    assert found[0].what == f"{path} is there, and looked at read-only beside the running daemon."
    assert not failures(found)
    assert _bytes(path) == before
    assert await sqlite_store.write(lambda connection: connection.execute(text("SELECT 1")).scalar()) == 1


def _bytes(path):
    return Path(path).read_bytes()


async def test_a_file_that_is_no_database(tmp_path):
    """A damaged file leads to a backup."""
    (tmp_path / "signpost.db").write_bytes(b"this is no database, and long enough to be looked at" * 100)
    (found,) = failures(await check(f"sqlite:///{tmp_path}/signpost.db"))
    assert found.what == "The store's file is damaged, or isn't an SQLite database."
    assert "backup" in found.mend


async def test_a_folder_that_cannot_be_made(tmp_path):
    """A file stands where a folder should."""
    (tmp_path / "var").touch()
    (found,) = failures(await check(f"sqlite:///{tmp_path}/var/signpost.db"))
    assert found.what == f"{tmp_path}/var/signpost.db can't be made: {tmp_path}/var isn't a folder."


async def test_a_place_that_cannot_be_written():
    """A file system that takes nothing."""
    found = failures(await check("sqlite:////proc/sys/signpost.db"))
    assert found[0].what == "/proc/sys can't be written to by this user."


async def test_a_disk_that_is_nearly_full(monkeypatch, tmp_path):
    """Little room is remarked on, hardly any is a failure."""
    for free, level in ((500_000_000, Level.REMARK), (5_000_000, Level.FAILED)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _path, free=free: shutil._ntuple_diskusage(10**12, 0, free))
        found = (await check(f"sqlite:///{tmp_path}/signpost.db"))[-1]
        assert (found.level, found.what) == (level, f"Only {free // 10**6} MB are free on the store's disk.")


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


async def test_a_database_that_is_empty(postgres_url):
    """Before the first start: no table is made, and the version is told."""
    for _ in range(2):
        found = await check(postgres_url)
        assert said(found)[0] == "No tables are there yet: the first start makes them."
        assert said(found)[1].startswith("The database answers: PostgreSQL 1")
        assert not failures(found)


@pytest.mark.parametrize(
    ("ahead", "level"), [(timedelta(seconds=30), Level.REMARK), (timedelta(hours=1), Level.FAILED)]
)
async def test_clocks_that_differ(postgres_url, ahead, level):
    """Beyond two seconds it is remarked on, beyond five minutes it is a failure."""
    found = [each for each in await check(postgres_url, clock=Ahead(ahead)) if "clock" in each.what]
    assert [each.level for each in found] == [level]


async def test_a_database_that_is_not_there(postgres_url):
    """A typing error in the database's name."""
    (found,) = failures(await check(make_url(postgres_url).set(database="nowhere").render_as_string(False)))
    assert found.what == "The server has no database of this name."


async def test_a_user_that_is_not_there(postgres_url):
    """A typing error in the user's name: no password is shown."""
    url = make_url(postgres_url).set(username="nobody-here", password="hunter-two")
    (found,) = failures(await check(url.render_as_string(hide_password=False)))
    assert found.what in {
        "The database refuses the user name or the password.",
        "The database lets this user in from here by no way.",
    }
    assert "hunter" not in str(found)


async def test_no_database_server(free_port):
    """A port with nothing behind it."""
    (found,) = failures(await check(f"postgresql://signpost@127.0.0.1:{free_port}/signpost"))
    assert found.what == f"Nothing listens on 127.0.0.1, port {free_port}: the connection was refused."


async def test_a_database_server_whose_name_is_wrong():
    """A typing error in the host's name."""
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("db.exampel.invalid", 5432)
    (found,) = failures(await check("postgresql://signpost@db.exampel.invalid/signpost"))
    assert found.what.startswith("There is no host named db.exampel.invalid")
