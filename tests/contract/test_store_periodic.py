"""What happens periodically in every daemon happens once where they share a store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from router.alerts import PENDING
from router.life.watch import Watch
from router.records import DeliveryKind, DeliveryState, Destination, Notice, State
from router.store import deliveries, marks, messages
from router.store.engine import open_store
from router.testing import FakeClock
from router.upkeep import Digest
from tests.contract.store_helpers import accept, inbound
from tests.unit.router.district import ALERTS

CHICAGO = ZoneInfo("America/Chicago")
AT = datetime(2026, 3, 2, 13, 0, 1, tzinfo=UTC)  # a second after seven in Chicago


@pytest.fixture
async def stores(postgres_url):
    """Two daemons on one database; the second one's clock is three seconds ahead."""
    opened = [open_store(postgres_url, FakeClock(AT + timedelta(seconds=ahead))) for ahead in (0, 3)]
    for store in opened:
        await store.open()
    yield opened
    for store in opened:
        await store.close()


async def alerts(store):
    """Return the subjects of the alerts in the outbox, whatever became of them."""
    found = await store.read(lambda c: deliveries.in_states(c, [state.value for state in DeliveryState], 100))
    return [delivery.notice.subject for delivery in found if delivery.notice]


async def test_both_sent_the_digest(stores):
    """Seven o'clock comes to both at once, on every day; nothing is left to be summed up either."""
    message_id = (await accept(stores[0], inbound())).message_id
    await stores[0].write(lambda c: messages.set_state(c, message_id, State.HELD, "it came back"))
    for day in range(5):
        for store in stores:
            store.clock.advance(timedelta(days=1))
        digests = [Digest(store, ALERTS, time(7), CHICAGO) for store in stores]
        await asyncio.gather(*(digest.send_if_due() for digest in digests for _ in range(3)))
        assert await alerts(stores[0]) == ["What waits for a person"] * (day + 1)
        assert await stores[0].read(lambda c: marks.get(c, PENDING)) is None


async def test_a_clock_that_was_days_ahead_stopped_the_digest(store):
    """A mark from far ahead counts as old; one of a clock a little ahead counts as set."""
    now, since = AT, AT - timedelta(seconds=1)
    for ahead, due in ((timedelta(days=400), True), (timedelta(minutes=2), False)):
        await store.write(lambda c, at=now + ahead: [marks.take(c, "digest"), marks.claim_since(c, "digest", at, at)])
        assert await store.write(lambda c: marks.claim_since(c, "digest", now, since)) is due


async def test_both_buried_the_same_delivery_and_told_twice(stores):
    """What waits for a channel that is gone is given up by one of them, and told by it alone."""
    gone = [Destination(via="old", to="x")]
    await stores[0].write(lambda c: deliveries.add(c, gone, kind=DeliveryKind.ALERT, now=AT))
    watches = [Watch(store, ALERTS, {"relay"}) for store in stores]
    for watch, store in zip(watches, stores, strict=True):
        await watch.look()  # first missed: another daemon may still be getting the new configuration
        store.clock.advance(timedelta(minutes=5))
    assert await alerts(stores[0]) == []

    await asyncio.gather(*(watch.look() for watch in watches for _ in range(3)))

    assert await alerts(stores[0]) == ["Delivery 1 could not be delivered"]


async def test_trouble_that_is_over_was_told_by_both(stores):
    """Of daemons that see at the same moment that it is over, one tells."""
    for n in range(10):
        notice = Notice(subject=f"{n}", text="x")
        begins = [store.write(lambda c, k=f"k{n}", x=notice: ALERTS.tell_once(c, k, x, AT)) for store in stores]
        assert sorted(await asyncio.gather(*begins)) == [False, True]
        ends = [store.write(lambda c, k=f"k{n}", x=notice: ALERTS.tell_over(c, [k], x, AT)) for store in stores]
        assert sorted(await asyncio.gather(*ends)) == [False, True]
