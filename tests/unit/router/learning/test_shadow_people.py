"""What people say of messages that a challenger was compared on, in the rows that their words really leave behind."""

from __future__ import annotations

from functools import partial
from zoneinfo import ZoneInfo

import pytest

from router.audit_commands import AuditCommands
from router.learning.audit import Audit
from router.learning.corrections import settle
from router.learning.shadow import counted as counted_now
from router.learning.shadow import why_not
from router.records import CorrectionState, Prediction, Reason
from router.routing.answer import Route
from router.store import corrections, decisions, shadows
from router.testing_sinks import RecordingSink
from tests.unit.router.district import DESKS, District, desk
from tests.unit.router.learning.test_corrections import delivered, flag

JO, AL = "jo@d.example", "al@d.example"
DESKS_OF_MODEL = {"buses", "meals"}


class Asked:
    """A step that sends a message to the department its text begins with, as the model says; "-" is left to people."""

    name = "asked"

    async def decide(self, batch):
        return [self._route(message.content.text.split(" ")[0]) for message in batch]

    def _route(self, word):
        prediction = Prediction(ranking=((word, 0.9), ("meals", 0.1)), score=9.0, model="one")
        if word in DESKS.departments:
            return Route(department=word, reason=Reason.MODEL, prediction=prediction, confidence=0.9)
        return Route(department="office", reason=Reason.ABSTAINED, prediction=prediction, confidence=0.4)


@pytest.fixture
def make(store, log, rng):
    """Make a district whose model is asked, and all of whose messages are offered for an audit."""

    def made(**more):
        district = District(store, log, rng, steps=(Asked(),), sink=RecordingSink(), **more)
        district.stage._audit = Audit(1.0)
        return district

    return made


@pytest.fixture
def district(make):
    return make()


@pytest.fixture
def audit(store):
    """Answer an audit."""
    commands = AuditCommands(store, list(DESKS.departments), ZoneInfo("America/Chicago"))
    return lambda message_id, department: commands.audit_answer(message_id, department, urgent=False, by=AL)


async def compared(district, before, after, number=0):
    """Route a message as the champion does, compare a challenger on it, and return its id."""
    message_id = await district.route(f"{before or '-'} message {number}")
    await district.dispatch()
    decision = await district.store.read(lambda c: decisions.history(c, message_id)[0])
    row = {
        "challenger": "two",
        "decision_id": decision.id,
        "before": before,
        "before_confidence": 0.9,
        "after": after,
        "after_confidence": 0.9,
        "alarm_lost": False,
    }
    await district.store.write(lambda c: shadows.add(c, [row]))
    return message_id


async def confirm(district, moved, by=JO):
    now = district.store.clock.now()
    work = partial(settle, correction_id=moved.correction_id, state=CorrectionState.CONFIRMED, by=by, now=now)
    await district.store.write(work)


async def ours(district, message_id):
    """Press "This is ours" in the mail of the department that got it."""
    delivery = (await district.deliveries(message_id))[-1]
    await district.store.write(lambda c: district.corrections.ours(c, delivery, district.store.clock.now()))


async def counted(district):
    found = await district.store.read(lambda c: shadows.counts(c, "two", DESKS_OF_MODEL))
    return found.judged, found.better, found.worse


async def test_an_audit_may_speak_for_either(district, audit):
    """A person who was asked about any message says where it belongs: here the champion was right, there the other."""
    for number, belongs in enumerate(("buses", "meals", "office")):
        await audit(await compared(district, "buses", "meals", number), belongs)
    assert await counted(district) == (3, 1, 1)


async def test_a_department_that_was_renamed_amid_a_trial_was_wrong_ever_after(district, audit):
    """What the two would have done before, and what people said of it by the former name, is the present one's."""
    canteen = (desk("office", covers=()), desk("buses"), desk("canteen", covers=("meals",)))
    await audit(await compared(district, "buses", "meals"), "meals")
    await audit(await compared(district, "meals", "meals", 1), "meals")
    await audit(await compared(district, "meals", "canteen", 2), "meals")
    found = await district.store.read(lambda c: counted_now(c, "two", canteen))
    assert (found.judged, found.before_right, found.after_right, found.better, found.worse) == (3, 2, 3, 1, 0)


async def test_a_confirmed_correction_shows_what_the_other_would_have_done(district):
    """What the champion sent wrongly the other has right; what it left to people the other sends to a wrong desk."""
    for number, (before, after, to) in enumerate([("buses", "meals", "meals"), ("", "buses", "meals")]):
        message_id = await compared(district, before, after, number)
        await confirm(district, await flag(district, message_id, to))
    assert await counted(district) == (2, 1, 1)


async def test_what_nobody_has_confirmed_by_name_says_nothing(district):
    """A flag alone doesn't, nor do two votes: a program can press both buttons."""
    await flag(district, await compared(district, "buses", "meals", 0), "meals")
    message_id = await compared(district, "buses", "meals", 1)
    await flag(district, message_id, "meals", await delivered(district, message_id))
    await district.dispatch()
    await ours(district, message_id)
    assert await counted(district) == (0, 0, 0)


async def test_the_last_word_on_a_message_counts(district):
    """It was passed on twice: the first department that somebody named isn't where it belongs."""
    message_id = await compared(district, "buses", "meals")
    await confirm(district, await flag(district, message_id, "meals"))
    await confirm(district, await flag(district, message_id, "office"))
    assert await counted(district) == (1, 0, 0)


async def test_a_department_that_keeps_its_messages_speaks_for_the_champion_up_to_a_point(district):
    """A few times for one department: a program may press "This is ours" under every mail."""
    for number in range(shadows.OF_ONE_DESK + 3):
        await ours(district, await compared(district, "buses", "meals", number))
    assert await counted(district) == (shadows.OF_ONE_DESK, 0, shadows.OF_ONE_DESK)


async def test_a_department_that_says_ours_and_passes_it_on_says_nothing_for_the_champion(district):
    """Both buttons of one mail."""
    message_id = await compared(district, "buses", "meals")
    await ours(district, message_id)
    moved = await flag(district, message_id, "meals", (await district.deliveries(message_id))[-1])
    assert await counted(district) == (0, 0, 0)
    undo = partial(district.corrections.undo, correction_id=moved.correction_id, by="", now=district.store.clock.now())
    await district.store.write(undo)
    assert await counted(district) == (0, 0, 0)


async def test_a_link_that_a_program_used_says_nothing(district):
    """It sent the form without a department, too, which no browser lets a person do."""
    for number in range(2):
        message_id = await compared(district, "buses", "meals", number)
        await ours(district, message_id)
    assert await counted(district) == (2, 0, 2)
    used = (await district.deliveries(message_id))[-1].id
    await district.store.write(lambda c: corrections.note_blank(c, used, district.store.clock.now()))
    assert await counted(district) == (1, 0, 1)


async def test_in_live_mode_people_can_keep_a_worse_challenger_from_serving(district, audit):
    """Nine messages that the champion had right, by audits: the other sends them elsewhere."""
    for number in range(9):
        await audit(await compared(district, "buses", "meals", number), "buses")
    found = await district.store.read(lambda c: shadows.counts(c, "two", DESKS_OF_MODEL))
    assert "treated 9 worse and 0 better" in why_not(found)


async def test_in_observe_mode_a_correction_may_speak_for_either(make):
    """Everything went to the fallback, so people correct what either would have got right."""
    district = make(observe=True)
    for number, to in enumerate(("buses", "meals")):
        message_id = await compared(district, "buses", "meals", number)
        await confirm(district, await flag(district, message_id, to))
    assert await counted(district) == (2, 1, 1)
