"""Messages in every state, made at random, for tests of daily sums and of what the console shows of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import insert, update

from router.store import tables

NOW = datetime(2026, 11, 3, 20, 0, tzinfo=UTC)  # two in the afternoon in Chicago; clocks were set back two days ago
DEPARTMENTS, SCHOOLS, CHANNELS = ("office", "buses", "meals"), ("", "", "lincoln", "parks"), ("mail", "text", "form")
numbers = count(1)


async def fill(store, random, messages=120, now=NOW, departments=DEPARTMENTS):
    """Store messages of the last days in every state, decided never or several times, delivered or not."""

    def work(connection):
        for _ in range(messages):
            _message(connection, random, now, departments)

    await store.write(work)


def _message(connection, random, now, departments):
    message_id = f"F{next(numbers):011d}"
    received_at = now - timedelta(seconds=random.randrange(8 * 86_400))
    decided = random.choice((0, 1, 1, 1, 2, 3))
    state = random.choice(("undecided", "held", "filed")) if not decided else random.choice(("routed",) * 4 + ("held",))
    row = {
        "id": message_id,
        "channel": random.choice(CHANNELS),
        "medium": "email",
        "source_key": message_id,
        "sha256": message_id,
        "received_at": received_at,
        "facts": {},
        "state": state,
        "content": {"language": random.choice(("en", "es"))} if state != "undecided" else None,
    }
    connection.execute(insert(tables.messages), row)
    for number in range(decided):
        decide(
            connection, random, message_id, received_at + timedelta(minutes=3 * number), departments, first=not number
        )


def decide(connection, random, message_id, at, departments=DEPARTMENTS, *, first):
    """Add a decision, that is in force from now on, with its deliveries, and perhaps a correction of it."""
    department = random.choice(departments)
    reasons = ("rule", "thread", "model", "model", "abstained", "observe") if first else ("correction", "disputed")
    reason = random.choice(reasons)
    values = {
        "message_id": message_id,
        "department": department,
        "reason": reason,
        "detail": f"would go to {department} (model: sure)" if reason == "observe" else "",
        "school": random.choice(SCHOOLS),
        "urgent": random.choice(("", "", "a weapon")),
        "suggestions": [],
        "decided_at": at,
    }
    decision_id = connection.execute(insert(tables.decisions).returning(tables.decisions.c.id), values).scalar_one()
    connection.execute(
        update(tables.messages).where(tables.messages.c.id == message_id).values(decision_id=decision_id)
    )
    for _ in range(random.choice((0, 1, 1, 2))):
        _delivery(
            connection, random, message_id, decision_id, random.choice((department, department, departments[-1])), at
        )
    if random.random() < 0.3:
        _correction(connection, random, message_id, decision_id, department, at, departments)


def _delivery(connection, random, message_id, decision_id, department, at):
    state = random.choice(("delivered", "delivered", "waiting", "dead", "unclear", "dropped"))
    settled = at + timedelta(seconds=random.choice((1, 30, 2000, 40_000))) if state != "waiting" else None
    values = {
        "kind": random.choice(("route", "route", "route", "alert", "answer")),
        "message_id": message_id,
        "decision_id": decision_id,
        "department": department,
        "via": "relay",
        "to": "a@b.example",
        "state": state,
        "urgent": False,
        "created_at": at,
        "next_attempt_at": at,
        "settled_at": settled,
    }
    connection.execute(insert(tables.deliveries), values)


def _correction(connection, random, message_id, decision_id, department, at, departments):
    state = random.choice(("proposed", "confirmed", "withdrawn"))
    values = {
        "message_id": message_id,
        "from_department": department,
        "to_department": random.choice(departments),
        "via": "link",
        "state": state,
        "settled_at": at if state != "proposed" else None,
        "confirmed_by": "jo@maple.example" if state == "confirmed" else "",
        "confirmed_via": "command" if state == "confirmed" else "",
        "at": at,
        "decision_id": decision_id,
        "new_decision_id": random.choice((None, None, decision_id)),  # of a copy, the last
    }
    connection.execute(insert(tables.corrections), values)
