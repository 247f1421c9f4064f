"""What the store keeps of a correction's life, on both kinds; and of corrections that an earlier version has stored."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from sqlalchemy import insert, text

from router.records import Correction, CorrectionState
from router.store import audits, corrections, decisions
from router.store import tables as present
from router.store.engine import open_store
from tests.contract.store_helpers import NOW, inbound, routed, written_by

PROPOSED, CONFIRMED, WITHDRAWN = CorrectionState
JO, KIM = "jo@d.example", "kim@d.example"


async def proposed(store):
    """Store a correction of a routed message and return its id."""
    message_id = await routed(store)

    def add(connection):
        decision_id = decisions.in_force(connection, message_id).id
        said = Correction(
            message_id=message_id,
            from_department="transportation",
            to_department="meals",
            by=JO,
            via="command",
            model="m1",
            state=PROPOSED,
            at=NOW,
        )
        return corrections.add(connection, said, decision_id)

    return await store.write(add)


async def settle(store, correction_id, state, by=JO, via=corrections.COMMAND):
    """Confirm or withdraw; None if that can't be."""
    return await store.write(lambda c: corrections.settle(c, correction_id, state, NOW, by, via=via))


async def test_who_confirmed_it_is_kept_when_somebody_withdraws_it(store):
    """Both names stay, and how it was confirmed."""
    correction_id = await proposed(store)
    await settle(store, correction_id, CONFIRMED, JO)
    said = await settle(store, correction_id, WITHDRAWN, KIM)
    assert (said.state, said.confirmed_by, said.confirmed_via, said.withdrawn_by) == (WITHDRAWN, JO, "command", KIM)
    assert await settle(store, correction_id, CONFIRMED, JO) is None


@pytest.mark.parametrize(
    ("first", "then", "stands"),
    [
        (corrections.TACIT, corrections.COMMAND, corrections.COMMAND),
        (corrections.TACIT, corrections.VOTES, corrections.VOTES),
        (corrections.TACIT, corrections.TACIT, corrections.TACIT),
        (corrections.VOTES, corrections.COMMAND, corrections.COMMAND),
        (corrections.VOTES, corrections.TACIT, corrections.VOTES),
        (corrections.COMMAND, corrections.VOTES, corrections.COMMAND),
        (corrections.COMMAND, corrections.TACIT, corrections.COMMAND),
    ],
)
async def test_a_weaker_word_never_replaces_a_stronger_one(store, first, then, stands):
    """What only time or votes confirmed, a person may confirm by name; nothing else changes hands."""
    correction_id = await proposed(store)
    assert await settle(store, correction_id, CONFIRMED, "one", first)
    changed = await settle(store, correction_id, CONFIRMED, "other", then)
    said = await store.read(lambda c: corrections.get(c, correction_id))
    assert (changed is not None) == (first != stands)
    assert said.confirmed_via == stands


async def test_of_many_who_confirm_at_once_one_is_heard(store):
    """Ten at the same moment."""
    correction_id = await proposed(store)
    done = await asyncio.gather(*(settle(store, correction_id, CONFIRMED, f"p{n}") for n in range(10)))
    assert sum(each is not None for each in done) == 1


async def test_an_audit_is_offered_once(store):
    """Two daemons that route the same message after a lost lease offer it once; the first offer stands."""
    message_id = await routed(store)
    row = {"message_id": message_id, "received_at": NOW, "channel": "mail", "reason": "model", "urgent": False}
    offers = [[row | {"department": department}] for department in ("transportation", "meals")]
    for offer in offers:
        await store.write(lambda c, offer=offer: audits.add(c, offer))
    assert [each.department for each in await store.read(partial(audits.listing, limit=9))] == ["transportation"]


async def test_corrections_of_an_earlier_version_keep_what_was_known(store_url, monkeypatch):
    """Who withdrew one isn't taken for who confirmed it, and two votes stay two votes."""
    await written_by("0005", store_url, monkeypatch, _as_before)
    store = open_store(store_url)
    await store.open()
    said = {each.id: each for each in await store.read(lambda c: corrections.in_state(c, None, 9))}
    await store.close()
    facts = {id_: (each.confirmed_by, each.confirmed_via, each.withdrawn_by) for id_, each in said.items()}
    assert facts == {1: ("", "", ""), 2: (KIM, "command", ""), 3: ("two votes", "votes", ""), 4: ("", "", KIM)}


def _as_before(connection):
    """Store four corrections in the schema of 0005."""
    item = inbound()
    message = {"id": "0WE3MXMK4J3E", "channel": item.channel, "medium": "email", "source_key": "k", "sha256": "0" * 64,
               "received_at": NOW, "facts": {}, "state": "routed"}  # fmt: skip
    connection.execute(insert(present.messages).values(message))
    statement = text(
        'INSERT INTO corrections (message_id, from_department, to_department, via, state, at, confirmed_by, "by") '
        "VALUES ('0WE3MXMK4J3E', 'a', 'b', 'command', :state, '2026-03-02 14:00:00', :by, 'x')"
    )
    for state, by in (("proposed", ""), ("confirmed", KIM), ("confirmed", "two votes"), ("withdrawn", KIM)):
        connection.execute(statement, {"state": state, "by": by})
