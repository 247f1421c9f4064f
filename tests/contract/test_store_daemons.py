"""Daemons that share a store: what they must agree on when they do the same at the same moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from router.store import daemons, keys, marks, messages, migrate
from router.store.engine import open_store
from tests.contract.store_helpers import NOW, accept, decide, inbound


@pytest.fixture
async def stores(postgres_url):
    """Two daemons' stores on one PostgreSQL database, opened at the same moment when it was empty."""
    opened = [open_store(postgres_url), open_store(postgres_url)]
    await asyncio.gather(*(store.open() for store in opened))
    yield opened
    for store in opened:
        await store.close()


async def test_two_first_starts_ran_the_same_migration(stores):
    """Who comes second waits and finds the schema made."""
    assert [await store.read(migrate.has_schema) for store in stores] == [True, True]


async def test_two_first_starts_made_keys_of_their_own(stores):
    """Both sign with the same key, and make the same Message-IDs."""
    one, other = await asyncio.gather(*(store.write(lambda c: keys.load(c, NOW)) for store in stores))

    assert one == other
    assert [key_id for key_id, _ in one[0]] == ["k1"]


async def test_a_district_whose_only_key_was_retired_gets_another(store):
    """There is always a key that signs, and never one with a retired key's id."""
    await store.write(lambda c: keys.load(c, NOW))
    await store.write(lambda c: keys.retire(c, "k1", NOW))

    signing, _ = await store.write(lambda c: keys.load(c, NOW))

    assert [key_id for key_id, _ in signing] == ["k2"]


async def test_two_daemons_stored_the_same_mail_twice(stores):
    """A mail that comes to both at the same moment, by ways of their own, is a true copy for one of them."""
    one, other = await asyncio.gather(
        asyncio.gather(*(accept(stores[0], inbound(f"a{n}", f"{n}".encode()), f"<{n}@b>") for n in range(100))),
        asyncio.gather(
            *(accept(stores[1], inbound(f"b{n}", f"{n}".encode()), f"<{n}@b>") for n in reversed(range(100)))
        ),
    )

    assert [receipt.message_id for receipt in one] == [receipt.message_id for receipt in reversed(other)]
    assert sum(not receipt.duplicate for receipt in (*one, *other)) == 100


async def test_two_daemons_claimed_the_same_mark(stores):
    """What is to happen once happens once, also where their clocks differ a little."""
    for period in range(3):
        now = NOW + timedelta(hours=period)
        times = (now, now - timedelta(seconds=2))
        claims = await asyncio.gather(
            *(
                store.write(lambda c, n=n, at=at: marks.claim(c, f"m{n}", at, timedelta(minutes=15)))
                for n in range(30)
                for store, at in zip(stores, times, strict=True)
            )
        )

        assert [sum(claims[2 * n : 2 * n + 2]) for n in range(30)] == [1] * 30


async def test_a_mark_from_the_future_blocked_its_alert(store):
    """A clock that was wrong by a year silences nothing for a year."""
    await store.write(lambda c: marks.claim(c, "alert", NOW + timedelta(days=365), timedelta(minutes=15)))

    assert await store.write(lambda c: marks.claim(c, "alert", NOW, timedelta(minutes=15)))


async def test_a_message_id_of_any_length_is_accepted(store):
    """PostgreSQL refused long ones for ever; copies are still recognised, and different ones told apart."""
    long_id = f"<{'x' * 900}@mail.example>"

    first = await accept(store, inbound("k1"), long_id)
    copy = await accept(store, inbound("k2"), long_id)
    other = await accept(store, inbound("k3"), long_id.replace("@", "y@"))

    assert (copy.message_id, copy.duplicate) == (first.message_id, True)
    assert not other.duplicate


async def test_who_was_taken_for_dead_never_came_back(store):
    """It registers again under its own name; what it held is free, and its old lease settles nothing."""
    receipt = await accept(store, inbound())
    await store.write(lambda c: daemons.register(c, "d1", NOW, alone=False))
    [old] = await store.write(lambda c: messages.lease_undecided(c, "d1", 1))
    later = NOW + daemons.LIFETIME + timedelta(seconds=1)
    assert not await store.write(lambda c: daemons.beat(c, "d1", later))

    lost = await store.write(lambda c: daemons.register(c, "d1", later, alone=False))

    assert lost == 1
    assert await decide(store, receipt.message_id, old.fence) is None
    assert await store.write(lambda c: daemons.beat(c, "d1", later + timedelta(seconds=1)))
