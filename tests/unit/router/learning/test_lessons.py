"""What may be learnt from the district's own messages: whom to believe, how far, and what is left for the next time."""

from __future__ import annotations

from functools import partial

import pytest

from router.learning import corrections as rules
from router.learning.dataset import build
from router.learning.lessons import (
    AUDIT,
    CORRECTION,
    CORRECTION_WEIGHT,
    Lessons,
    Rules,
    disputed,
    gather,
)
from router.records import CorrectionState
from router.store import audits, corrections
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.district import DESKS, District
from tests.unit.router.learning.test_corrections import flag

JO, LEE = "jo@d.example", "lee@d.example"


@pytest.fixture
def clock():
    """A clock that stands still until it is turned."""
    return FakeClock()


@pytest.fixture
async def district(store, log, rng):
    """A district on either kind of store."""
    return District(store, log, rng, sink=RecordingSink())


async def settle(district, correction_id, by=JO, state=CorrectionState.CONFIRMED):
    """Confirm (or withdraw) a correction by a person's word."""
    now = district.store.clock.now()
    return await district.store.write(lambda c: rules.settle(c, correction_id, state, by, now))


async def confirmed(district, text, to="meals", by=JO, flagged_by=LEE):
    """Route a message, flag it and confirm the flag; return the correction's id."""
    message_id = await district.route(text)
    moved = await flag(district, message_id, to, by=flagged_by)
    return (await settle(district, moved.correction_id, by)).id


async def audited(district, message_id, answer, by=JO, urgent=False):
    """Label a message as if chance had chosen it."""
    now = district.store.clock.now()
    row = {"message_id": message_id, "decision_id": None, "received_at": now, "channel": "contact", "language": "en",
           "department": "buses", "reason": "model", "urgent": False, "model": "m1"}  # fmt: skip
    await district.store.write(lambda c: audits.add(c, [row]))
    say = partial(audits.answer, message_id=message_id, now=now, answer=answer, answer_urgent=urgent, wrong=True, by=by)
    await district.store.write(say)


def urgently(district):
    """Take every message for urgent from now on."""
    decide = district.stage.router._decision
    district.stage.router._decision = lambda message, route, _urgent, school: decide(
        message, route, "child missing", school
    )


async def learn(district, rules_=Rules(), learnt=()) -> Lessons:  # noqa: B008 -- frozen
    """Return what may be learnt now."""
    now = district.store.clock.now()
    return await district.store.read(lambda c: gather(c, rules_, now, frozenset(learnt)))


def keys(lessons):
    """Return who says what may be learnt."""
    return [lesson.key for lesson in lessons.rows]


async def test_what_was_confirmed_is_learnt_and_what_was_withdrawn_is_not(district):
    """A proposed flag teaches nothing; a confirmed one does until somebody withdraws it."""
    message_id = await district.route("buses one")
    await flag(district, message_id, "meals")
    first = await confirmed(district, "buses two")
    assert keys(await learn(district)) == [f"correction {first}"]
    await settle(district, first, state=CorrectionState.WITHDRAWN)
    assert (await learn(district)).rows == ()
    said = await district.store.read(lambda c: corrections.get(c, first))
    assert (said.confirmed_by, said.confirmed_via, said.withdrawn_by) == (JO, "command", JO)


async def test_an_audit_teaches_like_a_confirmed_correction(district):
    """It weighs the same, and what it says of urgency is kept for the gate."""
    message_id = await district.route("buses or lunch")
    await audited(district, message_id, "meals", urgent=True)
    (lesson,) = (await learn(district)).rows
    assert (lesson.source, lesson.weight, lesson.to_department) == (AUDIT, CORRECTION_WEIGHT, "meals")
    (example,) = build(lessons=[lesson], departments=tuple(DESKS.departments.values()), fallback="office").examples
    assert example.urgent


# --- disagreement -----------------------------------------------------------------------------------------------------


async def test_two_confirmed_words_about_one_message_contradict_each_other(district):
    """A says meals, later B says office, both confirmed: nothing is learnt until one of them is withdrawn."""
    first = await confirmed(district, "buses or what")
    [message] = {each.message_id for each in (await learn(district)).rows}
    second = (await flag(district, message, "office")).correction_id
    await settle(district, second)
    lessons = await learn(district)
    assert lessons.rows == ()
    assert [(why.split(";")[0], n) for why, n in lessons.left_out.items()] == [("people disagree about the message", 2)]
    await settle(district, first, state=CorrectionState.WITHDRAWN)
    assert keys(await learn(district)) == [f"correction {second}"]


async def test_what_was_sent_back_teaches_neither_desk(district):
    """Buses sent it to meals, meals sent it back; even if one of the two is confirmed, the other stands against it."""
    message_id = await district.route("buses with lunch on board")
    there = (await flag(district, message_id, "meals")).correction_id
    back = (await flag(district, message_id, "buses")).correction_id
    await settle(district, back)
    assert (await learn(district)).rows == ()
    assert await district.store.read(disputed) == {
        f"correction {there}": {f"correction {back}"},
        f"correction {back}": {f"correction {there}"},
    }
    await settle(district, there, state=CorrectionState.WITHDRAWN)
    assert keys(await learn(district)) == [f"correction {back}"]


async def test_what_was_sent_on_again_taught_the_first_wrong_desk(district):
    """Buses said meals, confirmed; meals said office, unconfirmed: what buses said isn't learnt, and is looked at."""
    message_id = await district.route("buses with lunch on board")
    first = (await flag(district, message_id, "meals")).correction_id
    await settle(district, first)
    second = (await flag(district, message_id, "office")).correction_id
    assert (await learn(district)).rows == ()
    assert await district.store.read(disputed) == {f"correction {first}": {f"correction {second}"}}
    await settle(district, second, state=CorrectionState.WITHDRAWN)
    assert keys(await learn(district)) == [f"correction {first}"]


async def test_a_flag_that_nobody_confirmed_contradicts_nothing_that_came_after(district):
    """Buses said meals, meals said office, which was confirmed: that is learnt, and there is nothing to look at."""
    message_id = await district.route("buses with lunch on board")
    await flag(district, message_id, "meals")
    second = (await flag(district, message_id, "office")).correction_id
    await settle(district, second)
    assert keys(await learn(district)) == [f"correction {second}"]
    assert await district.store.read(disputed) == {}


async def test_what_came_back_by_a_third_desk_is_for_a_person_too(district):
    """Buses said meals, meals said office, office said buses: the first and the last can't both be right."""
    message_id = await district.route("buses with lunch on board")
    first, _second, last = [(await flag(district, message_id, to)).correction_id for to in ("meals", "office", "buses")]
    await settle(district, last)
    assert (await learn(district)).rows == ()
    assert await district.store.read(disputed) == {
        f"correction {first}": {f"correction {last}"},
        f"correction {last}": {f"correction {first}"},
    }


@pytest.mark.parametrize("other", ["buses 5 PM, where was bus 12?!", "buses  7 pm -- where was BUS 43"])
async def test_near_identical_messages_with_different_targets_contradict_each_other(district, other):
    """Digits, letter case and punctuation don't make another message of it; a different one isn't drawn in."""
    await confirmed(district, "buses 5 pm, where was bus 12", "meals")
    await confirmed(district, other, "office")
    agreed = await confirmed(district, "buses and nothing like it", "meals")
    assert keys(await learn(district)) == [f"correction {agreed}"]


async def test_an_audit_contradicts_a_correction(district):
    """One person sent it to meals, another, who saw only the message, says office."""
    await confirmed(district, "buses and a refund")
    [message_id] = {each.message_id for each in (await learn(district)).rows}
    await audited(district, message_id, "office")
    assert (await learn(district)).rows == ()
    await audited(district, message_id, "meals")
    assert sorted(each.source for each in (await learn(district)).rows) == [AUDIT, CORRECTION]


# --- caps -------------------------------------------------------------------------------------------------------------


async def test_of_one_person_only_so_many_are_new_at_once(district):
    """The oldest come first; the others' own aren't held up; what is left out is told, and comes the next time."""
    loud = [await confirmed(district, f"buses {word}") for word in ("ant", "bee", "cat", "dog", "eel")]
    other = await confirmed(district, "buses fox", by="kim@d.example", flagged_by="kim@d.example")
    caps = Rules(person=2)
    first = await learn(district, caps)
    assert keys(first) == [f"correction {id_}" for id_ in (*loud[:2], other)]
    assert first.left_out == {"more than 2 new ones of one person: they come in the next training": 3}
    assert (first.new, first.waiting, first.loudest) == (3, 3, (JO, 2))
    second = await learn(district, caps, keys(first))
    assert keys(second) == [f"correction {id_}" for id_ in (*loud[:4], other)]
    third = await learn(district, caps, keys(second))
    assert (len(third.rows), third.new, third.left_out) == (6, 1, {})


async def test_other_answers_to_audits_that_were_learnt_got_round_the_caps(district):
    """What is said anew is new, whether of the department or of urgency: no more of it at once than of anything."""
    ids = [await district.route(f"buses {word}") for word in ("ant", "bee", "cat", "dog")]
    for message_id in ids:
        await audited(district, message_id, "buses")
    learnt = keys(await learn(district))
    assert len((await learn(district, Rules(person=2), learnt)).rows) == 4
    for message_id in ids:
        await audited(district, message_id, "meals" if message_id in ids[:2] else "buses", urgent=message_id in ids[2:])
    again = await learn(district, Rules(person=2), learnt)
    assert (len(again.rows), again.new, again.waiting, again.loudest) == (2, 2, 2, (JO, 2))


async def test_who_flags_counts_as_well_as_who_confirms(district):
    """A hundred flags by one person aren't laundered by several colleagues who confirm them."""
    for number, by in enumerate((JO, LEE, "kim@d.example")):
        await confirmed(district, f"buses {'abc'[number] * 5}", by=by, flagged_by="Mal@d.example")
    lessons = await learn(district, Rules(person=2))
    assert (len(lessons.rows), lessons.loudest) == (2, ("mal@d.example", 2))


async def test_a_department_and_a_cycle_have_caps(district):
    """However many people say so."""
    for number, to in enumerate(("meals", "meals", "meals", "office", "office")):
        person = f"p{number}@d.example"
        await confirmed(district, f"buses {'vwxyz'[number] * 5}", to, by=person, flagged_by=person)
    of_department = await learn(district, Rules(department=2))
    assert [lesson.to_department for lesson in of_department.rows] == ["meals", "meals", "office", "office"]
    assert list(of_department.left_out) == ["more than 2 new ones for one department: they come in the next training"]
    of_all = await learn(district, Rules(cycle=4))
    assert (len(of_all.rows), of_all.waiting) == (4, 1)
