"""What accepting promises, shown on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial

from router.errors import StoreBusy
from router.store import arrivals, counts, messages
from router.store.engine import open_store
from tests.contract.store_helpers import NOW, accept, arrival, inbound


async def test_accepted_bytes_come_back_unaltered(store):
    """The original is kept byte for byte."""
    original = bytes(range(256)) * 100

    receipt = await accept(store, inbound(original=original))

    assert await store.read(lambda c: messages.original(c, receipt.message_id)) == original


async def test_the_same_source_key_is_accepted_once(store):
    """A source that hands a message over twice gets the same receipt."""
    first = await accept(store, inbound("k1", b"one"))
    again = await accept(store, inbound("k1", b"one, altered on the way"))

    assert (again.message_id, again.duplicate) == (first.message_id, True)


async def test_a_source_key_belongs_to_its_channel(store):
    """Two channels may use the same key for different messages."""
    first = await accept(store, inbound("k1", channel="mail"))
    other = await accept(store, inbound("k1", channel="forms"))

    assert first.message_id != other.message_id


async def test_same_mail_id_and_same_bytes_are_a_true_copy(store):
    """A mail that comes by two ways is stored once."""
    first = await accept(store, inbound("k1"), mail_id="<a@b>")
    copy = await accept(store, inbound("k2"), mail_id="<a@b>")

    assert (copy.message_id, copy.duplicate) == (first.message_id, True)


async def test_same_mail_id_with_other_bytes_is_another_message(store):
    """A Message-ID alone never swallows a mail."""
    first = await accept(store, inbound("k1", b"one"), mail_id="<a@b>")
    other = await accept(store, inbound("k2", b"two"), mail_id="<a@b>")

    assert not other.duplicate
    assert other.message_id != first.message_id


async def test_same_bytes_without_a_mail_id_are_two_messages(store):
    """Two people may write the same word."""
    await accept(store, inbound("k1"))

    assert not (await accept(store, inbound("k2"))).duplicate


async def test_many_at_once_are_all_stored_once(store):
    """Group commit loses nothing, mixes nothing up and stores nothing twice."""
    items = [inbound(f"k{n % 150}", f"mail {n % 150}".encode()) for n in range(300)]

    receipts = await asyncio.gather(*(accept(store, item) for item in items))

    stored = await store.read(lambda c: messages.originals_of(c, [r.message_id for r in receipts]))
    assert [stored[r.message_id] for r in receipts] == [item.original for item in items]
    assert sum(not r.duplicate for r in receipts) == 150


async def test_copies_in_one_commit_are_found(store):
    """The same source key, or the same mail id and bytes, is a true copy also of what is stored with it."""
    same = [
        arrival(inbound("k1", b"one"), "<a@b>"),
        arrival(inbound("k1", b"one, altered on the way")),
        arrival(inbound("k2", b"one"), "<a@b>"),
        arrival(inbound("k1", b"one"), "<a@b>"),
    ]
    others = [
        arrival(inbound("k3", b"two"), "<a@b>"),
        arrival(inbound("k4", b"one")),
        arrival(inbound("k1", b"one", channel="forms")),
    ]

    receipts = await store.write(lambda c: arrivals.accept(c, [*same, *others]))

    assert len({receipt.message_id for receipt in receipts[:4]}) == 1
    assert len({receipt.message_id for receipt in receipts}) == 4
    assert [receipt.duplicate for receipt in receipts] == [False, True, True, True, False, False, False]


async def test_new_ones_and_copies_are_told_apart_in_one_commit(store):
    """Every receipt names the message that holds these bytes."""
    first = await accept(store, inbound("k1", b"one"), "<a@b>")
    items = [
        arrival(inbound("k0", b"zero")),
        arrival(inbound("k1", b"one")),
        arrival(inbound("k5", b"one"), "<a@b>"),
        arrival(inbound("k9", b"nine"), "<c@d>"),
    ]

    new, by_key, by_content, other = await store.write(lambda c: arrivals.accept(c, items))

    stored = await store.read(lambda c: messages.originals_of(c, [new.message_id, other.message_id]))
    assert by_key == by_content
    assert (by_key.message_id, by_key.duplicate) == (first.message_id, True)
    assert stored == {new.message_id: b"zero", other.message_id: b"nine"}


async def test_the_likeness_of_a_copy_is_stored(store):
    """What equals only an altered copy, which was not kept, is kept itself."""
    first = await accept(store, inbound("k1", b"one"))
    altered = arrival(inbound("k1", b"altered"), "<a@b>")
    alike = arrival(inbound("k2", b"altered"), "<a@b>")

    copy, kept = await store.write(lambda c: arrivals.accept(c, [altered, alike]))

    assert (copy.message_id, copy.duplicate) == (first.message_id, True)
    assert not kept.duplicate
    assert await store.read(lambda c: messages.original(c, kept.message_id)) == b"altered"


async def test_a_taken_id_is_replaced(store):
    """Two messages never share an id, whether the other one was stored before or comes in the same commit."""
    ids = iter(["0WE000000001", "0WE000000001", "0WE000000001", "0WE000000001", "0WE000000002", "0WE000000003"])
    accept_all = partial(arrivals.accept, new_ids=lambda times: [next(ids) for _ in times])

    [first] = await store.write(lambda c: accept_all(c, [arrival(inbound("k1", b"one"))]))
    later = await store.write(lambda c: accept_all(c, [arrival(inbound(key, key.encode())) for key in ("k2", "k3")]))

    stored = await store.read(lambda c: messages.originals_of(c, [first.message_id, *(r.message_id for r in later)]))
    assert {first.message_id: b"one", later[0].message_id: b"k2", later[1].message_id: b"k3"} == stored
    assert not any(receipt.duplicate for receipt in later)


async def test_what_cannot_be_stored_spoils_no_neighbour(store):
    """One that the store refuses is refused alone."""
    items = [inbound(f"k{n}", f"mail {n}".encode()) for n in range(20)]
    items[7] = inbound("k7", b"mail 7", at=datetime(2026, 3, 2))  # noqa: DTZ001 -- a time the store doesn't take

    results = await asyncio.gather(*(accept(store, item) for item in items), return_exceptions=True)

    assert [n for n, result in enumerate(results) if isinstance(result, Exception)] == [7]
    assert await store.read(counts.messages_by_state) == {"undecided": 19}


async def test_two_daemons_store_a_message_once(postgres_url):
    """Daemons that are handed the same messages at the same moment give the same receipts."""
    daemons = [open_store(postgres_url), open_store(postgres_url)]
    for daemon in daemons:
        await daemon.open()
    items = [inbound(f"k{n}", f"mail {n}".encode()) for n in range(100)]

    answers = await asyncio.gather(
        *(accept(daemons[0], item) for item in items), *(accept(daemons[1], item) for item in reversed(items))
    )

    one, other = answers[:100], answers[:99:-1]
    assert [receipt.message_id for receipt in one] == [receipt.message_id for receipt in other]
    assert sum(not receipt.duplicate for receipt in answers) == 100
    for daemon in daemons:
        await daemon.close()


async def test_a_full_disk_refuses_all_that_wait(sqlite_store):
    """Nobody of a commit that found no room is told that their message is stored; later there is room again."""
    await sqlite_store.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1"))  # no page more than there are
    items = [inbound(f"k{n}", bytes(20_000)) for n in range(20)]

    results = await asyncio.gather(*(accept(sqlite_store, item) for item in items), return_exceptions=True)
    await sqlite_store.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1000000"))
    receipts = await asyncio.gather(*(accept(sqlite_store, item) for item in items))

    assert {type(result) for result in results} == {StoreBusy}
    assert not any(receipt.duplicate for receipt in receipts)


async def test_pages_of_a_listing_neither_repeat_nor_skip(store):
    """Messages of one moment, too: page by page they are all there once, the newest first."""
    for n in range(7):
        await accept(store, inbound(f"k{n}", f"{n}".encode(), at=NOW + timedelta(seconds=n // 3)))

    async def page(before):
        statement = messages.listing(None, None, 2, before)
        return await store.read(lambda c: [(row.received_at, row.id) for row in c.execute(statement)])

    seen = []
    while rows := await page(seen[-1][1] if seen else ""):
        seen += rows

    assert len({id_ for _, id_ in seen}) == 7
    assert seen == sorted(seen, reverse=True)
