"""What may be learnt from messages that nobody has said anything about, and from what only time has confirmed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import insert, update

from router.learning.lessons import CORRECTION, SILENCE, TACIT, TACIT_WEIGHT, Rules
from router.records import CorrectionState
from router.store import corrections, models, tables
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.district import District
from tests.unit.router.learning.test_corrections import delivered, flag
from tests.unit.router.learning.test_lessons import JO, learn, settle, urgently

SILENT = Rules(silence_weight=0.2, silence_confidence=0.8)


@pytest.fixture
def clock():
    """A clock that stands still until it is turned."""
    return FakeClock()


@pytest.fixture
async def district(store, log, rng):
    """A district on either kind of store."""
    return District(store, log, rng, sink=RecordingSink())


async def quiet(district, text="buses were punctual"):
    """Return the id of a message that was delivered a fortnight ago, and that nobody has said anything about."""
    message_id = await district.route(text)
    await district.dispatch()
    district.store.clock.advance(timedelta(days=14, minutes=1))
    return message_id


async def vigilant(district):
    """Let the buses be a department that flags."""
    message_id = await district.route("buses serve lunch")
    return (await flag(district, message_id, "meals")).correction_id


async def test_a_message_that_stayed_is_a_weak_lesson(district):
    """With its own weight and its own source; nobody's cap is used up, and no key stands for it."""
    await vigilant(district)
    message_id = await quiet(district)
    lessons = await learn(district, SILENT)
    assert [(each.message_id, each.source, each.weight, each.key) for each in lessons.rows] == [
        (message_id, SILENCE, 0.2, "")
    ]
    assert (lessons.new, lessons.waiting) == (0, 0)


@pytest.mark.parametrize(
    "stricter",
    [{"silence_weight": 0.0}, {"silence_most": 0}, {"silence_after": timedelta(days=15)}],
)
async def test_silence_can_be_switched_off_and_made_stricter(district, stricter):
    """No weight, none at most, a time that hasn't passed."""
    await vigilant(district)
    await quiet(district)
    assert (await learn(district, replace(SILENT, **stricter))).rows == ()


@pytest.mark.parametrize(("wanted", "unsure"), [(0.8, False), (0.95, True)])
async def test_a_message_of_which_the_model_was_not_sure_is_marked(district, wanted, unsure):
    """Whether it teaches anything depends on what the model that serves says of it."""
    await vigilant(district)
    await quiet(district)
    (lesson,) = (await learn(district, replace(SILENT, silence_confidence=wanted))).rows
    assert lesson.unsure is unsure


async def test_the_silence_of_a_department_that_never_flags_says_nothing(district):
    """Nor does it if the only flag was taken back."""
    await quiet(district)
    assert (await learn(district, SILENT)).rows == ()
    correction_id = await vigilant(district)
    assert len((await learn(district, SILENT)).rows) == 1
    await settle(district, correction_id, state=CorrectionState.WITHDRAWN)
    assert (await learn(district, SILENT)).rows == ()


async def test_what_was_flagged_or_never_arrived_is_not_silent(district):
    """A proposed flag is a word against it; an undelivered message nobody could flag."""
    await vigilant(district)
    flagged = await quiet(district, "buses smell")
    await flag(district, flagged, "office")
    await district.route("buses never sent")
    district.store.clock.advance(timedelta(days=15))
    assert (await learn(district, SILENT)).rows == ()


async def test_an_urgent_message_is_never_a_silent_lesson(district):
    """Whoever had to act on it at once had no time for flags."""
    await vigilant(district)
    urgently(district)
    await quiet(district)
    assert (await learn(district, SILENT)).rows == ()


async def test_the_newest_silent_messages_come_first(district):
    """Of more than are wanted."""
    await vigilant(district)
    await quiet(district, "buses old")
    newest = await quiet(district, "buses new")
    lessons = await learn(district, replace(SILENT, silence_most=1))
    assert [each.message_id for each in lessons.rows] == [newest]


async def test_what_time_confirmed_weighs_little_and_falls_under_the_caps(district):
    """It counts a tenth of a person's word; a person's word on top of it makes it whole."""
    ids = []
    for word in ("ant", "bee", "cat"):
        message_id = await district.route(f"buses {word}")
        first = await delivered(district, message_id)
        ids.append((await flag(district, message_id, "meals", first, by="link")).correction_id)
        now = district.store.clock.now()
        keep = partial(corrections.settle, state=CorrectionState.CONFIRMED, now=now, by="time", via=corrections.TACIT)
        await district.store.write(lambda c, keep=keep: keep(c, ids[-1]))
    lessons = await learn(district, Rules(person=2))
    assert [(each.source, each.weight) for each in lessons.rows] == [(TACIT, TACIT_WEIGHT)] * 2
    assert lessons.new == 0
    upgraded = await settle(district, ids[0])
    assert (upgraded.confirmed_by, upgraded.confirmed_via) == (JO, "command")
    assert {each.source for each in (await learn(district)).rows} == {CORRECTION, TACIT}


async def test_a_model_that_was_gone_back_from_taught_by_the_silence_that_followed(district):
    """It was left because it was wrong; that nobody flagged one of its messages says nothing. Another's still do."""
    await vigilant(district)
    ids = [await quiet(district, f"buses {word}") for word in ("ant", "bee")]
    now = district.store.clock.now()
    left = {"version": "left", "type": "linear", "state": models.ROLLED_BACK, "created_at": now, "fingerprint": "f",
            "sha256": "s", "metrics": {}, "verdict": {}}  # fmt: skip

    def work(connection):
        connection.execute(insert(tables.models), left)
        of_first = tables.decisions.c.message_id == ids[0]
        connection.execute(update(tables.decisions).where(of_first).values(model="left"))

    await district.store.write(work)
    assert [each.message_id for each in (await learn(district, SILENT)).rows] == ids[1:]
