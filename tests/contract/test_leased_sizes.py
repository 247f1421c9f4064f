"""What is leased says how large its original is: no query of its own is needed for that."""

from __future__ import annotations

from router.store import deliveries
from router.testing_sinks import RecordingSink
from tests.unit.router.district import District


async def test_each_leased_delivery_has_the_size_of_its_own_original(store, log, rng):
    """Of several messages each its own, whatever the order; read otherwise a delivery has none, and is the same one."""
    district = District(store, log, rng, sink=RecordingSink())
    ids = {await district.route("buses " + "x" * size): size + 6 for size in (3, 0, 40_000, 7)}
    now = store.clock.now()
    leased = await store.write(lambda c: deliveries.lease(c, "relay", "d1", now, 10))
    assert {each.message_id: each.size for each in leased} == ids
    stored = [await store.read(lambda c, number=each.id: deliveries.get(c, number)) for each in leased]
    assert (stored, {each.size for each in stored}) == (leased, {0})
