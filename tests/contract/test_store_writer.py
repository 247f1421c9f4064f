"""What SQLite's one writing connection promises: nothing is acknowledged before it is on the disk, and no detours."""

from __future__ import annotations

import pytest

from router.store.engine import open_store


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        pytest.param("synchronous", 2, id="FULL: a power cut loses nothing that was acknowledged"),
        pytest.param("journal_mode", "wal", id="readers don't wait"),
        pytest.param("foreign_keys", 1, id="no original without its message"),
        pytest.param("temp_store", 2, id="in memory: a group of messages makes no temporary file"),
    ],
)
async def test_how_the_writer_is_set_up(tmp_path, pragma, value):
    """The connection that writes has been told so."""
    store = open_store(f"sqlite:///{tmp_path / 'signpost.db'}")
    await store.open()
    try:
        found = await store.write(lambda c: c.exec_driver_sql(f"PRAGMA {pragma}").scalar())
    finally:
        await store.close()
    assert found == value
