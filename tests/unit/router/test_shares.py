"""One sender of thousands doesn't keep the others waiting: in what order, and not how fast."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from router.records import Content, DeliveryKind, Destination, Medium, Message
from router.shares import Shares
from router.store import deliveries, messages
from router.store.tables import deliveries as rows
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.district import District

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
FLOOD = Content(sender="form@mailer.example")


@pytest.fixture
def clock():
    """Turned by hand."""
    return FakeClock(NOW)


def turns(shares, contents, now=NOW, channel="contact", *, written=True):
    """Return the turn of each of some messages that were decided together, None where it is now."""
    made = [
        Message(id=str(number), channel=channel, medium=Medium.WEB_FORM, received_at=now, content=content)
        for number, content in enumerate(contents)
    ]
    found = shares.turns(made, now)
    if written:
        shares.written(message.id for message in made)
    return [found.get(message.id) for message in made]


def families(count):
    """Return what so many families write."""
    return [Content(sender=f"{number}@home.example") for number in range(count)]


def test_a_family_that_writes_a_few_times_waits_behind_nobody():
    """Twelve messages in a row have their turn at once; so has the thirteenth a while later."""
    shares = Shares()
    assert turns(shares, [FLOOD] * 12) == [None] * 12
    assert turns(shares, [FLOOD], NOW + timedelta(seconds=10)) == [None]


def test_of_thousands_each_comes_later_than_the_one_before():
    """The turns of a flood go on, one in ten seconds; other senders of the same channel have theirs at once."""
    shares = Shares()
    found = turns(shares, [FLOOD] * 10_000)[12:]
    assert found == sorted(set(found))
    assert found[-1] - NOW == timedelta(seconds=10 * (10_000 - 12))
    assert turns(shares, families(1)) == [None]


def test_families_that_write_through_one_form_mailer_are_many_senders():
    """Where an address for answers is given, that is who writes; without any address nobody is put behind."""
    shares = Shares()
    contents = [Content(sender="form@mailer.example", reply_to=f"{n}@home.example") for n in range(40)]
    assert turns(shares, contents) == [None] * 40
    assert turns(shares, [Content()] * 40, channel="other") == [None] * 40


def test_the_backlog_of_a_mailbox_puts_no_form_behind():
    """Of a thousand families' mails that are decided at once most have later turns, in their order; a form hasn't."""
    shares = Shares()
    found = turns(shares, families(1_000), channel="mailbox")
    assert found[:40] == [None] * 40
    assert found[40:] == sorted(set(found[40:]))
    assert turns(shares, families(1)) == [None]


def test_a_channel_that_is_busy_all_day_is_put_behind_nobody():
    """Nineteen messages a second, for ten minutes, are within what a channel may send at once."""
    shares = Shares()
    for second in range(600):
        contents = [Content(sender=f"{second}-{number}@home.example") for number in range(19)]
        assert turns(shares, contents, NOW + timedelta(seconds=second)) == [None] * 19


def test_forged_senders_do_not_fill_the_memory():
    """However many senders there are, so many are remembered; those that are quiet again are forgotten."""
    shares = Shares()
    for number in range(30_000):
        turns(shares, [Content(sender=f"{number}@spam.example")])
    assert len(shares._senders._next) == 20_000
    turns(shares, [FLOOD], NOW + timedelta(hours=1))
    assert len(shares._senders._next) == 1


def test_a_clock_that_was_set_back_puts_nobody_behind_for_long():
    """What was counted a year ahead counts no more."""
    shares = Shares()
    turns(shares, [FLOOD] * 20, NOW + timedelta(days=365))
    assert turns(shares, [FLOOD]) == [None]


@pytest.mark.case("P03")
async def test_one_sender_of_thousands_waits_behind_all_others(sqlite_store, log, rng, clock, rounds, tally):
    """After a flood of one sender, 40 messages of others are the first to leave; then the flood does, all of it.

    Before them leave the dozen that anybody may send at once.
    """
    flood = rounds(quick=400, long=10_000)
    district = District(sqlite_store, log, rng, sink=RecordingSink(concurrency=4))
    for number in range(flood):
        await district.accept(f"buses {number}", sender="form@mailer.example")
    await district.decide()
    clock.advance(5)
    for number in range(40):
        await district.accept(f"meals {number}", sender=f"{number}@home.example")
    await district.decide()
    await district.dispatch()
    order = [forward.message.content.sender for forward in district.dispatcher._sink.sent]
    assert Counter(order[:52]) == {"form@mailer.example": 12} | {f"{number}@home.example": 1 for number in range(40)}
    assert len(order) == flood + 40
    tally(messages=flood + 40, lost=flood + 40 - len(order), copies=len(order) - len(set(district_ids(district))))


def district_ids(district):
    """Return the ids of what was sent."""
    return [forward.delivery.id for forward in district.dispatcher._sink.sent]


@pytest.mark.case("P03")
async def test_who_writes_during_a_flood_is_decided_with_the_next_batch(sqlite_store, log, rng, tally):
    """A quarter of each batch is the newest: behind 400 messages, a newcomer waits for one batch and not for twelve."""
    district = District(sqlite_store, log, rng)
    await district.register()
    for number in range(400):
        await district.accept(f"buses {number}")
    await district.stage.run_once()
    late = await district.accept("meals at last")
    await district.stage.run_once()
    assert await sqlite_store.read(lambda c: messages.state_of(c, late)) == "routed"
    assert await district.decide() > 300
    tally(messages=401, lost=0)


async def test_a_batch_fits_into_memory(sqlite_store, log, rng, monkeypatch):
    """Of large messages few are taken at once, and all are decided; small ones go beside them."""
    monkeypatch.setattr("router.store.messages.MOST_BYTES", 50_000)
    district = District(sqlite_store, log, rng)
    await district.register()
    for number in range(5):
        await district.accept(f"buses {number} " + "x" * 30_000)
        await district.accept(f"meals {number}")
    taken = []
    while did := await district.stage.run_once():
        taken.append(did)
    assert taken == [6, 1, 1, 1, 1]  # one large and all small ones, then one by one


async def test_a_turn_is_no_delay(sqlite_store, log, rng):
    """While nothing else waits, the flood leaves at once, and every message of it."""
    district = District(sqlite_store, log, rng, sink=RecordingSink())
    for number in range(60):
        await district.accept(f"buses {number}", sender="form@mailer.example")
    await district.decide()
    await district.dispatch()
    assert len(district.dispatcher._sink.sent) == 60


@pytest.mark.case("P02")
async def test_urgent_messages_leave_first_however_much_waits(sqlite_store, log, rng, tally):
    """Behind 200 others an urgent message's alert, then its delivery, are the first that are leased."""
    district = District(sqlite_store, log, rng)
    for number in range(200):
        await district.accept(f"buses {number}")
    await district.decide()
    message_id = await district.accept("meals he never came home")
    await district.decide()
    [delivery] = await district.deliveries(message_id)
    await sqlite_store.write(lambda c: _make_urgent(c, delivery))
    leased = await sqlite_store.write(lambda c: deliveries.lease(c, "relay", "d1", sqlite_store.clock.now(), 3))
    assert [each.message_id for each in leased[:2]] == [message_id, message_id]
    assert [each.kind.value for each in leased] == ["alert", "route", "route"]
    tally(messages=201, lost=0)


def _make_urgent(connection, delivery):
    """Let a delivery be urgent, with an alert about its message that came later."""
    connection.execute(update(rows).where(rows.c.id == delivery.id).values(urgent=True))
    deliveries.add(
        connection,
        [Destination(via="relay", to="safety@district.example")],
        kind=DeliveryKind.ALERT,
        now=delivery.created_at,
        message_id=delivery.message_id,
        urgent=True,
    )


def test_a_batch_that_was_decided_again_counted_twice():
    """Where the store didn't take it: a message counts once until it is written."""
    shares = Shares()
    for _attempt in range(3):
        assert turns(shares, [FLOOD] * 12, written=False) == [None] * 12
    shares.written(map(str, range(12)))
    assert turns(shares, [FLOOD]) == [NOW + timedelta(seconds=10)]
