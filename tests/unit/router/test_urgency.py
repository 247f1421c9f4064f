"""Urgent messages until somebody has them: who is told when, how it ends, and that nothing holds an alert back."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from router.commands import Commands
from router.errors import NotFound, Permanent
from router.metrics import Metrics
from router.records import DeliveryKind, DeliveryState, State
from router.routing.answer import File, Hold, MarkUrgent
from router.store import alarms, deliveries, ledger, messages
from router.store.engine import open_store
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from router.urgency import acknowledge, stand
from tests.unit.router.alarms import AFTER, THEN, alarmed, alerts, escalation, notes, told
from tests.unit.router.district import ByFirstWord, District

SAFETY, PRINCIPAL, ON_DUTY, IT = (
    "safety@district.example",
    "principal@district.example",
    "+15555550123",
    "it@district.example",
)


@pytest.fixture
def clock():
    """A clock that is turned by hand."""
    return FakeClock()


@pytest.fixture
def store(sqlite_store):
    """The kind of store doesn't matter here."""
    return sqlite_store


@pytest.fixture
async def district(store, log, rng):
    """A district in which "missing" is urgent."""
    return alarmed(store, log, rng, sink=RecordingSink(concurrency=1))


async def waiting(store):
    """Return what `status` says of urgent messages."""
    return (await store.read(lambda c: ledger.status(c, store.clock.now())))["urgent"]


async def test_each_is_told_after_the_same_delay(district, store, log, clock):
    """Nobody acknowledges: the next in `then` after five minutes, the one after him five minutes later, then nobody."""
    message_id = await district.route("buses she is missing")
    passing_on = escalation(store, log)
    expected = [SAFETY]
    for more in ([PRINCIPAL], [ON_DUTY], [IT], [], []):
        clock.advance(AFTER - timedelta(seconds=1))
        assert await passing_on.run_once() == 0
        clock.advance(1)
        assert await passing_on.run_once() == len(more)
        expected += more
        assert await told(store, message_id) == expected


async def test_an_acknowledged_alarm_is_silent(district, store, log, clock):
    """Who has it ends it: nobody else is told, and those who were get one short note without the message."""
    message_id = await district.route("buses she is missing")
    await district.dispatch()
    clock.advance(AFTER)
    await escalation(store, log).run_once()
    await district.dispatch()
    first, second = await alerts(store, message_id)

    assert await store.write(lambda c: acknowledge(c, second.id, clock.now()))
    clock.advance(10 * AFTER)

    assert await escalation(store, log).run_once() == 0
    assert await told(store, message_id) == [SAFETY, PRINCIPAL]
    assert await notes(store) == [(first.to, f"Message {message_id} is taken care of")]
    assert await waiting(store) == {"waiting_for_acknowledgement": 0, "oldest_s": 0.0}


async def test_acknowledging_again_changes_nothing(district, store, clock):
    """The first one has it; the same person again, and another one, change nothing and send nothing."""
    message_id = await district.route("buses she is missing")
    [alert] = await alerts(store, message_id)
    assert await store.write(lambda c: acknowledge(c, alert.id, clock.now()))
    clock.advance(60)
    assert not await store.write(lambda c: acknowledge(c, alert.id, clock.now()))

    alarm = await store.read(lambda c: alarms.get(c, message_id))
    assert (alarm.acknowledged_by, alarm.over_at) == (alert.id, clock.now() - timedelta(seconds=60))
    standing = await store.read(lambda c: stand(c, alert.id))
    assert standing.mine


async def test_what_was_not_sent_yet_is_not_sent_any_more(district, store, clock):
    """An alert that still waits for its sink is dropped once somebody else has the message."""
    message_id = await district.route("buses she is missing")
    await district.dispatch()
    clock.advance(AFTER)
    await escalation(store, district.stage._log, THEN[1:]).run_once()  # the text line is down: this one waits
    first, second = await alerts(store, message_id)

    await store.write(lambda c: acknowledge(c, first.id, clock.now()))

    dropped = await store.read(lambda c: deliveries.get(c, second.id))
    assert (dropped.state, dropped.last_error) == (DeliveryState.DROPPED, alarms.OVERTAKEN)
    assert await notes(store) == []


async def test_an_alert_that_cannot_arrive_brings_the_next_at_once(store, log, rng, clock):
    """Where no alert can reach anybody there is nothing to wait five minutes for."""
    district = alarmed(store, log, rng, sink=RecordingSink(Permanent("no such mailbox"), concurrency=1))
    message_id = await district.route("buses she is missing")
    await district.dispatch()
    assert (await alerts(store, message_id))[0].state is DeliveryState.DEAD

    assert await escalation(store, log).run_once() == 1
    assert await told(store, message_id) == [SAFETY, PRINCIPAL]


async def test_without_anybody_in_then_operations_are_told(district, store, log, clock):
    """Where a district named nobody else, operations come next, once; `status` goes on saying that it waits."""
    message_id = await district.route("buses she is missing")
    clock.advance(AFTER - timedelta(seconds=1))
    assert await escalation(store, log, ()).run_once() == 0
    clock.advance(AFTER + timedelta(seconds=1))
    assert [await escalation(store, log, ()).run_once() for _ in range(2)] == [1, 0]
    assert await told(store, message_id) == [SAFETY, IT]
    assert await waiting(store) == {"waiting_for_acknowledgement": 1, "oldest_s": 600.0}
    assert b"signpost_urgent_waiting 1.0" in Metrics().render(await store.read(lambda c: ledger.status(c, clock.now())))


async def test_an_alarm_survives_a_restart(sqlite_url, log, rng, clock):
    """What has been told stands in the store: a daemon that starts anew goes on where the last one was."""
    first = open_store(sqlite_url, clock)
    await first.open()
    message_id = await alarmed(first, log, rng).route("buses she is missing")
    clock.advance(AFTER)
    await escalation(first, log).run_once()
    await first.close()

    again = open_store(sqlite_url, clock)
    await again.open()
    clock.advance(AFTER)
    await escalation(again, log).run_once()
    assert await told(again, message_id) == [SAFETY, PRINCIPAL, ON_DUTY]
    await again.close()


async def test_a_week_old_alarm_is_no_longer_waited_for(district, store, clock):
    """What nobody has acknowledged in a week doesn't stand in `status` for ever."""
    await district.route("buses she is missing")
    clock.advance(alarms.COUNTED)
    assert (await waiting(store))["waiting_for_acknowledgement"] == 0


async def test_a_message_decided_again_is_not_told_again_once_somebody_has_it(store, log, rng, clock):
    """Released after it was held, an acknowledged message goes its way without another alert."""

    class Stops:
        name = "stops"

        async def decide(self, batch):
            return [None if m.released else Hold("it came back") for m in batch]

    district = alarmed(store, log, rng)
    district.stage.router.steps = (district.stage.router.steps[0], Stops(), ByFirstWord())
    message_id = await district.route("buses she is missing")
    [alert] = await alerts(store, message_id)
    await store.write(lambda c: acknowledge(c, alert.id, clock.now()))
    await store.write(lambda c: district.corrections.release(c, message_id, None, "jo@d.example", clock.now()))
    await district.decide()

    assert await told(store, message_id) == [SAFETY]
    assert await store.read(lambda c: messages.state_of(c, message_id)) is State.ROUTED


async def test_a_link_of_another_delivery_ends_nothing(district, store, clock):
    """Only an alert about an urgent message can be acknowledged: not the forwarded message itself."""
    message_id = await district.route("buses she is missing")
    route = next(d for d in await district.deliveries(message_id) if d.kind is DeliveryKind.ROUTE)
    with pytest.raises(NotFound):
        await store.write(lambda c: acknowledge(c, route.id, clock.now()))


async def test_alerts_are_sent_before_the_messages_they_are_about(district, store):
    """In a backlog of a hundred messages the alert is the first thing that leaves, then the urgent message."""
    for number in range(100):
        await district.route(f"meals number {number}")
    message_id = await district.route("buses she is missing")
    await district.dispatch()
    first, second, *_rest = district.dispatcher._sink.sent
    assert (first.delivery.to, first.delivery.message_id) == (SAFETY, message_id)
    assert (second.delivery.kind, second.delivery.message_id) == (DeliveryKind.ROUTE, message_id)
    assert first.notice.url.startswith("https://d.example/u/")


# --- nothing holds an alert back --------------------------------------------------------------------------------------


class Says:
    """A step with one answer for every message, or an error."""

    name = "says"

    def __init__(self, answer):
        self.answer = answer

    async def decide(self, batch):
        """Answer."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer for _ in batch]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Hold("our own forwarded mail came back"), State.HELD),
        (File("the text says STOP"), State.ROUTED),
        (RuntimeError("the model broke"), State.ROUTED),
        (None, State.ROUTED),
    ],
    ids=["loops", "stop", "a step that fails", "no answer"],
)
async def test_no_other_step_holds_an_alert_back(store, log, rng, answer, state):
    """Whatever becomes of the message by the steps after it, people are told."""
    district = District(store, log, rng, steps=(Says(MarkUrgent("child missing")), Says(answer)))
    message_id = await district.route("she is missing")
    assert await told(store, message_id) == [SAFETY]
    assert await store.read(lambda c: messages.state_of(c, message_id)) is state


async def test_observing_alerts_like_live(store, log, rng):
    """A district that only watches is told of danger all the same."""
    district = alarmed(store, log, rng, observe=True)
    message_id = await district.route("buses she is missing")
    assert await told(store, message_id) == [SAFETY]
    assert {d.department for d in await district.deliveries(message_id) if d.kind is DeliveryKind.ROUTE} == {"office"}


async def test_the_same_words_from_another_person_are_another_alarm(district, store):
    """Only a true copy of a message counts as one: a second family that writes the same is heard, too."""
    first = await district.route("buses she is missing", sender="ana@home.example")
    second = await district.route("buses she is missing", sender="ben@home.example")
    assert first != second
    assert [await told(store, each) for each in (first, second)] == [[SAFETY], [SAFETY]]


async def test_every_alarm_is_told_whatever_was_told_before(district, store):
    """Twenty urgent messages in one minute are twenty alerts: no quarter of an hour of quiet as with other trouble."""
    ids = [await district.route(f"buses {number} are missing") for number in range(20)]
    assert [await told(store, each) for each in ids] == [[SAFETY]] * 20


async def test_an_automatic_answer_that_quotes_an_alert_is_no_alarm(store, log, rng):
    """A vacation notice to an alert, with the alert's words in it, would alarm for ever."""
    steps = (Says(MarkUrgent("child missing")), Says(Hold("an automatic answer to our own mail", 7)))
    district = District(store, log, rng, steps=steps)
    message_id = await district.route("I am away. > she is missing")
    assert await told(store, message_id) == []
    assert await store.read(lambda c: messages.state_of(c, message_id)) is State.HELD


async def test_two_daemons_tell_each_person_once(store, log, rng, clock):
    """Two that look at the same moment don't both tell the next one."""
    message_id = await alarmed(store, log, rng).route("buses she is missing")
    clock.advance(AFTER)
    done = await asyncio.gather(*(escalation(store, log).run_once() for _ in range(5)))
    assert sum(done) == 1
    assert await told(store, message_id) == [SAFETY, PRINCIPAL]


async def test_an_alert_says_what_was_found_and_where_the_message_goes(store, log, rng):
    """Its subject names the message and the danger, its text the department."""
    district = alarmed(store, log, rng)
    message_id = await district.route("buses she is missing")
    [alert] = await alerts(store, message_id)
    assert alert.notice.subject == f"URGENT message {message_id}: child missing"
    assert "It goes to: buses" in alert.notice.text


async def test_a_message_shows_who_has_it(district, store, clock):
    """`messages show` names the danger, when people were told, and who has acknowledged it."""
    message_id = await district.route("buses she is missing")
    show = Commands(store, district.corrections).do_messages_show
    before = (await show(message_id))["alarm"]
    assert (before["why"], before["acknowledged_by"], before["acknowledged_at"]) == ("child missing", "", None)
    [alert] = await alerts(store, message_id)
    await store.write(lambda c: acknowledge(c, alert.id, clock.now()))
    after = (await show(message_id))["alarm"]
    assert (after["acknowledged_by"], after["acknowledged_at"]) == (SAFETY, "2026-09-01T12:00:00Z")
    assert (await show(await district.route("meals please")))["alarm"] is None
