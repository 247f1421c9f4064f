"""What people said outlives the departments that they named: who covers the label of one that has gone has it now."""

from __future__ import annotations

from dataclasses import replace

import pytest

from router.destinations import Desks
from router.learning import corrections as rules
from router.learning.dataset import build
from router.learning.heirs import heirs
from router.learning.lessons import Rules, disputed
from router.records import Department
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.district import ALERTS, District, desk
from tests.unit.router.learning.test_corrections import flag
from tests.unit.router.learning.test_lessons import audited, confirmed, learn, settle

RENAMED = Rules(heirs={"meals": "canteen"})


@pytest.fixture
def clock():
    """A clock that stands still until it is turned."""
    return FakeClock()


@pytest.fixture
async def district(store, log, rng):
    """A district on either kind of store."""
    return District(store, log, rng, sink=RecordingSink())


def _desks(**covers):
    fallback = Department(id="office", name="Office")
    return (fallback, *(Department(id=name, name=name, covers=tuple(each)) for name, each in covers.items()))


@pytest.mark.parametrize(
    ("now", "label"),
    [
        (_desks(buses=["buses"], meals=["meals"]), "buses"),
        (_desks(yellow=["buses"], meals=["meals"]), "buses"),
        (_desks(services=["meals", "buses"]), "buses"),
        (_desks(buses=["buses", "meals"], other=["rooms"]), None),
        (_desks(buses=[], meals=["meals"]), "out_of_scope"),
        (_desks(meals=["meals"]), None),
    ],
    ids=["as it was", "renamed", "merged", "grown, and no model to tell its labels apart", "covers nothing", "removed"],
)
def test_what_people_said_of_a_department_follows_its_label(now, label, store_row, about):
    """A correction to "buses", learnt from after the configuration has changed."""
    lesson = store_row("m1", "buses", about("buses"))
    made = build(lessons=[lesson], departments=now, fallback="office")
    taught = [row.department for row in (*made.examples, *made.out_of_scope)]
    assert taught == ([label] if label else [])
    assert bool(made.left_out) == (label is None)


def test_who_answers_for_former_departments():
    """A department that is still there answers for itself, whoever covers a label of its name."""
    assert heirs(_desks(yellow=["buses"], meals=["rooms"], rooms=["meals"], buses2=[])) == {"buses": "yellow"}


def rename_meals(district):
    """From now on the desk that covers meals is called canteen."""
    now = Desks((desk("office", covers=()), desk("buses"), desk("canteen", covers=("meals",))), (), "office")
    district.corrections = rules.Corrections(now, ALERTS)
    assert district.corrections.heirs() == RENAMED.heirs


async def test_a_renamed_department_does_not_contradict_itself(district):
    """What was said of alike messages, before and after, and of one message by both names, is one lesson's label."""
    await confirmed(district, "buses 5 pm, where was bus 12", "meals")
    both = await confirmed(district, "buses with lunch on board", "meals")
    [message] = {each.message_id for each in (await learn(district)).rows if each.id == both}
    rename_meals(district)
    await audited(district, message, "canteen")
    await confirmed(district, "buses 6 pm, where was bus 43", "canteen")
    assert len((await learn(district)).rows) == 0
    lessons = await learn(district, RENAMED)
    assert [each.to_department for each in lessons.rows] == ["canteen"] * 4
    assert not lessons.left_out
    assert await district.store.read(lambda c: disputed(c, RENAMED.heirs)) == {}


async def test_what_was_sent_back_to_a_renamed_department_is_disputed(district):
    """Meals said buses, and buses sent it to what meals is called now."""
    message_id = await district.route("meals by bus")
    there = (await flag(district, message_id, "buses")).correction_id
    rename_meals(district)
    back = (await flag(district, message_id, "canteen")).correction_id
    await settle(district, back)
    assert (await learn(district, RENAMED)).rows == ()
    assert set(await district.store.read(lambda c: disputed(c, RENAMED.heirs))) == {
        f"correction {there}",
        f"correction {back}",
    }


async def test_a_renamed_department_has_one_cap(district):
    """Its former name gives nobody more room."""
    for number, word in enumerate(("ant", "bee", "cat", "dog")):
        if number == 2:
            rename_meals(district)
        await confirmed(district, f"buses {word}", "canteen" if number >= 2 else "meals")
    lessons = await learn(district, replace(RENAMED, department=3))
    assert (len(lessons.rows), lessons.waiting) == (3, 1)
