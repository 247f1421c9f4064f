"""A message with two matters: two deliveries of one decision, and what a person can do to each."""

from __future__ import annotations

from functools import partial

import pytest

from router.errors import Conflict
from router.learning.corrections import settle
from router.records import CorrectionState, DeliveryState, Destination, Forward, Prediction, Reason
from router.routing.answer import Route
from router.store import corrections, decisions, messages, reports
from router.testing_sinks import RecordingSink
from tests.unit.router.district import District

SAID = Prediction(ranking=(("buses", 0.7), ("meals", 0.3)), score=1.0, model="m1", confidence=0.95)


class Both:
    """A step that sends everything to the buses, and to meals for a second matter."""

    name = "model"

    async def decide(self, batch):
        """Route."""
        return [
            Route(
                department="buses",
                reason=Reason.MODEL,
                detail="also about meals",
                prediction=SAID,
                confidence=0.95,
                suggestions=("buses", "meals"),
                also=("meals",),
            )
            for _ in batch
        ]


@pytest.fixture
async def sink():
    """What was sent."""
    return RecordingSink()


@pytest.fixture
async def district(store, log, rng, sink):
    """A district on either kind of store."""
    return District(store, log, rng, sink=sink, steps=(Both(),))


async def flag(district, delivery, to):
    """Pass on what came by a delivery."""
    work = partial(
        district.corrections.flag,
        message_id=delivery.message_id,
        to=to,
        by="link",
        via="link",
        now=district.store.clock.now(),
        delivery=delivery,
    )
    return await district.store.write(work)


async def standing(district, message_id):
    """Return where each delivery stands, by department."""
    return {each.department: each.state for each in await district.deliveries(message_id)}


async def both(district):
    """Route a message and return its deliveries, the main one first."""
    message_id = await district.route()
    found = await district.deliveries(message_id)
    return sorted(found, key=lambda each: each.department)


async def in_force(district, message_id):
    return await district.store.read(lambda c: decisions.in_force(c, message_id))


async def test_both_departments_get_it_and_read_so(district, sink):
    """One decision, two deliveries; each mail names the other department, and neither is taken for a returned one."""
    [bus, meals] = await both(district)
    await district.dispatch()

    sent: dict[str, Forward] = {forward.delivery.department: forward for forward in sink.sent}
    assert bus.decision_id == meals.decision_id
    assert (sent["buses"].department_name, sent["buses"].also) == ("Buses", ("Meals",))
    assert (sent["meals"].department_name, sent["meals"].also) == ("Meals", ("Buses",))
    assert {forward.meant_for for forward in sent.values()} == {""}
    assert (await in_force(district, bus.message_id)).also == ("meals",)


async def test_an_address_that_both_share_gets_it_once(district, monkeypatch):
    """Two departments of one mailbox are one delivery."""
    shared = (Destination(via="relay", to="all@district.example"),)
    monkeypatch.setattr(district.stage._desks, "destinations", lambda _decision: shared)
    message_id = await district.route()
    [only] = await district.deliveries(message_id)
    assert only.department == "buses"


async def test_a_copy_is_passed_on_and_the_message_stays(district):
    """The second department's "not ours" moves its copy alone; pressing it twice changes nothing more."""
    [bus, meals] = await both(district)

    moved = await flag(district, meals, "office")
    again = await flag(district, meals, "office")

    assert (moved.department, again.department, again.correction_id) == ("office", "office", None)
    assert (await in_force(district, bus.message_id)).id == bus.decision_id
    assert await standing(district, bus.message_id) == {
        "buses": DeliveryState.WAITING,
        "meals": DeliveryState.DROPPED,
        "office": DeliveryState.WAITING,
    }
    present = await in_force(district, bus.message_id)
    holders = await district.store.read(lambda c: district.corrections.holders(c, present))
    assert holders == {"buses", "office"}


async def test_who_has_it_already_is_not_sent_a_copy_again(district):
    """The main department has it; but that one may say that all of it is the other's."""
    [bus, meals] = await both(district)
    for to in ("buses", "meals"):
        with pytest.raises(Conflict, match="already"):
            await flag(district, meals, to)
    assert (await flag(district, bus, "meals")).department == "meals"
    assert (await in_force(district, bus.message_id)).department == "meals"


async def test_passing_a_copy_on_is_undone(district):
    """It is with the second department again, and nowhere else."""
    [bus, meals] = await both(district)
    moved = await flag(district, meals, "office")
    now = district.store.clock.now()

    undo = partial(district.corrections.undo, correction_id=moved.correction_id, by="link", now=now)
    for _ in range(2):
        assert (await district.store.write(undo)).department == "meals"

    assert await standing(district, bus.message_id) == {
        "buses": DeliveryState.WAITING,
        "meals": DeliveryState.WAITING,
        "office": DeliveryState.DROPPED,
    }


async def test_who_got_the_copy_passes_it_on_as_a_copy(district):
    """From desk to desk, without moving the message."""
    [bus, meals] = await both(district)
    await flag(district, meals, "office")
    office = next(each for each in await district.deliveries(bus.message_id) if each.department == "office")

    moved = await flag(district, office, "meals")

    assert moved.department == "meals"
    assert (await in_force(district, bus.message_id)).id == bus.decision_id


async def test_the_main_department_passes_on_its_own_alone(district):
    """The message moves; what waits for the second department is still sent, also if it has to be tried again."""
    [bus, meals] = await both(district)

    await flag(district, bus, "office")

    assert await standing(district, bus.message_id) == {
        "buses": DeliveryState.DROPPED,
        "meals": DeliveryState.WAITING,
        "office": DeliveryState.WAITING,
    }
    present = await in_force(district, bus.message_id)
    assert (present.department, present.also, present.reason) == ("office", (), Reason.CORRECTION)
    assert await district.store.read(lambda c: reports.is_wanted(c, meals))
    assert not await district.store.read(lambda c: reports.is_wanted(c, bus))


async def test_what_is_said_of_a_copy_teaches_nothing(district):
    """The message as a whole is about something else; what is said of the message itself still teaches."""
    [bus, meals] = await both(district)
    now = district.store.clock.now()
    for delivery in (meals, bus):
        moved = await flag(district, delivery, "office") if delivery is meals else await flag(district, bus, "office")
        confirm = partial(
            settle, correction_id=moved.correction_id, state=CorrectionState.CONFIRMED, by="jo@d.example", now=now
        )
        await district.store.write(confirm)
        taught = await district.store.read(corrections.confirmed_rows)
        assert len(taught) == (0 if delivery is meals else 1)


async def test_nothing_is_lost_of_a_message_with_two_matters(district):
    """The ledger counts it once, as routed."""
    [bus, _meals] = await both(district)
    await district.dispatch()
    state = await district.store.read(lambda c: messages.state_of(c, bus.message_id))
    assert state.value == "routed"
    assert set((await standing(district, bus.message_id)).values()) == {DeliveryState.DELIVERED}
