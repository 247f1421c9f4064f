"""What the learning pages and the dashboard read of corrections and audits: by scope, and as a slow count has it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from random import Random
from types import MappingProxyType

import pytest
from sqlalchemy import Engine, event, insert, select, update

from router.console.disputes import Disputes
from router.console.learning import _told
from router.learning.lessons import disputed
from router.store import figure_reads, inside, learning_reads, tables
from router.store.scope import EVERYTHING, Scope
from tests.contract.figured import DEPARTMENTS, NOW, fill

SCOPES = (
    EVERYTHING,
    Scope(departments=frozenset({"buses"})),
    Scope(departments=frozenset({"buses", "office"}), schools=frozenset({"lincoln"})),
    Scope(schools=frozenset({"parks"})),
    Scope(departments=frozenset()),
)
DAY = timedelta(days=1)
SINCE, UNTIL = NOW - timedelta(days=6), NOW - timedelta(days=1)


@pytest.fixture
async def filled(store):
    """A store with messages, of which half were chosen for an audit and half of these labelled."""
    random = Random(11)
    await fill(store, random, messages=300)

    def work(connection):
        c = tables.decisions.c
        connection.execute(update(tables.decisions).where(c.reason == "model").values(confidence=0.75))
        first = select(tables.messages, c.id.label("first"), c.department, c.reason).join(
            tables.decisions, c.message_id == tables.messages.c.id
        )
        seen = set()
        for row in connection.execute(first.order_by(c.id)).all():
            if row.id not in seen and random.random() < 0.5:
                connection.execute(insert(tables.audits), _audit(row, random))
            seen.add(row.id)

    await store.write(work)
    return store


def _audit(row, random):
    said = random.choice(DEPARTMENTS)
    answered = random.random() < 0.5
    return {
        "message_id": row.id,
        "decision_id": row.first,
        "received_at": row.received_at,
        "channel": row.channel,
        "department": row.department,
        "reason": row.reason,
        "urgent": False,
        "answer": said if answered else "",
        "wrong": said != row.department if answered else None,
        "answered_at": NOW if answered else None,
    }


async def rows_of(store, scope):
    """Return corrections and audits, each with its message's decision in force, as far as a scope sees that."""

    def read(connection):
        t = {name: connection.execute(select(getattr(tables, name))).all() for name in ("messages", "decisions")}
        decisions = {row.id: row for row in t["decisions"]}
        present = {row.id: decisions.get(row.decision_id) for row in t["messages"]}
        seen = {
            key: scope.sees(now.department if now else "", now.school if now else "") for key, now in present.items()
        }
        kept = [connection.execute(select(table)).all() for table in (tables.corrections, tables.audits)]
        return decisions, *([row for row in rows if seen[row.message_id]] for rows in kept), kept[1]

    return await store.read(read)


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_corrections_are_listed_by_where_their_messages_are(filled, scope):
    """Newest first, page by page, none twice, none of others."""
    _, said, _, _ = await rows_of(filled, scope)
    for state in ("proposed", "confirmed", "withdrawn"):
        wanted = sorted((row.id for row in said if row.state == state), reverse=True)
        read, before = [], None
        while page := await filled.read(
            lambda c, b=before, s=state: learning_reads.listed(c, scope, state=s, before=b, limit=7)
        ):
            read += [row.id for row in page]
            before = read[-1]
        assert read == wanted
    counts = Counter(row.state for row in said)
    assert await filled.read(lambda c: learning_reads.by_state(c, scope)) == counts
    few = {state: min(n, 5) for state, n in counts.items()}
    assert await filled.read(lambda c: learning_reads.by_state(c, scope, most=5)) == few


async def test_disputes_are_looked_for_again_when_something_was_said(filled):
    """All words are read once, and again after each new one, whoever asks."""
    disputes, reads = Disputes(), []

    def note(_connection, _cursor, statement, *_):
        reads.append("messages.content" in statement)

    async def ask(heirs=MappingProxyType({})):
        reads.clear()
        event.listen(Engine, "before_cursor_execute", note)
        try:
            first, second = await asyncio.gather(*(disputes.find(filled, heirs) for _ in range(2)))
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        assert first == second == await filled.read(lambda c: disputed(c, heirs))
        return any(reads)

    c = tables.corrections.c
    confirm = update(tables.corrections).where(c.state == "proposed").values(state="confirmed", settled_at=NOW + DAY)
    answer = update(tables.audits).where(tables.audits.c.answered_at.is_(None))
    withdraw = (
        update(tables.corrections).where(c.state == "confirmed").values(state="withdrawn", settled_at=NOW + 2 * DAY)
    )
    assert (await ask(), await ask()) == (True, False)
    for change in (confirm, answer.values(answer="buses", answered_at=NOW + DAY), withdraw):
        await filled.write(lambda c, change=change: c.execute(change))
        assert (await ask(), await ask()) == (True, False)
    assert await ask({"buses": "office"})


async def test_what_came_in_lately_is_counted_by_department(filled):
    """Whatever has one; without one only what is being read: neither what was filed nor what is held."""
    since = NOW - timedelta(days=4)

    def read(connection):
        rows = connection.execute(select(tables.messages)).all()
        department = dict(connection.execute(select(tables.decisions.c.id, tables.decisions.c.department)).all())
        of = Counter(
            department.get(row.decision_id, "")
            for row in rows
            if row.received_at >= since and (row.decision_id in department or row.state == "undecided")
        )
        return of, inside.lately(connection, EVERYTHING, since)

    slowly, told = await filled.read(read)
    assert told == slowly
    assert slowly[""]


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_messages_to_label_are_those_that_somebody_may_see(filled, scope):
    """The oldest first."""
    _, _, chosen, _ = await rows_of(filled, scope)
    waiting = sorted((row.received_at, row.message_id) for row in chosen if row.answered_at is None)
    n, oldest = await filled.read(lambda c: learning_reads.unlabelled(c, scope, 5))
    assert (n, oldest) == (len(waiting), [message_id for _, message_id in waiting[:5]])


@pytest.mark.parametrize("scope", SCOPES, ids=str)
async def test_what_people_said_is_counted_by_scope(filled, scope):
    """Confused departments by where messages are now; rates and honesty by where the router had sent them."""
    decisions, said, chosen, everything = await rows_of(filled, scope)
    of_audits = Counter(
        (row.answer, row.department)
        for row in chosen
        if row.answered_at and SINCE <= row.received_at < UNTIL and decisions[row.decision_id].reason == "model"
    )
    of_corrections = Counter(
        (row.to_department, row.from_department)
        for row in said
        if (row.state, decisions[row.decision_id].reason) == ("confirmed", "model")
        and SINCE <= row.at < UNTIL
        and row.new_decision_id != row.decision_id
    )
    sent = [
        row
        for row in everything
        if row.answered_at
        and SINCE <= row.received_at < UNTIL
        and scope.sees(row.department, decisions[row.decision_id].school)
    ]
    span = (scope, SINCE, UNTIL)
    assert await filled.read(lambda c: figure_reads.confused(c, *span)) == (of_audits, of_corrections)
    routed = [row for row in sent if row.reason in ("rule", "thread", "model")]
    audited = await filled.read(lambda c: figure_reads.audited_per(c, *span))
    assert Counter(map(tuple, audited)) == Counter((row.received_at, row.department, row.wrong) for row in routed)
    believed = await filled.read(lambda c: figure_reads.believed(c, *span))
    assert Counter(believed) == Counter((0.75, not row.wrong) for row in routed if row.reason == "model")
    if scope == EVERYTHING:
        assert min(len(of_audits), len(of_corrections), len(routed)) > 1


async def test_what_contradicts_is_named_to_those_alone_who_see_it(filled):
    """A correction or a message that lies elsewhere isn't named by its number; that there is something is said."""
    every = await filled.read(lambda c: learning_reads.listed(c, EVERYTHING, limit=10**6))
    others = {0: [f"correction {row.id}" for row in every] + [f"audit {row.message_id} meals" for row in every]}
    for scope in SCOPES:
        mine = await filled.read(lambda c, scope=scope: learning_reads.listed(c, scope, limit=10**6))
        allowed = [f"correction {row.id}" for row in mine] + [f"audit {row.message_id} meals" for row in mine]
        (told,) = (await filled.read(lambda c, scope=scope: _told(c, scope, others))).values()
        elsewhere = ["what was said elsewhere"] * (len(mine) < len(every))
        assert sorted(told) == sorted([*allowed, *elsewhere])
        assert len(every) > 20
