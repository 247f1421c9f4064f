"""What waits for another try can be made due at once, on both stores."""

from __future__ import annotations

from datetime import timedelta

from router.store import deliveries
from tests.contract.store_helpers import NOW, routed

LATER = NOW + timedelta(hours=1)


async def test_only_what_waits_at_that_sink_is_hastened(store):
    """Not what is leased, what goes by another channel, or what is due already; no attempt is counted."""
    ids = [await routed(store, f"k{number}") for number in range(3)]

    def work(connection):
        [waits, leased, due] = [deliveries.of_message(connection, message_id)[0] for message_id in ids]
        taken = {each.id: each for each in deliveries.lease(connection, waits.via, "d1", NOW, 3)}
        assert deliveries.defer(connection, taken[waits.id], LATER, "refused")
        deliveries.unlease(connection, taken[due.id])
        before = [deliveries.get(connection, each.id) for each in (waits, leased, due)]
        count = deliveries.hasten(connection, waits.via, NOW), deliveries.hasten(connection, "another", NOW)
        return count, before, [deliveries.get(connection, each.id) for each in (waits, leased, due)]

    count, before, after = await store.write(work)
    assert count == (1, 0)
    assert (before[0].next_attempt_at, after[0].next_attempt_at) == (LATER, NOW)
    assert (after[0].attempts, after[0].last_error) == (1, "refused")
    assert after[1:] == before[1:]
