"""What two votes confirmed, and how far that teaches; what is known of a message's urgency goes along."""

from __future__ import annotations

from functools import partial

import pytest

from router.learning.dataset import build
from router.learning.lessons import CORRECTION, Rules, disputed
from router.records import CorrectionState
from router.store import corrections
from router.store import model_events as events
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.district import DESKS, District
from tests.unit.router.learning.test_corrections import delivered, flag
from tests.unit.router.learning.test_lessons import JO, audited, confirmed, keys, learn, settle, urgently


@pytest.fixture
def clock():
    """A clock that stands still until it is turned."""
    return FakeClock()


@pytest.fixture
async def district(store, log, rng):
    """A district on either kind of store."""
    return District(store, log, rng, sink=RecordingSink())


async def voted(district, text, to="meals"):
    """Flag a message and let the department that got it say that it is theirs."""
    message_id = await district.route(text)
    first = await delivered(district, message_id)
    await flag(district, message_id, to, first, by="link")
    second = await delivered(district, message_id)
    now = district.store.clock.now()
    said = await district.store.write(lambda c: district.corrections.ours(c, second, now))
    assert (said.confirmed_by, said.confirmed_via) == ("two votes", "votes")
    return f"correction {said.id}"


async def test_votes_alone_teach_nothing(district):
    """They wait until a person has said something by name: an audit's answer, or a confirmed correction."""
    by_votes = await voted(district, "buses ant")
    alone = await learn(district)
    assert (alone.rows, alone.waiting) == ((), 1)
    assert [why.split(":")[0] for why in alone.left_out] == ["only votes confirmed them"]
    await audited(district, await district.route("buses are late"), "buses")
    assert by_votes in keys(await learn(district))


async def test_what_votes_confirmed_a_person_confirms_by_name(district):
    """Then it counts in full, and a voter who thinks better of it takes nothing back; no vote makes less of it."""
    by_votes = await voted(district, "buses ant")
    said = await settle(district, int(by_votes.split()[1]))
    assert (said.confirmed_by, said.confirmed_via) == (JO, "command")
    assert keys(await learn(district)) == [by_votes]
    await district.store.write(lambda c: corrections.doubt(c, said.id))
    again = partial(corrections.settle, state=CorrectionState.CONFIRMED, by="two votes", via=corrections.VOTES)
    now = district.store.clock.now()
    assert await district.store.write(lambda c: again(c, said.id, now=now)) is None
    assert keys(await learn(district)) == [by_votes]


async def test_a_program_that_sends_messages_on_unlearnt_what_a_person_had_confirmed(district):
    """Its link was used as only programs do: it speaks against nobody until somebody confirms what it said."""
    first = await confirmed(district, "buses ant")
    [message_id] = {each.message_id for each in (await learn(district)).rows}
    link = await delivered(district, message_id)
    by_program = (await flag(district, message_id, "office", link, by="link")).correction_id
    assert keys(await learn(district)) == []
    await district.store.write(lambda c: corrections.note_blank(c, link.id, district.store.clock.now()))
    assert keys(await learn(district)) == [f"correction {first}"]
    assert await district.store.read(disputed) == {}
    await settle(district, by_program)
    assert keys(await learn(district)) == []


async def test_votes_count_for_both_addresses_that_they_came_from(district):
    """What two votes confirmed has no person's name; the addresses whose links were used stand for one each."""
    await confirmed(district, "buses by name", "office")
    for word in ("ant", "bee", "cat"):
        await voted(district, f"buses {word}")
    few = await learn(district, Rules(votes_address=2))
    assert (len(few.rows), few.loudest) == (3, ("the address buses@district.example", 2))
    assert few.left_out == {
        "more than 2 new ones that only votes confirmed of one person: they come in the next training": 1
    }
    voices = {person for lesson in few.rows for person in lesson.people}
    assert {"the address buses@district.example", "the address meals@district.example"} <= voices


@pytest.mark.parametrize("caps", [{"votes_department": 2}, {"votes_cycle": 2}, {"person": 2}])
async def test_votes_have_lower_caps_and_fall_under_the_others(district, caps):
    """Two of three for one department, or in all; somebody's own words aren't held up by them."""
    await confirmed(district, "buses by name", "office")
    for word in ("ant", "bee", "cat"):
        await voted(district, f"buses {word}")
    assert len((await learn(district, Rules(**caps))).rows) == 3


async def test_what_starts_a_training(district):
    """What people confirmed by name, and audits; votes as soon as one of those is there; never time alone."""

    def count(connection, since=None):
        return events.settled_since(connection, since, district.store.clock.now())

    await voted(district, "buses ant")
    assert await district.store.read(count) == (0, 1)
    await audited(district, await district.route("buses are late"), "buses")
    assert await district.store.read(count) == (2, 2)
    await confirmed(district, "buses by name", "office")
    assert await district.store.read(count) == (3, 3)
    assert await district.store.read(lambda c: count(c, district.store.clock.now())) == (0, 0)


# --- urgency ----------------------------------------------------------------------------------------------------------


async def test_an_alarm_that_was_raised_is_remembered_with_the_correction(district):
    """Nobody has said whether it was urgent, so nothing is taught of that; but no model may lose the alarm."""
    urgently(district)
    await confirmed(district, "buses and a child", "office")
    (lesson,) = (await learn(district)).rows
    assert (lesson.urgent, lesson.alarmed) == (None, True)
    (example,) = build(lessons=[lesson], departments=tuple(DESKS.departments.values()), fallback="office").out_of_scope
    assert (example.urgent, example.alarming) == (None, True)


@pytest.mark.parametrize("urgent", [True, False])
async def test_what_an_audit_says_of_urgency_holds_for_a_correction_too(district, urgent):
    """A person's word on it overrules the alarm."""
    urgently(district)
    await confirmed(district, "buses and a child")
    [message_id] = {each.message_id for each in (await learn(district)).rows}
    await audited(district, message_id, "meals", urgent=urgent)
    assert {(each.urgent, each.alarmed and each.source == CORRECTION) for each in (await learn(district)).rows} == {
        (urgent, urgent), (urgent, False)
    }  # fmt: skip
