"""What several daemons on one database could do to each other, and don't."""

from __future__ import annotations

from router.records import DeliveryKind, DeliveryState
from router.store import deliveries, waiting
from tests.contract.store_helpers import DESK, NOW


async def test_a_delivery_was_given_up_while_another_daemon_sent_it(store):
    """A daemon whose configuration lacks the channel ends only what nobody has leased since it looked."""
    [number] = await store.write(lambda c: deliveries.add(c, [DESK], kind=DeliveryKind.ALERT, now=NOW))
    [lost] = await store.read(lambda c: waiting.unreachable(c, ["another"]))
    [leased] = await store.write(lambda c: deliveries.lease(c, DESK.via, "d2", NOW, 5))

    assert await store.write(lambda c: waiting.give_up(c, lost, "there is no such channel", NOW)) is None

    assert await store.write(lambda c: deliveries.settle(c, leased, DeliveryState.DELIVERED, NOW))
    assert (await store.read(lambda c: deliveries.get(c, number))).state is DeliveryState.DELIVERED
