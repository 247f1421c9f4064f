"""From accepted to delivered: the deciding stage and the dispatcher on a real store."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from router.errors import Permanent, Retryable, Unclear
from router.records import Content, DeliveryKind, DeliveryState, Reason, State
from router.routing.answer import File, Hold, MarkUrgent
from router.store import decisions, deliveries, ledger, messages
from router.store.tables import deliveries as delivery_rows
from router.store.tables import messages as message_rows
from router.testing_sinks import RecordingSink
from tests.unit.router.district import ByFirstWord, District


class Says:
    """A step with one fixed answer for texts that hold a word."""

    name = "says"

    def __init__(self, word, answer):
        self.word, self.answer = word, answer

    async def decide(self, batch):
        """Answer, or raise what it is given."""
        if isinstance(self.answer, Exception) and any(self.word in m.content.text for m in batch):
            raise self.answer
        return [self.answer if self.word in m.content.text else None for m in batch]


@pytest.fixture
async def district(sqlite_store, log, rng):
    """A district with a sink that records."""
    return District(sqlite_store, log, rng, sink=RecordingSink())


async def test_a_message_reaches_the_desk_it_is_for(district):
    """Accepted, decided, delivered: the sink gets the original, the decision and the link."""
    message_id = await district.route("buses are late", sender="ana@home.example")
    await district.dispatch()

    [forward] = district.dispatcher._sink.sent
    [delivery] = await district.deliveries(message_id)
    assert (forward.message.id, forward.original) == (message_id, b"buses are late")
    assert (forward.decision.department, forward.department_name) == ("buses", "Buses")
    assert forward.misroute_url.startswith("https://d.example/m/")
    assert forward.suggestions == (("meals", "Meals"),)
    assert delivery.state is DeliveryState.DELIVERED


async def test_nothing_is_unroutable(district):
    """A message no step has an answer for goes to the fallback."""
    message_id = await district.route("zzz")

    found = await district.store.read(lambda c: decisions.in_force(c, message_id))
    assert (found.department, found.reason) == ("office", Reason.ABSTAINED)


async def test_a_school_receives_its_own(district):
    """The second axis chooses the destination."""
    message_id = await district.route("buses at Lincoln Elementary are late")

    assert [d.to for d in await district.deliveries(message_id)] == ["lincoln-buses@district.example"]


async def test_urgent_messages_are_alerted_besides_their_route(sqlite_store, log, rng):
    """The remark doesn't end the list of steps, and its alert goes first."""
    steps = (Says("missing", MarkUrgent("child missing")), ByFirstWord())
    district = District(sqlite_store, log, rng, steps=steps, sink=RecordingSink(concurrency=1))

    message_id = await district.route("buses she is missing")
    await district.dispatch()

    sent = district.dispatcher._sink.sent
    assert {f.delivery.to for f in sent} == {"safety@district.example", "buses@district.example"}
    alert = next(f for f in sent if f.delivery.kind is DeliveryKind.ALERT)
    assert "child missing" in alert.notice.subject
    assert alert.message.id == message_id


async def test_a_held_message_is_told_and_can_be_released(sqlite_store, log, rng):
    """Held messages wait for a person, operations hear of it, and a release routes it."""

    class HoldOnce(Says):
        async def decide(self, batch):
            return [self.answer if not m.released else None for m in batch]

    steps = (HoldOnce("", Hold("it came back")), ByFirstWord())
    district = District(sqlite_store, log, rng, steps=steps, sink=RecordingSink())
    message_id = await district.route("meals please")
    await district.dispatch()

    assert await sqlite_store.read(lambda c: messages.state_of(c, message_id)) is State.HELD
    assert [f.delivery.to for f in district.dispatcher._sink.sent] == ["it@district.example"]

    await sqlite_store.write(
        lambda c: district.corrections.release(c, message_id, None, "jo@d.example", sqlite_store.clock.now())
    )
    await district.decide()
    assert [d.department for d in await district.deliveries(message_id)] == ["meals"]


async def test_an_urgent_message_is_never_filed(sqlite_store, log, rng):
    """What looks like a STOP and like danger is danger."""
    steps = (Says("help", MarkUrgent("threat")), Says("", File("STOP")))
    district = District(sqlite_store, log, rng, steps=steps)

    message_id = await district.route("help")

    assert await sqlite_store.read(lambda c: messages.state_of(c, message_id)) is State.ROUTED


async def test_observing_delivers_to_the_fallback_only(sqlite_store, log, rng):
    """Observe mode records where a message would have gone."""
    district = District(sqlite_store, log, rng, observe=True)

    message_id = await district.route("buses are late")

    found = await sqlite_store.read(lambda c: decisions.in_force(c, message_id))
    assert (found.department, found.reason) == ("office", Reason.OBSERVE)
    assert "would go to buses" in found.detail


async def test_one_message_cannot_stop_the_others(sqlite_store, log, rng):
    """A step that fails on one message is passed over for that one only."""
    district = District(sqlite_store, log, rng, steps=(Says("poison", RuntimeError("boom")), ByFirstWord()))
    for text in ("buses 1", "buses poison", "meals 2"):
        await district.accept(text)
    await district.decide()

    status = await sqlite_store.read(lambda c: ledger.status(c, sqlite_store.clock.now()))
    assert status["messages"]["routed"] == 3


async def test_a_batch_that_fails_is_given_back(district):
    """If understanding breaks down, the messages are neither lost nor kept leased."""

    async def broken(*_arguments):
        raise OSError("no more processes")

    message_id = await district.accept()
    understand, district.understand = district.understand, broken
    with pytest.raises(OSError, match="no more"):
        await district.decide()
    district.understand = understand
    await district.decide()

    assert [d.department for d in await district.deliveries(message_id)] == ["buses"]


async def test_a_message_that_killed_three_processes_goes_to_a_person(district):
    """It isn't understood a fourth time; the fallback gets it with the original."""

    async def must_not_run(*_arguments):
        raise AssertionError

    message_id = await district.accept()
    await district.store.write(lambda c: c.execute(update(message_rows).values(lost_leases=3)))
    district.understand = must_not_run
    await district.decide()

    message = await district.store.read(lambda c: messages.get(c, message_id))
    assert "3 processes died" in message.content.unreadable
    assert [d.department for d in await district.deliveries(message_id)] == ["office"]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Retryable("busy"), DeliveryState.WAITING),
        (Permanent("gone"), DeliveryState.DEAD),
        (ValueError("x"), DeliveryState.WAITING),
    ],
)
async def test_what_a_failure_leads_to(sqlite_store, log, rng, error, state):
    """Errors are temporary unless proved permanent."""
    district = District(sqlite_store, log, rng, sink=RecordingSink(error))

    message_id = await district.route()
    await district.dispatch()

    [delivery] = await district.deliveries(message_id)
    assert (delivery.state, delivery.attempts) == (state, 1)
    assert delivery.last_error


async def test_a_lost_answer_is_retried_once_then_a_person_is_asked(sqlite_store, log, rng):
    """Two lost answers make it unclear: at most one duplicate per fault."""
    district = District(sqlite_store, log, rng, sink=RecordingSink(Unclear("lost"), Unclear("lost")))
    message_id = await district.route()
    for _ in range(2):
        due = update(delivery_rows).values(next_attempt_at=sqlite_store.clock.now())
        await sqlite_store.write(lambda c, due=due: c.execute(due))
        await district.dispatch()

    [delivery] = await district.deliveries(message_id)
    assert (delivery.state, delivery.unclear) == (DeliveryState.UNCLEAR, 2)


async def test_a_dead_letter_is_told_once(sqlite_store, log, rng):
    """Operations hear of dead letters at once, but not once per letter."""
    district = District(sqlite_store, log, rng, sink=RecordingSink(*[Permanent("gone")] * 4))
    for n in range(4):
        await district.accept(f"buses {n}")
    await district.decide()
    await district.dispatch()

    told = [f for f in district.dispatcher._sink.sent if f.delivery.kind is DeliveryKind.ALERT]
    assert [f.delivery.to for f in told] == ["it@district.example"]
    assert "could not be delivered" in told[0].notice.subject


async def test_a_delivery_that_killed_three_processes_is_buried(district):
    """It is not attempted a fourth time."""
    message_id = await district.route()
    await district.store.write(lambda c: c.execute(update(delivery_rows).values(lost_leases=3)))
    await district.dispatch()

    [delivery] = await district.deliveries(message_id)
    assert delivery.state is DeliveryState.DEAD
    assert all(f.delivery.id != delivery.id for f in district.dispatcher._sink.sent)


async def test_who_lost_the_lease_does_not_send(district):
    """A daemon that others take for dead sends nothing."""
    await district.route()
    await district.register()
    district.alive = False

    assert await district.dispatcher.run_once() == 0
    assert district.dispatcher._sink.sent == []


async def test_a_stuck_attempt_does_not_hold_up_the_others(sqlite_store, log, rng):
    """Every other slot of the sink goes on, also with what comes later."""
    sent = []
    progressed = asyncio.Event()

    class Stuck:
        concurrency = 2

        async def send(self, forward):
            if b"stuck" in forward.original:
                await asyncio.Event().wait()
            sent.append(forward.original)
            progressed.set()
            return ""

        async def aclose(self):
            """Nothing to close."""

    district = District(sqlite_store, log, rng, sink=Stuck())
    await district.route("buses stuck")
    await district.register()
    await district.dispatcher.run_once()
    for n in range(3):
        await district.accept(f"buses {n}")
        await district.stage.run_once()  # without registering again, which frees what is held
        progressed.clear()
        await district.dispatcher.run_once()
        async with asyncio.timeout(10):
            await progressed.wait()

    assert sorted(sent) == [b"buses 0", b"buses 1", b"buses 2"]
    await district.dispatcher.drain(0)


async def test_an_attempt_cut_off_by_the_end_counts_as_lost(sqlite_store, log, rng):
    """A drain that takes too long leaves the lease to whoever comes next; nothing is marked delivered."""

    class Never:
        concurrency = 1

        async def send(self, _forward):
            await asyncio.Event().wait()

        async def aclose(self):
            """Nothing to close."""

    district = District(sqlite_store, log, rng, sink=Never())
    message_id = await district.route()
    await district.register()
    await district.dispatcher.run_once()
    await district.dispatcher.drain(0)

    [delivery] = await district.deliveries(message_id)
    assert delivery.state is DeliveryState.WAITING
    await sqlite_store.write(lambda c: deliveries.release_leases(c, "d1"))


async def test_unreadable_content_is_kept(district):
    """What couldn't be parsed is stored with its reason."""

    async def unreadable(*_arguments):
        return Content(unreadable="too deep")

    district.understand = unreadable
    message_id = await district.route()

    message = await district.store.read(lambda c: messages.get(c, message_id))
    assert message.content.unreadable == "too deep"
