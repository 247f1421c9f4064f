"""Floods of links, programs that press buttons, one person who confirms it all: nothing is learnt, people are told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.alerts import Alerts
from router.learning import corrections as rules
from router.learning.corrections import Corrections
from router.learning.vigilance import Vigilance
from router.records import CorrectionState, DeliveryKind, Department, Destination
from router.store import corrections, deliveries
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.district import ALERTS, DESKS, District
from tests.unit.router.learning.test_corrections import delivered, flag
from tests.unit.router.web.site import LogLines

LIMIT = 3  # flags and votes of one address within an hour
IT = Alerts((Destination(via="other", to="it@d.example"),), ())


@pytest.fixture
def clock():
    """A clock that stands still until it is turned."""
    return FakeClock()


@pytest.fixture
async def district(store, log, rng):
    """A district where an address may be used three times an hour."""
    made = District(store, log, rng, sink=RecordingSink())
    made.corrections = Corrections(DESKS, ALERTS, flags_per_hour=LIMIT)
    return made


@pytest.fixture
def lines():
    """What was logged."""
    return LogLines()


@pytest.fixture
def look(store, lines):
    """Look once, as the daemon does every minute, and return what operations have been told so far."""
    watch = Vigilance(store, IT, lines, flags_per_hour=LIMIT)

    async def run():
        await watch.run_once()
        waiting = await store.read(lambda c: deliveries.in_states(c, ["waiting"], 100))
        return [each.notice.subject for each in waiting[::-1] if each.kind is DeliveryKind.ALERT and each.notice]

    return run


async def flagged(district, text):
    """Flag a message by its link; return the correction's id and the delivery to where it went."""
    message_id = await district.route(text)
    moved = await flag(district, message_id, "meals", await delivered(district, message_id), by="link")
    return moved.correction_id, await delivered(district, message_id)


async def ours(district, delivery):
    """Press "This is ours"."""
    now = district.store.clock.now()
    return await district.store.write(lambda c: district.corrections.ours(c, delivery, now))


async def state_of(district, correction_id):
    """Return a correction's state."""
    return (await district.store.read(lambda c: corrections.get(c, correction_id))).state


async def test_pressing_one_button_a_hundred_times_is_one_vote(district, look):
    """A program that posts the link of one mail again and again has flagged once, and confirms nothing by itself."""
    message_id = await district.route("buses one")
    first = await delivered(district, message_id)
    moved = await flag(district, message_id, "meals", first, by="link")
    for _ in range(100):
        await flag(district, message_id, "meals", first, by="link")
        await ours(district, first)
    assert await state_of(district, moved.correction_id) is CorrectionState.PROPOSED
    assert await look() == []


async def test_votes_of_one_address_are_one_persons(district, monkeypatch):
    """Where two departments share a mailbox, whoever reads it can't be both the first and the second vote."""
    shared = Department(id="meals", name="Meals", covers=("meals",), deliver=DESKS.departments["buses"].deliver)
    monkeypatch.setitem(DESKS.departments, "meals", shared)
    correction_id, second = await flagged(district, "buses one")
    assert second.to == "buses@district.example"
    assert await ours(district, second) is None
    assert await state_of(district, correction_id) is CorrectionState.PROPOSED


async def test_a_flood_from_one_address_confirms_nothing_and_is_told(district, look, lines):
    """The messages move all the same; operations are told once an hour, and the log names no address."""
    got = [await flagged(district, f"buses {word}") for word in ("ant", "bee", "cat", "dog")]
    assert [await ours(district, delivery) for _id, delivery in got] == [None] * 4
    assert {await state_of(district, id_) for id_, _delivery in got} == {CorrectionState.PROPOSED}
    assert {delivery.department for _id, delivery in got} == {"meals"}
    subjects = await look()
    assert sorted(subjects) == [
        "4 flags and votes from buses@district.example within an hour",
        "4 flags and votes from meals@district.example within an hour",
    ]
    assert await look() == subjects
    assert lines.lines == [("flags_flooding", {"flags": 4})] * 2


async def test_when_it_is_quiet_again_votes_count_again(district, look):
    """An hour later; so many as are allowed make no flood."""
    for word in ("ant", "bee", "cat", "dog"):
        await flagged(district, f"buses {word}")
    district.store.clock.advance(timedelta(hours=1, seconds=1))
    correction_id, second = await flagged(district, "buses eel")
    assert (await ours(district, second)).id == correction_id
    assert await look() == []


async def confirm_by(district, person, count, word):
    """Let a person confirm so many flags."""
    for number in range(count):
        message_id = await district.route(f"buses {word}{number}")
        moved = await flag(district, message_id, "meals")
        now = district.store.clock.now()
        await district.store.write(
            lambda c, id_=moved.correction_id, now=now: rules.settle(c, id_, CorrectionState.CONFIRMED, person, now)
        )


async def test_one_person_who_confirms_most_of_a_week_is_named_to_operations(district, look, lines):
    """Eleven of twenty are told, once a week; the log has the numbers alone."""
    await confirm_by(district, "kim@d.example", 9, "k")
    await confirm_by(district, "mal@d.example", 11, "m")
    assert await look() == ["11 of 20 corrections of this week were confirmed by one person"]
    assert len(await look()) == 1
    assert lines.lines == [("corrections_lopsided", {"of_one_person": 11, "confirmed": 20})]


async def test_letter_case_makes_no_two_people_of_one(district, look):
    """Else whoever writes the name now so and now otherwise would never be named."""
    await confirm_by(district, "kim@d.example", 9, "k")
    await confirm_by(district, "mal@d.example", 6, "m")
    await confirm_by(district, "Mal@D.example", 5, "n")
    assert await look() == ["11 of 20 corrections of this week were confirmed by one person"]


@pytest.mark.parametrize(("kim", "mal"), [(0, 19), (10, 10)])
async def test_few_or_fairly_shared_confirmations_are_no_news(district, look, kim, mal):
    """Nineteen of nineteen say nothing yet, and a half of twenty is no majority."""
    await confirm_by(district, "kim@d.example", kim, "k")
    await confirm_by(district, "mal@d.example", mal, "m")
    assert await look() == []
