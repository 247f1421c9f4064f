"""What waits at each channel, and which daemon reads it, on both kinds of store."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from router.store import by_channel, daemons, leases
from router.store.by_channel import Left
from router.store.tables import deliveries
from tests.contract.store_helpers import NOW, routed


async def ended(store, number, state):
    """End a delivery."""
    which = update(deliveries).where(deliveries.c.id == number).values(state=state)
    await store.write(lambda c: c.execute(which))


async def test_what_has_not_arrived_is_counted_by_way_out(store):
    """Waiting with the age of the oldest, dead, unclear; what was delivered isn't there."""
    assert await store.read(by_channel.left) == {}
    for key in "abcdef":
        await routed(store, key)
    numbers = await store.read(lambda c: list(c.execute(select(deliveries.c.id)).scalars()))
    for number, state in zip(numbers, ("dead", "dead", "unclear", "delivered"), strict=False):
        await ended(store, number, state)
    assert await store.read(by_channel.left) == {"relay": Left(waiting=2, oldest_at=NOW, dead=2, unclear=1)}
    for number in numbers:
        await ended(store, number, "delivered")
    assert await store.read(by_channel.left) == {}
    await ended(store, numbers[0], "dead")
    assert await store.read(by_channel.left) == {"relay": Left(dead=1)}


async def test_a_mailbox_has_the_reader_that_holds_it(store):
    """A daemon that lives; nobody where none took it."""
    now = None if store.dialect == "postgresql" else NOW
    await store.write(lambda c: daemons.register(c, "d1", now, alone=False))
    await store.write(lambda c: leases.take_mailbox(c, "mail", "d1", now))
    found = await store.read(lambda c: by_channel.readers(c, ["mail", "other"], now))
    assert found == {"mail": "d1", "other": ""}
    await store.write(lambda c: daemons.leave(c, "d1"))
    assert await store.read(lambda c: by_channel.readers(c, ["mail"], now)) == {"mail": ""}


@pytest.mark.parametrize("channel", ["mail", "other"])
async def test_the_newest_message_of_a_channel(store, channel):
    """When it came, None if none did."""
    await routed(store)
    found = (await store.read(lambda c: by_channel.newest(c, [channel])))[channel]
    assert (found - NOW < timedelta(seconds=1)) if channel == "mail" else found is None
