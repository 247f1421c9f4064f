"""The access log on both stores: appended to, never changed, and whoever changes it all the same is found out."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

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


@pytest.mark.parametrize("statement", ["UPDATE access_log SET who = 'x'", "DELETE FROM access_log WHERE id = 3"])
async def test_the_database_refuses_to_change_it(store, statement):
    """Neither a row's words nor a row can be taken back, by the role that the daemon itself has."""
    await note(store)
    with pytest.raises(DBAPIError, match="never changed"):
        await store.write(lambda c: c.execute(text(statement)))
    assert (await store.read(access.verify)).rows == 3


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
