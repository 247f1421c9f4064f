"""Nothing makes an alert late: not letters that hang or are paced, not a breaker that is open, not other news."""

from __future__ import annotations

import asyncio

import pytest

from router.errors import Permanent, Retryable, Unclear
from router.records import DeliveryKind, DeliveryState
from router.testing import FakeClock, until
from router.testing_sinks import RecordingSink
from tests.unit.router.alarms import alarmed, alerts, notes

SAFETY, IT = "safety@district.example", "it@district.example"
A_DAY_S = 86_400.0


@pytest.fixture
def clock():
    """A clock that is turned by hand."""
    return FakeClock()


@pytest.fixture
def store(sqlite_store):
    """The kind of store doesn't matter here."""
    return sqlite_store


class LettersHang(RecordingSink):
    """A sink that sends alerts, and whose letters wait until they may go."""

    def __init__(self):
        super().__init__(concurrency=2)
        self.may_go = asyncio.Event()

    async def send(self, forward):
        """Wait, unless it is an alert."""
        if forward.delivery.kind is not DeliveryKind.ALERT:
            await self.may_go.wait()
        return await super().send(forward)


class LettersFail(RecordingSink):
    """A sink that takes alerts only; `down` makes it take nothing."""

    down = True

    async def send(self, forward):
        """Fail, unless it is an alert and the other side is back."""
        if self.down or forward.delivery.kind is not DeliveryKind.ALERT:
            self.attempts.append(forward)
            raise Retryable("no route to host")
        return await super().send(forward)


@pytest.mark.parametrize("letters", [2, 40])
async def test_an_alert_leaves_while_letters_hang(store, log, rng, letters):
    """Letters hold every slot, and more are leased than the sink sends at once: the alert leaves all the same."""
    sink = LettersHang()
    district = alarmed(store, log, rng, sink=sink)
    for number in range(letters):
        await district.route(f"meals number {number}")
    await district.dispatcher.run_once()
    await district.route("buses she is missing")

    await district.dispatcher.run_once()
    await until(lambda: sink.sent)

    assert [forward.delivery.to for forward in sink.sent] == [SAFETY]
    sink.may_go.set()
    await district.dispatcher.settled()


async def test_alerts_go_where_the_breaker_lets_nothing_go(store, log, rng, clock):
    """A new alarm is tried though the breaker is open; once it has arrived, letters are tried again, too."""
    sink = LettersFail()
    district = alarmed(store, log, rng, sink=sink)
    for number in range(8):
        await district.route(f"meals number {number}")
    await district.dispatch()
    assert len(sink.attempts) == 5  # the others were leased, too, and were given back
    await district.route("meals once more")
    assert await district.dispatcher.run_once() == 0

    district.dispatcher._alerts_from = 0.0  # a second later
    sink.down = False
    await district.route("buses she is missing")
    assert await district.dispatcher.run_once() == 1
    await district.dispatcher.settled()

    assert [forward.delivery.to for forward in sink.sent] == [SAFETY]
    assert await district.dispatcher.run_once() == 5  # three letters, one more, and that of the alarm


@pytest.mark.parametrize("error", [Retryable("busy", A_DAY_S), RuntimeError("a fault")], ids=["asked", "fault"])
async def test_an_alert_is_tried_every_minute(store, log, rng, clock, error):
    """After two hours without a relay the alert arrives within a minute of its return; the letter may wait longer."""
    district = alarmed(store, log, rng, sink=RecordingSink(*[error] * 1000))
    message_id = await district.route("buses she is missing")
    for _ in range(120):
        district.dispatcher._alerts_from = 0.0
        await district.dispatch()
        [alert] = await alerts(store, message_id)
        assert 0 < (alert.next_attempt_at - clock.now()).total_seconds() <= 60
        clock.advance(60)
    district.dispatcher._sink.failures.clear()
    district.dispatcher._alerts_from = 0.0
    await district.dispatch()
    [alert] = await alerts(store, message_id)
    assert alert.state is DeliveryState.DELIVERED


@pytest.mark.parametrize(
    ("failures", "state"),
    [([Permanent("no such mailbox")], "could not be delivered"), ([Unclear("lost")] * 2, "was probably delivered")],
)
async def test_a_lost_alert_is_told_whatever_was_told_before(store, log, rng, clock, failures, state):
    """Another dead letter a moment ago doesn't swallow it, and it doesn't swallow the next one's news."""
    sink = RecordingSink(Permanent("gone"), concurrency=1)
    district = alarmed(store, log, rng, sink=sink)
    await district.route("meals please")
    await district.dispatch()
    for number in range(2):
        sink.failures.extend(failures[:1])
        message_id = await district.route(f"buses {number} are missing")
        await district.dispatch()
        for again in failures[1:]:
            clock.advance(60)
            sink.failures.append(again)
            await district.dispatch()
        said = [f.notice for f in sink.sent if f.notice and f.notice.subject.startswith("An alert about")]
        assert len(said) == number + 1
        assert said[-1].subject.startswith(f"An alert about the urgent message {message_id} {state}")
        assert SAFETY in said[-1].text
    assert len([to for to, subject in await notes(store) if to == IT and subject.startswith("Delivery")]) == 1


async def test_an_alert_to_operations_that_is_lost_ends_there(store, log, rng):
    """News of a lost alert that is lost itself brings no further news, for ever."""
    sink = RecordingSink(*[Permanent("gone")] * 100, concurrency=1)
    district = alarmed(store, log, rng, sink=sink)
    await district.route("buses she is missing")
    await district.dispatch()
    assert len(sink.attempts) == 4  # the alert and its letter, and news of each
