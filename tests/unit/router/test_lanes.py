"""One slow or dead host, or a few very large mails, don't stop what goes elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from router.errors import Retryable
from router.lanes import AHEAD, MOST_BYTES, Lanes
from router.life.care import WatchedSink
from router.records import DeliveryKind, DeliveryState
from router.store import deliveries
from router.store.tables import deliveries as delivery_rows
from router.testing import FakeClock, until
from router.testing_sinks import RecordingSink, sample_alert, sample_forward
from tests.unit.router.district import District

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
SLOW, QUICK = "https://slow.example/hook", "https://quick.example/hook"


class ManyHosts(RecordingSink):
    """A sink that reaches any host; what goes to one in `waits` takes until it may end, to one in `down` fails."""

    def __init__(self, **hosts):
        super().__init__(concurrency=4)
        self.waits, self.down = hosts.get("waits", set()), hosts.get("down", set())
        self.begun, self.may_end = [], asyncio.Event()

    def host_of(self, to):
        """Return the host."""
        return urlsplit(to).netloc

    async def send(self, forward):
        """Wait, fail, or send."""
        to = forward.delivery.to
        self.begun.append(to)
        if to in self.waits:
            await self.may_end.wait()
        if to in self.down:
            raise Retryable("the server didn't answer in time")
        return await super().send(forward)


@pytest.fixture
def clock():
    """Turned by hand."""
    return FakeClock(NOW)


async def waiting(store, log, rng, sink, addresses):
    """Return a district with one delivery for each of these addresses, due in this order."""
    watched = WatchedSink(sink, lambda: None, lambda _why: None)  # as every sink of a daemon is
    district = District(store, log, rng, sink=watched)
    for number, to in enumerate(addresses):
        [delivery] = await district.deliveries(await district.route(f"buses {number}"))
        await store.write(lambda c, i=delivery.id, t=to: c.execute(_moved(i, t)))
    return district


def _moved(delivery_id, to):
    return update(delivery_rows).where(delivery_rows.c.id == delivery_id).values(to=to)


async def rounds(district, count):
    """Lease again and again, as a worker does, and let everything run that can."""
    for _ in range(count):
        await district.dispatcher.run_once()
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.mark.case("N02")
async def test_a_host_that_hangs_leaves_a_way_for_the_others(sqlite_store, log, rng, tally):
    """Of four attempts at once it gets three, though forty of its deliveries are due before one to another host."""
    sink = ManyHosts(waits={SLOW})
    district = await waiting(sqlite_store, log, rng, sink, [*[SLOW] * 40, QUICK])
    await rounds(district, 3)
    await until(lambda: len(sink.begun) == 4)
    assert sorted(sink.begun) == [QUICK, SLOW, SLOW, SLOW]
    assert [forward.delivery.to for forward in sink.sent] == [QUICK]
    sink.may_end.set()
    await district.dispatcher.settled()
    await district.dispatch()
    assert len(sink.sent) == 41
    tally(messages=41, faults=1, lost=0, copies=0)


@pytest.mark.case("N02")
async def test_a_dead_host_costs_one_attempt_per_backoff(sqlite_store, log, rng, clock, tally):
    """Of forty deliveries to it few are tried, while all to another one arrive; when it is back, all arrive."""
    sink = ManyHosts(down={SLOW})
    district = await waiting(sqlite_store, log, rng, sink, [*[SLOW] * 40, *[QUICK] * 10])
    for _ in range(40):
        await district.dispatcher.run_once()
        await district.dispatcher.settled()
    assert len(sink.sent) == 10
    assert sink.begun.count(SLOW) <= 8
    sink.down.clear()
    for _ in range(20):
        clock.advance(120)
        await district.dispatch()
    assert len(sink.sent) == 50
    tally(messages=50, faults=1, lost=0, copies=0)


async def test_a_host_that_names_a_time_is_left_alone_until_then(sqlite_store, log, rng, clock):
    """429 with Retry-After: the other deliveries to this host don't ask again before that."""
    sink = RecordingSink(Retryable("the server answered 429", 120.0), concurrency=1)
    district = await waiting(sqlite_store, log, rng, sink, [QUICK] * 5)
    await district.dispatcher.run_once()
    await district.dispatcher.settled()
    asked = len(sink.attempts)
    clock.advance(100)
    await district.dispatch()
    assert len(sink.attempts) == asked
    for _ in range(3):
        clock.advance(60)
        await district.dispatch()
    assert len(sink.sent) == 5


async def test_an_alarm_tries_a_host_that_is_left_alone(sqlite_store, log, rng):
    """Whoever said 429 hears of a child that didn't come home all the same, while the rest waits."""
    sink = RecordingSink(Retryable("the server answered 429", 900.0), concurrency=4)
    sink.host_of = lambda to: urlsplit(to).netloc
    district = await waiting(sqlite_store, log, rng, sink, [SLOW] * 3)
    await district.dispatcher.run_once()
    await district.dispatcher.settled()
    asked = len(sink.attempts)
    [alarm] = await district.deliveries(await district.route("buses: he never came home"))
    values = {"to": SLOW, "kind": DeliveryKind.ALERT.value, "urgent": True}
    await district.store.write(
        lambda c: c.execute(update(delivery_rows).where(delivery_rows.c.id == alarm.id).values(**values))
    )
    await district.dispatcher.run_once()
    await district.dispatcher.settled()
    assert [forward.delivery.id for forward in sink.attempts[asked:]] == [alarm.id]


async def test_what_is_given_back_was_not_attempted(sqlite_store, log, rng):
    """What was leased for a host that has its share goes back as it was, and counts no attempt."""
    sink = ManyHosts(waits={SLOW})
    district = await waiting(sqlite_store, log, rng, sink, [SLOW] * 10)
    await rounds(district, 2)
    found = await sqlite_store.read(lambda c: deliveries.in_states(c, ["waiting"], 100))
    assert sorted(delivery.attempts for delivery in found) == [0] * 7 + [1] * 3
    sink.may_end.set()
    await district.dispatcher.settled()


def test_bytes_under_way_are_bounded(rng):
    """Twenty mails of 24 MB aren't in memory together: two are; an alert and small mails go beside them."""
    lanes = Lanes(RecordingSink(), rng)
    large = [sample_forward(number).delivery for number in range(1, 21)]
    small, alert = sample_forward(30).delivery, sample_alert(31).delivery
    sizes = {delivery.message_id: 24_000_000 for delivery in large} | {small.message_id: 0}
    begun = lanes.fitting([*large, small, alert], sizes, NOW)
    assert begun == [*large[:2], small, alert]
    for delivery in begun:
        lanes.begin(delivery, sizes.get(delivery.message_id, 0))
    assert lanes.fitting(large[2:], sizes, NOW) == []
    lanes.end(large[0])
    assert lanes.fitting(large[2:], sizes, NOW) == large[2:3]


def test_one_that_is_larger_than_the_bound_goes_alone(rng):
    """Nothing is too large to be sent."""
    lanes, delivery = Lanes(RecordingSink(), rng), sample_forward(1).delivery
    assert lanes.fitting([delivery], {delivery.message_id: 2 * MOST_BYTES}, NOW) == [delivery]


def test_a_sink_with_one_host_is_served_as_ever(rng):
    """Without `host_of` all attempts are one lane's, and after five failures one goes at a time."""
    lanes = Lanes(RecordingSink(concurrency=4), rng)
    assert lanes.room(NOW) == 4 + AHEAD
    for _ in range(5):
        lanes.of("a@b.example").breaker.failed(NOW)
    assert lanes.room(NOW) == 0
    assert lanes.room(NOW + timedelta(seconds=4)) == 1
    assert lanes.shut(NOW) == []


async def test_large_mails_leave_one_after_the_other(sqlite_store, log, rng, monkeypatch):
    """Six mails of which two would be too much at once: one is held at a time, and each arrives at once."""
    monkeypatch.setattr("router.lanes.MOST_BYTES", 48_000)
    district = District(sqlite_store, log, rng, sink=RecordingSink())
    for number in range(6):
        await district.accept(f"buses {number} " + "x" * 24_000)
    await district.decide()
    loaded = []
    while await district.dispatcher.run_once():
        loaded.append(len(district.dispatcher.holding))
        await district.dispatcher.settled()
    assert loaded == [1] * 6  # 24,008 octets each
    assert len(district.dispatcher._sink.sent) == 6
    states = await sqlite_store.read(lambda c: deliveries.in_states(c, [DeliveryState.DELIVERED.value], 10))
    assert {delivery.attempts for delivery in states} == {1}


def test_a_large_mail_is_not_overtaken_for_ever(rng):
    """While it waits for room, no other large one goes, and small ones take no room that it needs."""
    lanes, largest = Lanes(RecordingSink(), rng), 26_214_400
    first, second, third = (sample_forward(number).delivery for number in (1, 2, 3))
    small = [sample_forward(number).delivery for number in range(10, 40)]
    sizes = {first.message_id: largest, second.message_id: largest, third.message_id: 10_000_000}
    sizes |= {each.message_id: 1_000_000 for each in small}
    begun = lanes.fitting([first, second, third, *small], sizes, NOW)
    assert begun == [first, *small[:12]]
    for delivery in begun:
        lanes.begin(delivery, sizes[delivery.message_id])
    assert lanes.fitting([second, third, *small[12:]], sizes, NOW) == []
    lanes.end(first)
    assert lanes.fitting([second, third, *small[12:]], sizes, NOW) == [second, third]


def test_an_answer_has_not_the_size_of_what_it_answers(rng):
    """An acknowledgement is small, however large the mail was."""
    lanes = Lanes(RecordingSink(), rng)
    mail, answered = sample_forward(1).delivery, sample_forward(2).delivery
    answer = replace(answered, kind=DeliveryKind.ANSWER)
    sizes = dict.fromkeys((mail.message_id, answer.message_id), 40_000_000)
    assert lanes.fitting([mail, answer], sizes, NOW) == [mail, answer]


def test_of_a_host_that_may_be_back_one_attempt_is_made(rng):
    """Half open: what was leased beside the one that tries it waits for what that one finds."""
    lanes, later = Lanes(RecordingSink(concurrency=4), rng), NOW + timedelta(seconds=4)
    for _ in range(5):
        lanes.of("a@b.example").breaker.failed(NOW)
    assert lanes.is_shut("a@b.example", NOW)
    assert not lanes.is_shut("a@b.example", later)
    with lanes.of("a@b.example").attempt():
        assert lanes.is_shut("a@b.example", later)
    assert not lanes.is_shut("a@b.example", later)
