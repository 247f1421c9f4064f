"""The access log is shortened once a day, by one daemon, and its end is told to the daemon's own log."""

from __future__ import annotations

from datetime import timedelta

import pytest
import structlog

from router.log_keeping import LogKeeping
from router.store import access
from router.testing import FakeClock


@pytest.fixture
def clock():
    """A clock that tests turn by hand."""
    return FakeClock()


async def test_once_a_day(store, clock):
    """What is too old goes; the newest row's number and digest are told, which somebody may keep elsewhere."""
    for _ in range(4):
        entry = access.Entry(at=clock.now(), who="kim", action="see")
        await store.write(lambda c, entry=entry: access.note(c, entry))
        clock.advance(timedelta(days=1))
    keeping = [LogKeeping(store, lambda: timedelta(days=2, hours=1), structlog.get_logger()) for _ in range(2)]
    with structlog.testing.capture_logs() as said:
        for each in (*keeping, *keeping):
            await each.look()
    rows = await store.read(lambda c: access.page(c, 9))
    assert [(row.id, row.action) for row in rows] == [(5, "log_shortened"), (4, "see"), (3, "see")]
    assert [(each["event"], each.get("rows"), each.get("row")) for each in said] == [
        ("access_log_shortened", 2, None),
        ("access_log_end", None, 5),
    ]
    assert said[-1]["digest"] == (await store.read(access.verify)).digest
    clock.advance(timedelta(days=1))
    await keeping[1].look()
    assert (await store.read(access.verify)).broken_at is None
    assert (await store.read(lambda c: access.page(c, 9)))[-1].id == 4


async def test_without_a_console_it_is_left_alone(store):
    """Nobody has said how long it is to be kept."""
    await store.write(lambda c: access.note(c, access.Entry(at=store.clock.now(), who="kim", action="see")))
    with structlog.testing.capture_logs() as said:
        await LogKeeping(store, lambda: None, structlog.get_logger()).look()
    assert said == []
