"""What every store promises, shown on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from functools import partial

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text

from router.errors import Conflict, StoreBroken, StoreBusy
from router.records import DeliveryKind, DeliveryState, Destination, Reason
from router.store import cursors, daemons, decisions, deliveries, inbox_tables, keys, ledger, marks, messages, migrate
from router.store.console_tables import accounts
from router.store.engine import open_store
from router.store.figure_tables import figure_sums
from router.store.model_tables import shadows
from router.store.tables import marks as marks_table
from router.store.tables import messages as messages_table
from router.store.tables import metadata
from tests.contract.store_helpers import DESK, NOW, accept, decide, inbound, routed


async def test_a_failing_unit_spoils_only_itself(store):
    """Units that share a commit don't share a failure."""

    def bad(connection):
        connection.execute(insert(marks_table), {"name": "half", "at": NOW})
        raise Conflict("no")

    good = [store.write(lambda c, n=n: marks.claim(c, f"m{n}", NOW, timedelta(1))) for n in range(5)]
    results = await asyncio.gather(*good[:3], store.write(bad), *good[3:], return_exceptions=True)

    assert [r for r in results if r is True] == [True] * 5
    assert isinstance(results[3], Conflict)
    assert await store.read(lambda c: marks.get(c, "half")) is None


async def test_units_of_the_same_work_run_as_one(store):
    """What waits for the same work is given to it together, and everybody gets their own result."""
    groups = []

    def double(connection, items):
        groups.append(len(items))
        return [2 * item for item in items]

    answers = await asyncio.gather(*(store.write_together(double, n) for n in range(100)))

    assert answers == [2 * n for n in range(100)]
    assert (sum(groups), max(groups)) == (100, 100)


async def test_an_item_that_fails_is_alone_with_it(store):
    """Those who were to share a unit of work with it get their results."""

    def claim(connection, items):
        if "bad" in items:
            raise Conflict("no")
        return [marks.claim(connection, name, NOW, timedelta(1)) for name in items]

    names = [*(f"m{n}" for n in range(9)), "bad", *(f"m{n}" for n in range(9, 20))]
    results = await asyncio.gather(*(store.write_together(claim, name) for name in names), return_exceptions=True)

    assert [n for n, result in enumerate(results) if result is not True] == [9]
    assert isinstance(results[9], Conflict)


async def test_results_are_never_mixed_up(store):
    """Work that returns too few results fails as a whole, before it is committed."""

    def short(connection, items):
        connection.execute(insert(marks_table), {"name": "short", "at": NOW})
        return []

    with pytest.raises(RuntimeError, match="gave 0 results"):
        await store.write_together(short, "x")

    assert await store.read(lambda c: marks.get(c, "short")) is None


async def test_a_closed_store_says_so(store_url):
    """Nothing can be written to a store that isn't open."""
    store = open_store(store_url)

    with pytest.raises(StoreBroken):
        await store.write(lambda c: c.execute(select(1)).scalar())


async def test_reading_cannot_write(store):
    """A unit given to `read` can't change anything."""
    with pytest.raises(Exception, match=r"read-?\s?only"):
        await store.read(lambda c: c.execute(insert(marks_table), {"name": "x", "at": NOW}))


async def test_naive_times_are_refused(store):
    """A time without a zone would be wrong by hours without anybody noticing."""
    with pytest.raises(Exception, match="aware"):
        await store.write(lambda c: marks.claim(c, "x", datetime(2026, 1, 1), timedelta(1)))  # noqa: DTZ001


async def test_a_message_is_leased_to_one_only(store):
    """Two daemons never hold the same message."""
    await asyncio.gather(*(accept(store, inbound(f"k{n}", f"{n}".encode())) for n in range(20)))

    leases = await asyncio.gather(
        *(store.write(lambda c, d=d: messages.lease_undecided(c, f"daemon-{d}", 5)) for d in range(6))
    )

    ids = [undecided.id for lease in leases for undecided in lease]
    assert len(ids) == len(set(ids)) == 20


async def test_the_oldest_are_leased_first(store):
    """Messages are decided in the order they came."""
    for n in (3, 1, 2):
        await accept(store, inbound(f"k{n}", f"{n}".encode(), at=NOW + timedelta(minutes=n)))

    leased = await store.write(lambda c: messages.lease_undecided(c, "d1", 2))

    assert [undecided.original for undecided in leased] == [b"1", b"2"]


async def test_decision_and_deliveries_commit_together_and_once(store):
    """A second commit about the same lease writes nothing; equal destinations get one delivery."""
    receipt = await accept(store, inbound())
    leased = await store.write(lambda c: messages.lease_undecided(c, "d1", 1))

    first = await decide(store, receipt.message_id, leased[0].fence)
    second = await decide(store, receipt.message_id, leased[0].fence)

    sent = await store.read(lambda c: deliveries.of_message(c, receipt.message_id))
    assert first is not None
    assert second is None
    assert [(d.department, d.to, d.state) for d in sent] == [("transportation", DESK.to, DeliveryState.WAITING)]


async def test_a_late_worker_cannot_settle_a_lost_lease(store):
    """Fencing: who was taken for dead can't write any more."""
    receipt = await accept(store, inbound())
    await store.write(lambda c: daemons.register(c, "frozen", NOW, alone=False))
    old = await store.write(lambda c: messages.lease_undecided(c, "frozen", 1))
    later = NOW + daemons.LIFETIME + timedelta(seconds=1)
    await store.write(lambda c: daemons.register(c, "fresh", later, alone=False))
    new = await store.write(lambda c: messages.lease_undecided(c, "fresh", 1))

    assert await decide(store, receipt.message_id, old[0].fence) is None
    assert await decide(store, receipt.message_id, new[0].fence) is not None
    assert new[0].lost_leases == 1


async def test_leases_of_the_living_are_left_alone(store):
    """A daemon that beats keeps what it holds."""
    await accept(store, inbound())
    await store.write(lambda c: daemons.register(c, "d1", NOW, alone=False))
    await store.write(lambda c: messages.lease_undecided(c, "d1", 1))
    assert await store.write(lambda c: daemons.beat(c, "d1", NOW + timedelta(seconds=15)))

    assert await store.write(lambda c: daemons.reap(c, NOW + timedelta(seconds=30))) == 0


async def test_an_attempt_counts_from_its_lease(store):
    """A crash during an attempt is an attempt, too; a graceful stop isn't."""
    message_id = await routed(store)
    [leased] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", NOW, 10))
    await store.write(lambda c: deliveries.release_leases(c, "d1"))

    [kept] = await store.read(lambda c: deliveries.of_message(c, message_id))
    assert (leased.attempts, kept.attempts) == (1, 0)


async def test_settling_needs_the_lease(store):
    """The same delivery is settled once, by who holds it."""
    await routed(store)
    [held] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", NOW, 10))

    first = await store.write(lambda c: deliveries.settle(c, held, DeliveryState.DELIVERED, NOW))
    second = await store.write(lambda c: deliveries.settle(c, held, DeliveryState.DEAD, NOW))

    assert (first, second) == (True, False)


async def test_a_deferred_delivery_waits_for_its_time(store):
    """Nothing is leased before it is due."""
    await routed(store)
    [held] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", NOW, 10))
    at = NOW + timedelta(minutes=5)
    await store.write(lambda c: deliveries.defer(c, held, at, "busy"))

    assert await store.write(lambda c: deliveries.lease(c, "relay", "d1", NOW, 10)) == []
    assert len(await store.write(lambda c: deliveries.lease(c, "relay", "d1", at, 10))) == 1


async def test_urgent_deliveries_are_leased_first(store):
    """A message that may save a child doesn't queue behind the others."""
    for urgent in (False, True):
        add = partial(deliveries.add, kind=DeliveryKind.ALERT, now=NOW, urgent=urgent)
        await store.write(lambda c, add=add, urgent=urgent: add(c, [Destination(via="relay", to=str(urgent))]))

    [first] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", NOW, 1))

    assert first.to == "True"


async def test_dead_letters_can_be_revived_and_dropped(store):
    """A person can try a dead delivery again from zero, or end it."""
    await routed(store)
    [held] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", NOW, 10))
    await store.write(lambda c: deliveries.settle(c, held, DeliveryState.DEAD, NOW, error="gone"))

    revived = await store.write(lambda c: deliveries.revive(c, held.id, NOW))
    dropped = await store.write(lambda c: deliveries.drop(c, held.id, NOW))

    assert (revived.state, revived.attempts) == (DeliveryState.WAITING, 0)
    assert dropped
    assert not await store.write(lambda c: deliveries.drop(c, held.id, NOW))


async def test_the_ledger_balances(store):
    """Received = routed + held + filed + undecided."""
    await routed(store, "k1")
    await accept(store, inbound("k2", b"two"))

    status = await store.read(lambda c: ledger.status(c, NOW + timedelta(seconds=60)))

    assert status["messages"] == {"received": 2, "routed": 1, "held": 0, "filed": 0, "undecided": 1}
    assert status["deliveries"]["waiting"] == 1
    assert status["oldest_waiting_s"] == 60


async def test_keys_are_made_once_and_rotate(store):
    """Every start finds the same keys; a new one signs, the old ones still verify until retired."""
    first = await store.write(lambda c: keys.load(c, NOW))
    again = await store.write(lambda c: keys.load(c, NOW))
    await store.write(lambda c: keys.rotate(c, NOW + timedelta(days=1)))
    rotated, mail_secret = await store.write(lambda c: keys.load(c, NOW))
    await store.write(lambda c: keys.retire(c, "k1", NOW))
    left, _ = await store.write(lambda c: keys.load(c, NOW))

    assert first == again
    assert [key_id for key_id, _ in rotated] == ["k1", "k2"]
    assert mail_secret == first[1]
    assert [key_id for key_id, _ in left] == ["k2"]


async def test_a_mark_is_claimed_once_per_period(store):
    """What should happen once a period happens once, whoever asks."""
    claims = [
        await store.write(lambda c, m=m: marks.claim(c, "digest", NOW + timedelta(minutes=m), timedelta(minutes=15)))
        for m in (0, 10, 15)
    ]

    assert claims == [True, False, True]


async def test_the_schema_is_what_the_tables_say(store):
    """Migrations and tables agree, and the newest revision is the one the code asks for."""
    assert {accounts.name, figure_sums.name, shadows.name} <= metadata.tables.keys()

    def differences(connection):
        others = {"include_name": lambda name, kind, _: kind != "table" or not inbox_tables.is_ours(name)}
        return compare_metadata(MigrationContext.configure(connection, opts=others), metadata)

    assert await store.read(differences) == []
    assert max(migrate._known()) == migrate.HEAD


async def test_opening_again_keeps_everything(store_url):
    """A restart finds every message."""
    for _ in range(2):
        store = open_store(store_url)
        await store.open()
        receipt = await accept(store, inbound())
        await store.close()

    assert receipt.duplicate


async def test_a_store_from_the_future_is_refused(store_url):
    """An older Signpost doesn't touch a schema from which something it needs was taken away."""
    store = open_store(store_url)
    await store.open()
    await store.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    await store.write(lambda c: cursors.put(c, ":schema", "oldest", {"revision": "9998"}))
    await store.close()

    with pytest.raises(StoreBroken, match="newer Signpost"):
        await open_store(store_url).open()


async def test_nobody_else_on_the_machine_can_read_the_store(sqlite_url, tmp_path):
    """It holds what families wrote, and the keys that sign links."""
    store = open_store(sqlite_url)
    await store.open()
    await accept(store, inbound())
    modes = {path.name: path.stat().st_mode & 0o077 for path in tmp_path.iterdir()}
    await store.close()

    assert "signpost.db-wal" in modes
    assert set(modes.values()) == {0}


async def test_an_sqlite_file_has_one_owner(sqlite_url):
    """A second process can't open the file for writing, but can read it."""
    owner = open_store(sqlite_url)
    await owner.open()
    reader = open_store(sqlite_url, read_only=True)
    await reader.open()

    with pytest.raises(StoreBusy, match="in use"):
        await open_store(sqlite_url).open()
    assert await reader.read(lambda c: ledger.status(c, NOW))
    await reader.close()
    await owner.close()


async def test_a_decision_survives_the_round_trip(store):
    """What was decided is read back as it was."""
    message_id = await routed(store)

    found = await store.read(lambda c: decisions.in_force(c, message_id))

    assert (found.department, found.reason, found.decided_at) == ("transportation", Reason.MODEL, NOW)


async def test_an_error_shows_no_message(store):
    """A failing statement's text goes to the log, so it must not hold what a person wrote."""
    await accept(store, inbound("k1", b"one"))

    def clash(connection):
        row = {"id": "x" * 12, "channel": "mail", "medium": "email", "source_key": "k1", "sha256": "", "facts": {}}
        connection.execute(insert(messages_table), {**row, "state": "undecided", "sender": "ana@home.example"})

    with pytest.raises(Exception, match="messages") as caught:
        await store.write(clash)

    assert "ana@home.example" not in str(caught.value)
