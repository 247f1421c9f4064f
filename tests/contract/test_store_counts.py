"""The ledger is counted without looking at each message, and says what looking at each would say."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from sqlalchemy import event, insert, select

from router.records import DeliveryKind, DeliveryState, State
from router.store import counts, daemons
from router.store.tables import deliveries, messages
from tests.unit.router.district import District

LARGE = ("messages", "deliveries")


@pytest.fixture
async def stored(store, log, rng):
    """Return the states of 200 messages and the kinds and states of their deliveries, each made at random."""
    district, random = District(store, log, rng), Random(1)
    for number in range(200):
        await district.accept(f"buses {number}")
    ids = list(await store.read(lambda c: c.execute(select(messages.c.id)).scalars()))
    rows = [_row(message_id, random, store.clock.now()) for message_id in ids for _ in range(2)]
    states = {message_id: random.choice(list(State)).value for message_id in ids}

    def work(connection):
        for message_id, state in states.items():
            connection.execute(messages.update().where(messages.c.id == message_id).values(state=state))
        connection.execute(insert(deliveries), rows)

    await store.write(work)
    return Counter(states.values()), Counter((row["kind"], row["state"]) for row in rows)


def _row(message_id, random, now):
    return {
        "kind": random.choice(list(DeliveryKind)).value,
        "state": random.choice(list(DeliveryState)).value,
        "message_id": message_id,
        "via": "relay",
        "to": "a@b.example",
        "urgent": False,
        "created_at": now,
        "next_attempt_at": now,
    }


async def test_every_state_is_counted(store, stored):
    """Also what is counted as the rest of all others."""
    assert await store.read(counts.messages_by_state) == dict(stored[0])
    assert await store.read(counts.deliveries_by_state) == dict(stored[1])


async def test_nothing_is_counted_in_an_empty_store(store):
    """No state is named that nothing is in."""
    assert await store.read(counts.messages_by_state) == {}
    assert await store.read(counts.deliveries_by_state) == {}


async def test_no_statement_of_every_few_seconds_looks_at_each_message(sqlite_store):
    """Counting, and freeing what dead daemons held, go by indexes; only an index is counted whole."""
    plans = []

    def explain(connection, _cursor, statement, parameters, _context, _many):
        if not statement.startswith(("EXPLAIN", "BEGIN")):
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.extend(row[3] for row in plan)

    def work(connection):
        event.listen(connection, "before_cursor_execute", explain)
        counts.messages_by_state(connection)
        counts.deliveries_by_state(connection)
        daemons.reap(connection, sqlite_store.clock.now())
        event.remove(connection, "before_cursor_execute", explain)

    await sqlite_store.write(work)
    whole = [plan for plan in plans for name in LARGE if plan in {f"SCAN {name}", f"SEARCH {name}"}]
    assert len(plans) > 10
    assert whole == []
