"""What is leased before its turn, and what is looked at without a lease: the same on both stores."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

from router.store import messages
from tests.contract.store_helpers import NOW, accept, inbound


async def test_those_named_first_are_leased_before_the_oldest_and_alone(store):
    """Only those that wait; where none of them does, the oldest are leased."""
    ids = [(await accept(store, inbound(f"k{n}", f"{n}".encode()))).message_id for n in range(4)]
    lease = partial(messages.lease_undecided, owner="d1", limit=2, first=[ids[3], "0NOSUCHID000"])

    leased = [sorted(each.original for each in await store.write(lease)) for _ in range(3)]

    assert leased == [[b"3"], [b"0", b"1"], [b"2"]]


async def test_what_waits_can_be_looked_at_without_a_lease(store):
    """Oldest first; what is leased, and what is too large, isn't among it."""
    ids = [
        (await accept(store, inbound(f"k{n}", b"x" * n, at=NOW + timedelta(minutes=n)))).message_id for n in (2, 1, 3)
    ]
    await store.write(lambda c: messages.lease_undecided(c, "d1", 1))

    assert await store.read(messages.waiting) == [ids[0], ids[2]]
    seen = await store.read(partial(messages.waiting_among, ids=ids, most_bytes=2))
    assert [(each.id, each.original) for each in seen] == [(ids[0], b"xx")]


async def test_of_a_long_backlog_the_newest_are_named(store):
    """The oldest are the deciders' next."""
    at = [NOW + timedelta(minutes=n) for n in (2, 1, 3)]
    ids = [(await accept(store, inbound(f"k{n}", b"x", at=each))).message_id for n, each in enumerate(at)]
    assert await store.read(partial(messages.waiting, most=2)) == [ids[0], ids[2]]


async def test_daemons_that_found_the_same_alarms_lease_each_once(store):
    """In whatever order each of them names them, none waits for another and none fails."""
    ids = [(await accept(store, inbound(f"k{n}", f"{n}".encode()))).message_id for n in range(40)]
    orders = [ids[:30], ids[29::-1], ids[10:40], ids[39:9:-1]]

    leases = await asyncio.gather(
        *(
            store.write(partial(messages.lease_undecided, owner=f"daemon-{n}", limit=32, first=order))
            for n, order in enumerate(orders)
        )
    )

    leased = [undecided.id for lease in leases for undecided in lease]
    assert len(leased) == len(set(leased))


async def test_of_more_channels_than_places_the_last_ones_waited_for_the_others_to_end(store):
    """Each channel gets a place in its turn, however many have a backlog."""
    for number in range(12):
        for channel in range(10):
            await accept(store, inbound(f"{channel}-{number}", f"{channel}".encode(), channel=f"c{channel}"))
    lease = partial(messages.lease_undecided, owner="d1", limit=8)

    served = {each.channel for turn in range(10) for each in await store.write(partial(lease, turn=turn))}

    assert served == {f"c{channel}" for channel in range(10)}


async def test_a_batch_wasnt_full_though_more_waited(store):
    """What is both the oldest and the newest of its channel leaves its second place to the next."""
    await accept(store, inbound("alone", b"alone", channel="a", at=NOW - timedelta(seconds=1)))
    for number in range(40):
        await accept(store, inbound(f"{number}", f"{number}".encode(), at=NOW + timedelta(seconds=number)))
    leased = await store.write(partial(messages.lease_undecided, owner="d1", limit=32))
    assert (len(leased), leased[0].channel) == (32, "a")
