"""The access log on both stores: appended to, never changed, and whoever changes it all the same is found out."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from router.store import access
from router.store.engine import open_store
from tests.contract.store_helpers import NOW

OPEN = {
    "sqlite": ("DROP TRIGGER access_log_no_update", "DROP TRIGGER access_log_no_delete"),
    "postgresql": ("ALTER TABLE access_log DISABLE TRIGGER ALL",),
}


def entry(action="see", about="", who="kim@maple.example"):
    """Return something that was done."""
    return access.Entry(at=NOW, who=who, action=action, about=about, address="10.0.0.7")


async def note(store, count=3):
    """Write so many rows, one after the other."""
    for n in range(count):
        await store.write(lambda c, n=n: access.note(c, entry(about=f"message {n}")))


async def test_an_untouched_log_verifies(store):
    """Each row is numbered, and the whole holds together; an empty log does, too."""
    assert await store.read(access.verify) == access.Checked(0, "", None)
    await note(store)
    checked = await store.read(access.verify)
    assert (checked.rows, checked.broken_at) == (3, None)
    last = (await store.read(lambda c: access.page(c, 1)))[0]
    assert (last.id, last.digest) == (3, checked.digest)


_VALUES = "(id, at, who, action, digest) VALUES (3, '2026-03-02', 'x', 'see', 'x')"


@pytest.mark.parametrize("statement", ["UPDATE access_log SET who = 'x'", "DELETE FROM access_log WHERE id = 3"])
async def test_the_database_refuses_to_change_it(store, statement):
    """Neither a row's words nor a row can be taken back, by the role that the daemon itself has."""
    await note(store)
    with pytest.raises(DBAPIError, match="never changed"):
        await store.write(lambda c: c.execute(text(statement)))
    assert (await store.read(access.verify)).rows == 3


@pytest.mark.parametrize(
    "statement",
    [
        f"INSERT OR REPLACE INTO access_log {_VALUES}",
        f"REPLACE INTO access_log {_VALUES}",
        f"INSERT INTO access_log {_VALUES} ON CONFLICT (id) DO UPDATE SET who = 'x'",
        "UPDATE OR REPLACE access_log SET id = 3 WHERE id = 2",
    ],
)
async def test_no_row_is_put_in_another_s_place(sqlite_store, statement):
    """SQLite's ways round the guard of deleting are shut, too."""
    await note(sqlite_store)
    with pytest.raises(DBAPIError, match="never changed"):
        await sqlite_store.write(lambda c: c.execute(text(statement)))
    assert (await sqlite_store.read(access.verify)).broken_at is None


async def test_postgresql_refuses_to_empty_it(postgres_url):
    """TRUNCATE, too, is refused."""
    store = open_store(postgres_url)
    await store.open()
    try:
        await note(store)
        with pytest.raises(DBAPIError, match="never changed"):
            await store.write(lambda c: c.execute(text("TRUNCATE access_log")))
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE access_log SET who = 'lee@maple.example' WHERE id = 2", 2),
        ("UPDATE access_log SET about = '' WHERE id = 1", 1),
        ("UPDATE access_log SET account_id = NULL, address = '' WHERE id = 3", 3),
        ("DELETE FROM access_log WHERE id = 2", 2),
        ("DELETE FROM access_log WHERE id = 1", 1),
        ("UPDATE access_log SET id = 9 WHERE id = 3", 3),
    ],
)
async def test_whoever_takes_the_guard_away_is_found_out(store, statement, broken_at):
    """A changed, removed or renumbered row doesn't fit the ones around it."""
    await note(store)

    def tamper(connection):
        for each in OPEN[store.dialect]:
            connection.execute(text(each))
        connection.execute(text(statement))

    await store.write(tamper)
    assert (await store.read(access.verify)).broken_at == broken_at


async def test_rows_written_at_once_form_one_chain(store):
    """Many writers at the same time leave no two rows with the same place."""
    await asyncio.gather(*(store.write(lambda c: access.note(c, entry())) for _ in range(50)))
    checked = await store.read(access.verify)
    assert (checked.rows, checked.broken_at) == (50, None)


async def test_two_daemons_write_one_chain(postgres_url):
    """Daemons that share a database take turns."""
    stores = [open_store(postgres_url) for _ in range(2)]
    for store in stores:
        await store.open()
    try:
        await asyncio.gather(*(s.write(lambda c: access.note(c, entry())) for _ in range(25) for s in stores))
        checked = await stores[0].read(access.verify)
        assert (checked.rows, checked.broken_at) == (50, None)
    finally:
        for store in stores:
            await store.close()


async def test_two_daemons_do_not_wait_for_each_other(postgres_url):
    """One notes first and then wants what the other has; the other notes last: neither is undone and run again."""
    stores = [open_store(postgres_url) for _ in range(3)]
    for store in stores:
        await store.open()
    ran, (one, other, gate) = [], stores
    lock, shared = "SELECT pg_advisory_xact_lock({})", "SELECT pg_advisory_xact_lock_shared(7)"
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted")

    def notes_first(connection):
        ran.append("first")
        access.note(connection, entry(about="message 1"))
        connection.execute(text(shared))
        connection.execute(text(lock.format(8)))

    def notes_last(connection):
        ran.append("last")
        connection.execute(text(lock.format(8)))
        connection.execute(text(shared))
        access.note(connection, entry(about="message 2"))

    try:
        async with gate.line() as line, asyncio.timeout(30):
            await line.execute("SELECT pg_advisory_lock(7)")
            both = asyncio.gather(one.write(notes_first), other.write(notes_last))
            while await gate.read(lambda c: c.execute(waiting).scalar_one()) < 2:
                assert not both.done()
            await line.execute("SELECT pg_advisory_unlock(7)")
            await both
        assert sorted(ran) == ["first", "last"]
        assert (await one.read(access.verify)).rows == 2
    finally:
        for store in stores:
            await store.close()


async def test_what_was_done_is_noted_or_not_done(store):
    """A unit that fails leaves no row, one that can't be noted changes nothing, and others of its commit stand."""

    def fails(connection):
        access.note(connection, entry(about="message 1"))
        raise ValueError

    def unknown(connection):
        connection.execute(text("INSERT INTO cursors (channel, key, value) VALUES ('x', 'y', '1')"))
        access.note(connection, access.Entry(at=NOW, who="?", action="see", account_id=404))

    given = [store.write(fails), store.write(unknown), store.write(lambda c: access.note(c, entry(about="message 2")))]
    failed, refused, done = await asyncio.gather(*given, return_exceptions=True)
    assert isinstance(failed, ValueError)
    assert isinstance(refused, IntegrityError)
    assert done is None
    assert await store.read(lambda c: c.execute(text("SELECT count(*) FROM cursors WHERE channel = 'x'")).scalar()) == 0
    assert [row.about for row in await store.read(lambda c: access.page(c, 9))] == ["message 2"]
    with pytest.raises(RuntimeError):
        await store.read(lambda c: access.note(c, entry()))  # nobody would write it


async def aged(store, monkeypatch):
    """Write ten rows, one a day, and have those go that are older than six days; three at once."""
    monkeypatch.setattr(access, "_MOST_AT_ONCE", 3)
    for n in range(10):
        at = NOW + timedelta(days=n)
        await store.write(lambda c, at=at: access.note(c, access.Entry(at=at, who="kim", action="see")))
    end, gone = NOW + timedelta(days=10), []
    while not gone or gone[-1]:
        gone.append(await store.write(lambda c: access.shorten(c, end - timedelta(days=6), end)))
    return gone


async def test_old_rows_go_and_what_is_left_verifies(store, monkeypatch):
    """They go a few at a time; the rows after them still hold together, a row says so, and the log goes on."""
    assert await aged(store, monkeypatch) == [3, 1, 0]
    rows = await store.read(lambda c: access.page(c, 99))
    assert [row.id for row in rows] == [12, 11, 10, 9, 8, 7, 6, 5]
    assert [(row.who, row.action, row.about) for row in rows[:2]] == [("signpost", "log_shortened", "access log")] * 2
    await note(store)
    assert (await store.read(access.verify)).broken_at is None
    assert (await store.read(access.verify)).rows == 11


@pytest.mark.parametrize("statement", ["DELETE FROM access_log WHERE id = 5", "DELETE FROM access_log WHERE id > 10"])
async def test_younger_rows_stay(store, monkeypatch, statement):
    """The guard lets nothing go but what was said, not even the row that says so."""
    await aged(store, monkeypatch)
    with pytest.raises(DBAPIError, match="never changed"):
        await store.write(lambda c: c.execute(text(statement)))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM access_log WHERE id = 5",
        "DELETE FROM access_log WHERE id > 10",
        "UPDATE access_log SET detail = replace(detail, '4 ', '5 ') WHERE id = 12",
    ],
)
async def test_what_is_taken_out_of_a_shortened_log_is_found(store, monkeypatch, statement):
    """More rows than were said, or other words about it, don't fit."""
    await aged(store, monkeypatch)
    await note(store, 1)

    def tamper(connection):
        for each in OPEN[store.dialect]:
            connection.execute(text(each))
        connection.execute(text(statement))

    await store.write(tamper)
    assert (await store.read(access.verify)).broken_at is not None


async def test_a_log_of_which_all_is_old_keeps_its_last_row(store):
    """The chain goes on from there."""
    await note(store)
    late = NOW + timedelta(days=9)
    assert await store.write(lambda c: access.shorten(c, late, late)) == 0


async def test_a_page_is_the_newest_first_and_goes_on_where_it_ended(store):
    """Pages follow one another by number, of all rows or of one object or person."""
    await note(store, 5)
    first = await store.read(lambda c: access.page(c, 2))
    then = await store.read(lambda c: access.page(c, 2, before=first[-1].id))
    assert [row.id for row in (*first, *then)] == [5, 4, 3, 2]
    assert [row.id for row in await store.read(lambda c: access.page(c, 9, about="message 1"))] == [2]
    assert await store.read(lambda c: access.page(c, 9, account_id=4)) == []


async def test_control_characters_do_not_get_in(store):
    """What would play tricks with a terminal is left out, and the row verifies as it is kept."""
    await store.write(lambda c: access.note(c, entry(who="a\x1b[31m\nb\x00", about="message \u202e1")))
    row = (await store.read(lambda c: access.page(c, 1)))[0]
    assert row.who == "a [31m b "
    assert (await store.read(access.verify)).broken_at is None
