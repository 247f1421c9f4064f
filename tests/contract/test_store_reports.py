"""What a report changes in the store, on both kinds: a delivery that had left, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from router.records import Content, DeliveryKind, DeliveryState, Fate, Medium, Message, Report, State
from router.routing.route import Verdict
from router.store import decisions, deliveries, messages, outbox, reports
from router.store.deliveries import Sent
from tests.contract.store_helpers import NOW, accept, inbound, routed

LATER = NOW + timedelta(hours=1)


@pytest.fixture
async def leased(store):
    """A delivery that is being attempted."""
    await routed(store)
    [delivery] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", NOW, 5))
    return delivery


@pytest.fixture
async def sent(store, leased):
    """A delivery that a mail server took."""
    await store.write_together(deliveries.delivered, Sent(leased, "queued", NOW))
    return leased


async def now_of(store, delivery):
    """Return a delivery as it is now."""
    return await store.read(lambda c: deliveries.get(c, delivery.id))


async def test_what_came_back_for_good_is_dead_once(store, sent):
    """Delivered becomes dead with the reason; the second report changes nothing."""
    assert await store.read(lambda c: reports.can_come_back(c, sent.id))
    assert await store.write(lambda c: reports.bury(c, sent.id, "no such user", LATER))
    assert not await store.write(lambda c: reports.bury(c, sent.id, "another word", LATER))
    assert not await store.write(lambda c: reports.send_again(c, sent.id, LATER, "another word"))

    found = await now_of(store, sent)
    assert (found.state, found.last_error) == (DeliveryState.DEAD, "no such user")
    assert not await store.read(lambda c: reports.can_come_back(c, sent.id))


async def test_what_came_back_for_a_while_waits_again(store, sent):
    """It isn't due before its time, its attempts go on counting, and it is the same delivery: the same Message-ID."""
    assert await store.write(lambda c: reports.send_again(c, sent.id, LATER, "mailbox full"))
    assert await store.write(lambda c: deliveries.lease(c, "relay", "d1", NOW, 5)) == []

    [again] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", LATER, 5))
    assert (again.id, again.attempts, again.last_error) == (sent.id, 2, "mailbox full")


async def test_a_report_that_overtakes_the_dispatcher_wins(store, leased):
    """The attempt under way ends without a word: its mail has come back already."""
    assert await store.write(lambda c: reports.bury(c, leased.id, "no such user", NOW))
    await store.write_together(deliveries.delivered, Sent(leased, "queued", NOW))
    assert (await now_of(store, leased)).state is DeliveryState.DEAD


@pytest.mark.parametrize("state", [DeliveryState.DEAD, DeliveryState.UNCLEAR, DeliveryState.DROPPED])
async def test_other_states_stay_as_they_are(store, leased, state):
    """Only what has left can come back."""
    await store.write(lambda c: deliveries.settle(c, leased, state, NOW, error="before"))
    assert not await store.write(lambda c: reports.bury(c, leased.id, "forged", LATER))
    assert not await store.write(lambda c: reports.send_again(c, leased.id, LATER, "forged"))
    assert ((await now_of(store, leased)).state, (await now_of(store, leased)).last_error) == (state, "before")


async def test_what_waits_unsent_stays_as_it_is(store):
    """A delivery between two attempts is tried again anyway."""
    message_id = await routed(store)
    [waiting] = await store.read(lambda c: deliveries.of_message(c, message_id))
    assert not await store.write(lambda c: reports.bury(c, waiting.id, "forged", LATER))
    assert not await store.write(lambda c: reports.bury(c, waiting.id + 1000, "forged", LATER))
    assert (await now_of(store, waiting)).state is DeliveryState.WAITING


async def test_a_message_that_was_passed_on_needs_no_other_copy(store, sent):
    """A delivery is wanted while its decision is in force; an alert always is."""

    def pass_on(connection):
        decision = decisions.get(connection, sent.decision_id)
        decision_id = decisions.add(connection, replace(decision, department="meals"))
        messages.set_state(connection, sent.message_id, State.ROUTED, "", decision_id)

    assert await store.read(lambda c: reports.is_wanted(c, sent))
    await store.write(pass_on)
    assert not await store.read(lambda c: reports.is_wanted(c, sent))
    assert await store.read(lambda c: reports.is_wanted(c, replace(sent, kind=DeliveryKind.ALERT)))


async def test_what_a_report_said_is_kept(store, sent):
    """A content with a report comes back from the store as it went in."""
    fate = Fate(recipients=("a@b.example", "c@d.example"), action="failed", status="5.1.1", said="no")
    content = Content(report=Report(kind="delivery-status", mail_id="<1@x>", fates=(fate, Fate())))
    receipt = await accept(store, inbound("report"))
    [undecided] = await store.write(lambda c: messages.lease_undecided(c, "d1", 1))
    message = Message(id=undecided.id, channel="mail", medium=Medium.EMAIL, received_at=NOW, content=content)
    verdict = Verdict(message=message, state=State.FILED, detail="a report")
    await store.write(lambda c: outbox.commit_verdicts(c, [verdict], lambda _decision: [], NOW))

    assert (await store.read(lambda c: messages.get(c, receipt.message_id))).content == content
