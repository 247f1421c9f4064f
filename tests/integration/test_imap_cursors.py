"""What a source remembers is in the store: by channel and key, replaced as a whole, on SQLite and PostgreSQL."""

from __future__ import annotations

from alembic import command
from sqlalchemy import create_engine, inspect

from router.store import migrate
from router.store.cursors import StoredCursor
from router.store.engine import open_store


async def test_a_cursor_keeps_the_last_value_of_its_own(store):
    """There is nothing at first; then the last value, for each channel and key apart."""
    cursors = [StoredCursor(store, channel, key) for channel in ("inbox", "other") for key in ("INBOX", "oauth")]
    assert [await cursor.get() for cursor in cursors] == [None] * 4
    for number, cursor in enumerate(cursors):
        await cursor.set({"last": -1})
        await cursor.set({"last": number, "left": [1, 2]})
    assert [await cursor.get() for cursor in cursors] == [{"last": n, "left": [1, 2]} for n in range(4)]


async def test_a_store_of_the_first_schema_gets_the_table(sqlite_url):
    """Opening a store that an earlier Signpost made adds what is missing, and a restart finds the value."""
    engine = create_engine(sqlite_url)
    with engine.begin() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        assert not inspect(connection).has_table("cursors")
    engine.dispose()
    for expected in (None, {"last": 7}):
        store = open_store(sqlite_url)
        await store.open()
        cursor = StoredCursor(store, "inbox", "INBOX")
        assert await cursor.get() == expected
        await cursor.set({"last": 7})
        await store.close()
