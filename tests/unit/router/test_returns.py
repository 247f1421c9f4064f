"""What comes back is a dead letter, or is sent again; people hear of it, and the fallback gets the message."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256

import pytest

from channels._failures import is_for_good
from channels._mime import understand
from router.records import DeliveryKind, DeliveryState, Destination, Inbound, Medium, State
from router.routing.answer import MarkUrgent
from router.routing.reports import Reports
from router.store import arrivals, deliveries, ledger, messages
from router.store.arrivals import Arrival
from router.store.engine import open_store
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.channels import bounces
from tests.unit.router.district import RING, ByFirstWord, District, plain_text

BUSES, OFFICE, IT, SAFETY = (f"{desk}@district.example" for desk in ("buses", "office", "it", "safety"))
FULL = {"status": "5.2.2", "said": "smtp; 552 5.2.2 mailbox full"}


class Alarm:
    """Marks what holds the word "alarm", wherever it stands."""

    name = "alarm"

    async def decide(self, batch):
        """Mark, or have nothing to say."""
        return [MarkUrgent("alarm") if "alarm" in message.content.text else None for message in batch]


async def read(original, facts, medium):
    """Understand mail as mail, and the rest as plain text."""
    return understand(original, facts, medium) if medium == "email" else await plain_text(original, facts, medium)


@pytest.fixture
async def store(sqlite_url):
    """A store whose clock the test moves."""
    opened = open_store(sqlite_url, FakeClock())
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def district(store, log, rng):
    """A district with a mailbox `mail` that its mail server writes to."""
    steps = (Alarm(), Reports(store, RING, "d.example", {"mail"}, is_for_good), ByFirstWord())
    return District(store, log, rng, steps=steps, sink=RecordingSink(), understand=read)


@pytest.fixture
def come_back(district):
    """Return a function that hands in a mail server's report on a delivery; it returns the report's own id."""

    async def hand_in(delivery, number=1, make=bounces.report, **how):
        original = make(RING.mail_id(delivery.id, "d.example"), delivery.to, number=number, **how)
        item = Inbound(
            source_key=f"report-{delivery.id}-{number}",
            channel="mail",
            medium=Medium.EMAIL,
            received_at=district.store.clock.now(),
            original=original,
            facts={"envelope_from": ""},
        )
        arrival = Arrival(item, sha256(original).hexdigest(), "")
        message_id = (await district.store.write_together(arrivals.accept, arrival)).message_id
        await district.decide()
        return message_id

    return hand_in


async def sent(district, text="buses are late"):
    """Return a message's id and the delivery that took it to its desk."""
    message_id = await district.route(text)
    await district.dispatch()
    [delivery] = [d for d in await district.deliveries(message_id) if d.kind is DeliveryKind.ROUTE]
    return message_id, delivery


async def outcome(district, delivery):
    """Return a delivery as it is now."""
    return await district.store.read(lambda c: deliveries.get(c, delivery.id))


async def news(district):
    """Dispatch and return what has been sent since the last time."""
    seen = len(district.dispatcher._sink.sent)
    await district.dispatch()
    return district.dispatcher._sink.sent[seen:]


async def test_what_came_back_for_good_reaches_the_fallback(district, come_back):
    """Dead with a sentence; operations are told; the fallback gets the message and why; the report is filed."""
    message_id, delivery = await sent(district)
    report_id = await come_back(delivery)

    assert (await outcome(district, delivery)).state is DeliveryState.DEAD
    assert "550 5.1.1 No such user here" in (await outcome(district, delivery)).last_error
    alert, copy = sorted(await news(district), key=lambda forward: forward.delivery.kind)
    assert (alert.delivery.to, copy.delivery.to) == (IT, OFFICE)
    assert f"Delivery {delivery.id} of message {message_id} came back" in alert.notice.text
    assert "Office gets the message as well" in alert.notice.text
    assert (copy.message.id, copy.original, copy.meant_for) == (message_id, b"buses are late", "Buses")
    assert await district.store.read(lambda c: messages.state_of(c, report_id)) is State.FILED
    status = await district.store.read(lambda c: ledger.status(c, district.store.clock.now()))
    assert status["messages"] == {"received": 2, "routed": 1, "held": 0, "filed": 1, "undecided": 0}


async def test_the_same_failure_again_changes_nothing(district, come_back):
    """Servers repeat themselves: one dead letter, one copy, one alert."""
    message_id, delivery = await sent(district)
    for number in range(3):
        await come_back(delivery, number)
    assert sorted(forward.delivery.to for forward in await news(district)) == [IT, OFFICE]
    assert len(await district.deliveries(message_id)) == 2


async def test_the_fallback_s_own_failure_goes_round_nowhere(district, come_back):
    """Neither what was for the fallback nor its copy of another's message makes a further copy."""
    _message_id, delivery = await sent(district, "zzz")
    await come_back(delivery)
    assert [forward.delivery.to for forward in await news(district)] == [IT]

    district.store.clock.advance(timedelta(hours=1))
    message_id, delivery = await sent(district)
    await come_back(delivery)
    await news(district)
    [copy] = [d for d in await district.deliveries(message_id) if d.to == OFFICE]
    await come_back(copy)
    assert (await outcome(district, copy)).state is DeliveryState.DEAD
    assert len(await district.deliveries(message_id)) == 2


async def test_a_department_with_two_failing_addresses_makes_one_copy(district, come_back):
    """Both come back, the fallback has the message once."""
    message_id, first = await sent(district)
    await district.store.write(
        lambda c: deliveries.add(
            c,
            [Destination(via="relay", to="buses-2@district.example")],
            kind=DeliveryKind.ROUTE,
            now=district.store.clock.now(),
            message_id=message_id,
            decision_id=first.decision_id,
            department="buses",
        )
    )
    await district.dispatch()
    for delivery in await district.deliveries(message_id):
        await come_back(delivery)
    assert [d.to for d in await district.deliveries(message_id)].count(OFFICE) == 1


async def test_a_message_that_was_passed_on_stays_there(district, come_back):
    """The old desk's copy is dead, and nobody gets another: the message is with somebody."""
    message_id, delivery = await sent(district)
    now = district.store.clock.now()
    await district.store.write(
        lambda c: district.corrections.flag(c, message_id, "meals", by="jo", via="command", now=now)
    )
    await come_back(delivery, **FULL)
    assert (await outcome(district, delivery)).state is DeliveryState.DEAD
    assert not [d for d in await district.deliveries(message_id) if d.to == OFFICE]


async def test_a_full_mailbox_is_tried_again_with_the_same_message_id(district, come_back):
    """It waits for an hour and more, operations hear of it, and the second copy is the same mail."""
    message_id, delivery = await sent(district)
    await come_back(delivery, **FULL)

    assert (await outcome(district, delivery)).state is DeliveryState.WAITING
    [alert] = await news(district)
    assert "It will be sent again" in alert.notice.text
    district.store.clock.advance(timedelta(hours=1.3))
    [again] = await news(district)
    assert again.mail_id == RING.mail_id(delivery.id, "d.example")
    assert [d.state for d in await district.deliveries(message_id)] == [DeliveryState.DELIVERED]


async def test_a_mailbox_that_stays_full_is_given_up(district, come_back):
    """After five days the delivery is dead, and the fallback has the message."""
    message_id, delivery = await sent(district)
    for number in range(20):
        await come_back(delivery, number, **FULL)
        if (await outcome(district, delivery)).state is DeliveryState.DEAD:
            break
        district.store.clock.advance(timedelta(days=1.3))
        await district.dispatch()
    assert 4 <= number <= 10
    assert [d.to for d in await district.deliveries(message_id)] == [BUSES, OFFICE]


async def test_an_urgent_message_does_not_wait_for_room(district, come_back):
    """What is urgent and came back for a while goes to the fallback at once, and is sent again too."""
    message_id, delivery = await sent(district, "buses alarm")
    await come_back(delivery, **FULL)
    assert OFFICE in [forward.delivery.to for forward in await news(district)]
    assert (await outcome(district, delivery)).state is DeliveryState.WAITING
    assert len([d for d in await district.deliveries(message_id) if d.kind is DeliveryKind.ROUTE]) == 2


async def test_a_report_that_quotes_an_alarm_is_no_second_alarm(district, come_back):
    """The returned words were told when they came: the report is filed, nobody is alarmed again."""
    _message_id, delivery = await sent(district)
    report_id = await come_back(delivery, make=quoting)
    assert await district.store.read(lambda c: messages.state_of(c, report_id)) is State.FILED
    assert SAFETY not in [forward.delivery.to for forward in await news(district)]


def quoting(mail_id, to, number):
    """Return a bounce in words, with the family's own below."""
    return bounces.qmail(mail_id, to) + b"alarm\r\n"


async def test_an_alert_that_came_back_is_told_to_the_others(district, come_back):
    """An urgent alert that the safety desk's server sent back goes to operations, with the message."""
    message_id = await district.route("buses alarm")
    await district.dispatch()
    [alert] = [d for d in await district.deliveries(message_id) if d.kind is DeliveryKind.ALERT]
    assert alert.to == SAFETY
    await come_back(alert)

    [told] = await news(district)
    assert (told.delivery.to, told.message.id) == (IT, message_id)
    assert told.notice.subject.startswith("Not delivered: URGENT")
    assert (await outcome(district, alert)).state is DeliveryState.DEAD


async def test_alerts_that_come_back_from_everybody_end(district, come_back):
    """Two addresses that both fail don't tell each other for ever."""
    message_id = await district.route("buses alarm")
    for _ in range(10):
        await district.dispatch()
        open_ = [d for d in await district.deliveries(message_id) if d.kind is DeliveryKind.ALERT]
        left = [d for d in open_ if d.state is DeliveryState.DELIVERED]
        if not left:
            break
        for alert in left:
            await come_back(alert)
    assert not left
    assert len(open_) <= 4


async def test_an_alert_of_operations_that_came_back_with_nobody_else_to_tell(district, come_back):
    """It is a dead letter, and that is all."""
    _message_id, delivery = await sent(district)
    await come_back(delivery)
    [alert] = [forward.delivery for forward in await news(district) if forward.delivery.kind is DeliveryKind.ALERT]
    await come_back(alert)
    assert (await outcome(district, alert)).state is DeliveryState.DEAD
    assert await news(district) == []


async def test_a_forged_report_changes_nothing(district, come_back):
    """Another district's Message-ID, another recipient, a person's own reverse path: all deliveries stay delivered."""
    message_id, delivery = await sent(district)
    await come_back(delivery, make=lambda _mail_id, to, number: bounces.report("<signpost.1.00@d.example>", to))
    await come_back(delivery, 2, make=lambda mail_id, _to, number: bounces.report(mail_id, "x@district.example"))
    assert [d.state for d in await district.deliveries(message_id)] == [DeliveryState.DELIVERED]
    status = await district.store.read(lambda c: ledger.status(c, district.store.clock.now()))
    assert (status["messages"]["held"], status["messages"]["filed"]) == (2, 0)
