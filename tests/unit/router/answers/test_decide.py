"""Automatic answers: decided with the verdict, sent once, and dropped where that can't be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from router.answers.decide import Answers
from router.errors import Permanent, Retryable, Unclear
from router.life.watch import Watch
from router.records import DeliveryKind, DeliveryState, Medium, State
from router.store import deliveries, ledger, messages, tables
from router.store.engine import open_store
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.answers.answering import ANA, DOMAIN, Answering
from tests.unit.router.district import ALERTS, RING

ANSWER, ROUTE = DeliveryKind.ANSWER, DeliveryKind.ROUTE


@pytest.fixture
async def clocked(sqlite_url):
    """A store whose time stands still."""
    opened = open_store(sqlite_url, FakeClock(datetime(2026, 3, 2, 12, 0, tzinfo=UTC)))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def district(clocked, log, rng):
    """A district that answers, with a sink that records."""
    return Answering(clocked, log, rng, sink=RecordingSink())


async def statuses(district):
    """Return the ledger."""
    return await district.store.read(lambda c: ledger.status(c, district.store.clock.now()))


# --- to families ------------------------------------------------------------------------------------------------------


async def test_a_family_is_told_the_reference_and_the_department(district):
    """By the sink of its channel, in its language, beside the ordinary delivery; nothing of the message is with it."""
    message_id = await district.write("buses que llegan tarde", language="es", subject="Mi hijo")
    [answer] = await district.of(message_id, ANSWER)

    assert (answer.via, answer.to, answer.department, answer.state) == ("relay", ANA, "buses", DeliveryState.WAITING)
    assert "Buses" in answer.notice.text
    assert message_id in answer.notice.subject
    assert "Hemos recibido" in answer.notice.subject
    assert "hijo" not in answer.notice.text + answer.notice.subject

    await district.dispatch()
    by_kind = {forward.delivery.kind: forward for forward in district.dispatcher._sink.sent}
    assert set(by_kind) == {ROUTE, ANSWER}
    sent = by_kind[ANSWER]
    assert (sent.message, sent.original, sent.decision, sent.misroute_url) == (None, b"", None, "")
    assert sent.in_reply_to == by_kind[ROUTE].message.content.external_id
    assert sent.mail_id != by_kind[ROUTE].mail_id


async def test_a_text_is_answered_by_the_line_itself(district):
    """The channel that took it in sends the answer, to the very address it came from."""
    message_id = await district.text(sender="whatsapp:+15555550111")

    [answer] = await district.of(message_id, ANSWER)
    assert (answer.via, answer.to) == ("line", "whatsapp:+15555550111")
    assert "Text STOP" in answer.notice.text


async def test_at_most_one_a_day(district):
    """The same person, however the address is written and whatever way is taken, is answered once."""
    await district.write()
    again = [
        await district.write("meals?", sender="Ana+school@HOME.example"),
        await district.write("meals!", medium=Medium.WEB_FORM, channel="form", reply_to=ANA),
    ]
    district.store.clock.advance(timedelta(hours=24))
    later = await district.write()

    assert [await district.of(message_id, ANSWER) for message_id in again] == [[], []]
    assert len(await district.of(later, ANSWER)) == 1


async def test_an_urgent_message_is_answered_without_a_promise(district):
    """Whom to call stands first."""
    [answer] = await district.of(await district.write("buses my son is missing"), ANSWER)

    assert answer.notice.text.startswith("If this is an emergency, call 911.")


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("hold this", {}),
        ("stop", {}),
        ("buses", {"auto_submitted": True}),
        ("buses", {"suspicion": "a field was filled in that people don't see"}),
        ("buses", {"unreadable": "too deep"}),
        ("buses", {"sender": "contact@d.example"}),
        ("buses", {"sender": "Buses@district.example"}),
        ("buses", {"sender": ""}),
        ("buses", {"headers": {"return-path": ["<another@home.example>"]}}),
    ],
)
async def test_who_is_not_acknowledged(district, text, content):
    """What is held or filed, programs, suspects, ourselves, the departments, nobody, and forged senders."""
    assert await district.of(await district.write(text, **content), ANSWER) == []


async def test_only_channels_that_acknowledge_do(clocked, log, rng):
    """It is off unless a channel's settings say otherwise."""
    district = Answering(clocked, log, rng, via={})

    assert await district.of(await district.write(), ANSWER) == []


async def test_no_text_to_who_wants_none(district):
    """STOP holds for answers, too."""
    await district.text("stop", keyword="stop")

    assert await district.of(await district.text(), ANSWER) == []


async def test_what_a_person_released_is_not_acknowledged(district):
    """What held it may have been right."""
    message_id = await district.write("buses", headers={"return-path": [f"<{ANA}>"]}, hops=99)
    release = district.corrections.release
    await district.store.write(lambda c: release(c, message_id, None, "jo@d.example", district.store.clock.now()))
    await district.decide()

    assert await district.store.read(lambda c: messages.state_of(c, message_id)) is State.ROUTED
    assert await district.of(message_id, ANSWER) == []


async def test_while_it_only_observes_no_department_is_named(clocked, log, rng):
    """The front office answers then, whatever the model thinks."""
    district = Answering(clocked, log, rng, observe=True)
    [answer] = await district.of(await district.write(), ANSWER)

    assert (answer.department, "Buses" in answer.notice.text, "Office" in answer.notice.text) == ("", False, False)


async def test_the_caps_hold_within_one_batch(clocked, log, rng):
    """A flood of senders is answered up to the cap, and every message is routed."""
    district = Answering(clocked, log, rng, per_hour=5, per_domain=3)
    ids = [await district.write(sender=f"p{n}@{n % 2}.example") for n in range(12)]

    assert sum([len(await district.of(message_id, ANSWER)) for message_id in ids]) == 5
    assert (await statuses(district))["messages"]["routed"] == 12


async def test_answers_that_fail_stop_nothing(district, monkeypatch):
    """A fault in them is logged; the message goes to its desk."""
    monkeypatch.setattr(Answers, "give", lambda *_arguments: 1 / 0)
    message_id = await district.write()

    assert [delivery.kind for delivery in await district.deliveries(message_id)] == [ROUTE]


# --- to staff ---------------------------------------------------------------------------------------------------------


async def forwarded(district, **content):
    """Return a family's message and the Message-ID under which it was forwarded."""
    message_id = await district.write(**content)
    [route] = await district.of(message_id, ROUTE)
    return message_id, RING.mail_id(route.id, DOMAIN)


async def test_a_reply_that_reaches_nobody_is_told_once(district):
    """It is held; who wrote it hears so once for each conversation, with the family's address."""
    first, ours = await forwarded(district)
    replies = [
        await district.write("Thanks!", sender="jo@district.example", in_reply_to=ours, subject="Re: secret")
        for _ in range(2)
    ]
    _other, other_ours = await forwarded(district, sender="ben@home.example")
    replies.append(await district.write("Thanks!", sender="jo@district.example", in_reply_to=other_ours))

    found = [await district.of(reply, ANSWER) for reply in replies]
    assert [len(answers) for answers in found] == [1, 0, 1]
    told = found[0][0]
    assert (told.via, told.to, told.decision_id) == ("relay", "jo@district.example", None)
    assert ANA in told.notice.text
    assert first in told.notice.text
    assert replies[0] in told.notice.text
    assert "secret" not in told.notice.text + told.notice.subject


async def test_a_department_that_replies_is_told_too(district):
    """An address that we deliver to is never acknowledged, but it is told that nobody got its reply."""
    _first, ours = await forwarded(district)
    reply = await district.write("Thanks!", sender="buses@district.example", in_reply_to=ours)

    assert len(await district.of(reply, ANSWER)) == 1


async def test_only_the_desk_and_those_beside_it_are_told_an_address(district):
    """Whoever had a copy knows our Message-ID; a father isn't given the mother's address."""
    _first, ours = await forwarded(district)
    reply = await district.write("Thanks!", sender="carl@home.example", references=[ours])

    [told] = await district.of(reply, ANSWER)
    assert ANA not in told.notice.text
    assert "take the address" in told.notice.text


async def test_no_number_is_told(district):
    """It stands in the mail that was forwarded, and nowhere else."""
    message_id = await district.text(phone="+15555550111")
    [route] = await district.of(message_id, ROUTE)
    ours = RING.mail_id(route.id, DOMAIN)
    reply = await district.write("Thanks!", sender="jo@district.example", in_reply_to=ours)

    [told] = await district.of(reply, ANSWER)
    assert "has their number" in told.notice.text
    assert "5555" not in told.notice.text


@pytest.mark.parametrize("content", [{"auto_submitted": True}, {"headers": {}}, {"suspicion": "spam"}])
async def test_who_is_not_told(district, content):
    """The same guards: an absence notice, a forged sender and spam get no answer."""
    _first, ours = await forwarded(district)
    reply = await district.write("Thanks!", sender="jo@district.example", in_reply_to=ours, **content)

    assert await district.store.read(lambda c: messages.state_of(c, reply)) is State.HELD
    assert await district.of(reply, ANSWER) == []


async def test_a_program_that_replies_to_everything_is_answered_once(district):
    """It says nothing of being one: its reply to our mail is answered, its reply to that is held and isn't."""
    _first, ours = await forwarded(district)
    reply = await district.write("Got it!", sender="desk@district.example", in_reply_to=ours)
    [told] = await district.of(reply, ANSWER)
    again = await district.write("Got it!", sender="desk@district.example", in_reply_to=RING.mail_id(told.id, DOMAIN))

    assert await district.store.read(lambda c: messages.state_of(c, again)) is State.HELD
    assert await district.deliveries(again) == []


@pytest.mark.parametrize("sender", [ANA, "carl@home.example"])
async def test_a_family_may_write_back_to_its_acknowledgement(district, sender):
    """Anybody of it: that is a message as any other."""
    [answer] = await district.of(await district.write(), ANSWER)
    again = await district.write("meals?", sender=sender, in_reply_to=RING.mail_id(answer.id, DOMAIN))

    assert await district.store.read(lambda c: messages.state_of(c, again)) is State.ROUTED


# --- on their way -----------------------------------------------------------------------------------------------------


async def sent(district, *failures, age=timedelta(0), lost_leases=0):
    """Write a message and attempt its answer; return the answer."""
    message_id = await district.write()
    [answer] = await district.of(message_id, ANSWER)
    await district.store.write(lambda c: c.execute(update(tables.deliveries).values(lost_leases=lost_leases)))
    await district.store.write(lambda c: deliveries.drop(c, answer.id - 1, district.store.clock.now()))  # the route
    district.dispatcher._sink.failures = list(failures)
    district.store.clock.advance(age)
    await district.dispatch()
    [answer] = await district.of(message_id, ANSWER)
    return answer


@pytest.mark.parametrize(
    ("how", "attempts"),
    [
        ({"failures": [Permanent("no such user")]}, 1),
        ({"failures": [Unclear("lost")]}, 1),  # it may have arrived: there is no second one
        ({"age": timedelta(days=1)}, 0),
        ({"lost_leases": 1}, 0),
        ({}, 1),
    ],
)
async def test_an_answer_that_cannot_be_sent_is_dropped(district, how, attempts):
    """No dead letter, nobody is alarmed, and the ledger of deliveries shows nothing of it."""
    answer = await sent(district, *how.pop("failures", ()), **how)
    sink = district.dispatcher._sink
    status = await statuses(district)

    arrived = bool(sink.sent)
    assert answer.state is (DeliveryState.DELIVERED if arrived else DeliveryState.DROPPED)
    assert len(sink.attempts) == attempts
    assert [forward.delivery.kind for forward in sink.sent] == [ANSWER] * arrived
    assert status["answers"] == {"waiting": 0, "delivered": int(arrived), "dropped": int(not arrived)}
    assert status["deliveries"] == {"waiting": 0, "delivered": 0, "unclear": 0, "dead": 0, "dropped": 1}


async def test_an_answer_is_tried_again_for_a_day(district):
    """A passing trouble is waited for; after a day it is over. Nobody's mail is said to be late for it."""
    answer = await sent(district, Retryable("450 later"))
    assert (answer.state, answer.attempts) == (DeliveryState.WAITING, 1)
    assert (await statuses(district))["oldest_waiting_s"] == 0

    district.store.clock.advance(timedelta(hours=23))
    district.dispatcher._sink.failures = [Retryable("450 later")]
    await Watch(district.store, ALERTS, {"relay"}).look()
    await district.dispatch()
    district.store.clock.advance(timedelta(hours=2))
    await district.dispatch()

    [answer] = await district.of(answer.message_id, ANSWER)
    assert (answer.state, answer.attempts) == (DeliveryState.DROPPED, 3)
    assert district.dispatcher._sink.sent == []
    assert len(district.dispatcher._sink.attempts) == 2


async def test_an_answer_for_a_channel_that_is_gone_is_dropped(district):
    """A removed sink makes dead letters of messages, not of answers."""
    message_id = await district.write()
    await Watch(district.store, ALERTS, {"new-relay"}).look()

    states = {delivery.kind: delivery.state for delivery in await district.deliveries(message_id)}
    assert states == {ROUTE: DeliveryState.DEAD, ANSWER: DeliveryState.DROPPED}


async def test_messages_go_before_answers(clocked, log, rng):
    """Where the mail server is slow, answers wait until everything else has left."""
    district = Answering(clocked, log, rng, sink=RecordingSink(concurrency=1))
    for n in range(20):
        await district.write(sender=f"p{n}@home.example")
    await district.dispatch()

    kinds = [forward.delivery.kind for forward in district.dispatcher._sink.sent]
    assert kinds == [ROUTE] * 20 + [ANSWER] * 20


async def test_the_same_answer_has_the_same_message_id(district):
    """A retry can be recognised."""
    answer = await sent(district, Retryable("450 later"))
    district.store.clock.advance(timedelta(minutes=5))
    await district.dispatch()

    first, second = district.dispatcher._sink.attempts
    assert first.mail_id == second.mail_id == RING.mail_id(answer.id, DOMAIN)
    assert replace(first, delivery=second.delivery) == second
