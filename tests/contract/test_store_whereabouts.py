"""How far a message is, as its writer may know it, on both stores."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from router.store import tables, whereabouts
from tests.contract.store_helpers import NOW, accept, inbound, routed

ZONE = ZoneInfo("America/Chicago")


async def look(store, message_id, channel="mail"):
    """Ask the store."""
    return await store.read(lambda c: whereabouts.of(c, message_id, channel, ZONE))


async def set_deliveries(store, message_id, **values):
    """Let both deliveries of a message have come so far."""
    table = tables.deliveries
    await store.write(
        lambda c: c.execute(update(table).where(table.c.message_id == message_id).values(values)) and None
    )


async def test_what_waits_was_received(store):
    """In the district's time; a message of another channel, and one there isn't, are unknown."""
    receipt = await accept(store, inbound())
    found = await look(store, receipt.message_id)
    assert (found.reference, found.received_at, found.decided_at) == (receipt.message_id, NOW, None)
    assert found.received_at.utcoffset() == timedelta(hours=-6)
    assert await look(store, receipt.message_id, "contact") is None
    assert await look(store, "") is await look(store, "000000000000") is None


async def test_what_is_routed_is_under_way_until_it_arrives(store):
    """The first of the department's places counts."""
    message_id = await routed(store)
    assert (await look(store, message_id)).decided_at == NOW
    assert (await look(store, message_id)).delivered_at is None
    await set_deliveries(store, message_id, state="delivered", settled_at=NOW + timedelta(minutes=1))
    assert (await look(store, message_id)).delivered_at == NOW + timedelta(minutes=1)


@pytest.mark.parametrize("state", ["dead", "unclear", "dropped"])
async def test_what_got_stuck_waits_for_a_person(store, state):
    """Nothing is said to lie anywhere then."""
    message_id = await routed(store)
    await set_deliveries(store, message_id, state=state)
    found = await look(store, message_id)
    assert (found.delivered_at, found.waits_for_person) == (None, True)


async def test_what_is_held_waits_for_a_person(store):
    """It has no department yet."""
    receipt = await accept(store, inbound())
    table = tables.messages
    await store.write(lambda c: c.execute(update(table).values(state="held")) and None)
    found = await look(store, receipt.message_id)
    assert (found.decided_at, found.waits_for_person) == (None, True)
