"""Nothing can be stored: operations are told directly, once by every way that works, and once when it is over."""

from __future__ import annotations

import pytest

from router import last_resort as module
from router.alerts import Alerts
from router.errors import Retryable
from router.last_resort import LastResort
from router.records import Destination
from router.store import deliveries
from router.testing_sinks import RecordingSink

WAYS = (Destination(via="relay", to="it@district.example"), Destination(via="line", to="+15555550100"))
FULL = "the store can't be used now: database or disk is full"


class Heart:
    """Stands in for the heartbeat."""

    trouble, living = "", True

    def alive(self):
        return self.living

    def stops(self):
        self.trouble, self.living = FULL, False

    def beats(self):
        self.trouble, self.living = "", True


@pytest.fixture
def heart():
    return Heart()


@pytest.fixture
def sinks():
    """Two ways out."""
    return {"relay": RecordingSink(), "line": RecordingSink()}


@pytest.fixture
def woken():
    return []


@pytest.fixture
def last_resort(sqlite_store, heart, sinks, woken, log):
    """What looks after it, with nothing between two attempts."""
    return LastResort(
        sqlite_store,
        heart,
        Alerts(WAYS, ()),
        lambda: sinks,
        organization="A District",
        domain="d.example",
        wake=lambda: woken.append("woken"),
        log=log,
    )


async def stored(store):
    """Return the subjects of the alerts in the outbox."""
    return [each.notice.subject for each in await store.read(lambda c: deliveries.in_states(c, ["waiting"], 9))]


async def test_nobody_was_told_that_the_disk_is_full(last_resort, heart, sinks, sqlite_store, woken):
    """Every way is used once, however long it lasts; the end of it is told by the store, which works again."""
    await last_resort.look()
    heart.stops()
    for _ in range(3):
        await last_resort.look()
    for sink in sinks.values():
        [sent] = sink.sent
        assert sent.notice.subject == "Signpost can't store messages"
        assert FULL in sent.notice.text
        assert sent.mail_id.endswith("@d.example>")
    assert await stored(sqlite_store) == []
    heart.beats()
    for _ in range(3):
        await last_resort.look()
    assert await stored(sqlite_store) == ["Signpost stores messages again"] * 2
    assert woken == ["woken"]


async def test_a_way_that_does_not_work_is_tried_again(last_resort, heart, sinks, monkeypatch):
    """The other one is used at once, and not again when the first one works."""
    sinks["relay"].failures = [Retryable("down")]
    heart.stops()
    await last_resort.look()
    await last_resort.look()  # not every few seconds
    assert [len(sink.sent) for sink in sinks.values()] == [0, 1]
    monkeypatch.setattr(module, "_AGAIN_S", 0.0)
    last_resort._not_before = 0.0
    await last_resort.look()
    await last_resort.look()
    assert [len(sink.sent) for sink in sinks.values()] == [1, 1]


async def test_what_comes_and_goes_is_told_once(last_resort, heart, sinks):
    """The same trouble a moment after its end waits for a quarter of an hour."""
    for _ in range(3):
        heart.stops()
        await last_resort.look()
        heart.beats()
        await last_resort.look()
    assert [len(sink.sent) for sink in sinks.values()] == [1, 1]


async def test_a_beat_that_fails_once_is_no_trouble(last_resort, heart, sinks):
    """While the leases are good nobody is told; nor after a freeze, in which nothing failed."""
    heart.trouble = FULL
    await last_resort.look()
    heart.trouble, heart.living = "", False
    await last_resort.look()
    assert [len(sink.sent) for sink in sinks.values()] == [0, 0]
