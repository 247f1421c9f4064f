"""Audits: whom chance chooses, what people say about it, and the rates that follow."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from classifiers._figures import share
from router.audit_commands import AuditCommands
from router.errors import NotFound
from router.ids import new_message_ids
from router.learning.audit import Audit, is_chosen, months, summary
from router.records import Decision, Reason
from router.routing.route import intended
from router.store import audits
from router.store.engine import open_store
from router.testing import FakeClock
from tests.unit.router.district import District
from tests.unit.router.learning.test_corrections import flag

CHICAGO = ZoneInfo("America/Chicago")
NOW = datetime(2026, 10, 31, 22, 0, tzinfo=UTC)
JO = "jo@d.example"


@pytest.fixture
async def store(store_url):
    """A store of either kind, with a clock that stands still until it is turned."""
    opened = open_store(store_url, FakeClock(NOW))
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def make(store, log, rng):
    """Make a district that offers a share of its messages for an audit."""

    def made(rate=1.0, **more):
        district = District(store, log, rng, **more)
        district.stage._audit = Audit(rate)
        return district

    return made


@pytest.fixture
def commands(store):
    """The commands about audits."""
    return AuditCommands(store, ["office", "buses", "meals"], CHICAGO)


async def answer(commands, message_id, department, urgent=False):
    """Label a message."""
    return await commands.audit_answer(message_id, department, urgent, JO)


# --- chance -----------------------------------------------------------------------------------------------------------


def test_chance_chooses_the_share_that_is_wanted():
    """Of 20,000 ids as messages get them, within four standard deviations; at no rate none, at 1 every one."""
    rng, now = Random(3), datetime(2026, 3, 2, tzinfo=UTC)
    ids = set(new_message_ids([now + timedelta(seconds=rng.uniform(0, 1e6)) for _ in range(20_000)]))
    for rate in (0.0, 0.01, 0.2, 1.0):
        chosen = sum(is_chosen(each, rate) for each in ids)
        assert abs(chosen - rate * len(ids)) <= 4 * (rate * (1 - rate) * len(ids)) ** 0.5


def test_who_is_chosen_stays_chosen_at_a_higher_rate():
    """A district that audits more keeps what it had; the id alone decides, so a restart changes nothing."""
    ids = [f"0WE{number:09d}" for number in range(3000)]
    few, many = ([each for each in ids if is_chosen(each, rate)] for rate in (0.02, 0.1))
    assert set(few) < set(many)
    assert few == [each for each in ids if is_chosen(each, 0.02)]


async def test_a_chosen_message_waits_for_a_label_from_the_moment_it_is_routed(make, commands):
    """The queue holds it with what the family wrote, and not with where the router sent it."""
    message_id = await make().route("buses are late")
    [row] = await commands.audit_list()
    assert (row["id"], row["beginning"], row["language"]) == (message_id, "buses are late", "en")
    shown = await commands.audit_show(message_id.lower())
    assert shown["text"] == "buses are late"
    for view in (row, shown):
        assert not {"department", "reason", "routed_to", "confidence"} & set(view)


async def test_what_chance_did_not_choose_cannot_be_labelled(make, commands):
    """Else people would label what they noticed, and the rate would be that of noticed messages."""
    message_id = await make(rate=0.0).route("buses are late")
    assert await commands.audit_list() == []
    with pytest.raises(NotFound, match="wasn't chosen"):
        await answer(commands, message_id, "meals")
    with pytest.raises(NotFound, match="no department 'busses'"):
        await answer(commands, message_id, "busses")


async def test_observe_mode_is_audited_for_where_the_message_would_have_gone(make, commands):
    """So a district knows how good the router is before it trusts it."""
    message_id = await make(observe=True).route("buses are late")
    told = await answer(commands, message_id, "buses")
    assert (told["routed_to"], told["misrouted"], told["now_with"]) == ("buses", False, "office")
    rate = (await commands.audit_rate())["audited"]
    assert (rate["n"], rate["misrouted"]) == (1, 0)


def test_both_departments_of_a_message_with_two_matters_are_intended():
    """In observe mode, too, where only the sentence says so."""
    live = Decision(message_id="m", department="buses", also=("meals",), reason=Reason.RULE, decided_at=NOW)
    seen = Decision(
        message_id="m",
        department="office",
        reason=Reason.OBSERVE,
        detail="would go to buses and meals (rule: lunch (hot) on board)",
        decided_at=NOW,
    )
    assert intended(live) == intended(seen) == (("buses", "meals"), Reason.RULE)


async def test_a_renamed_department_had_what_it_has_now(make, store):
    """The router sent it to the buses, whom the configuration calls yellow-fleet by the time somebody answers."""
    commands = AuditCommands(store, ["office", "yellow-fleet", "meals"], CHICAGO, heirs={"buses": "yellow-fleet"})
    district = make()
    told = [await answer(commands, await district.route("buses are late"), to) for to in ("yellow-fleet", "meals")]
    assert [each["misrouted"] for each in told] == [False, True]


# --- answers ----------------------------------------------------------------------------------------------------------


async def test_an_answer_tells_where_the_message_went_and_leaves_it_there(make, commands):
    """It is no flag: the message stays with the buses, and the queue is empty."""
    message_id = await make().route("buses and lunch")
    told = await answer(commands, message_id, "meals", urgent=True)
    assert (told["routed_to"], told["misrouted"], told["was_urgent"], told["now_with"]) == (
        "buses",
        True,
        False,
        "buses",
    )
    assert await commands.audit_list() == []
    [row] = await commands.audit_list(answered=True)
    assert (row["answer"], row["by"], row["urgent"], row["misrouted"]) == ("meals", JO, True, True)


async def test_the_last_answer_counts(make, commands):
    """Whoever erred answers again."""
    message_id = await make().route("buses are late")
    await answer(commands, message_id, "meals")
    await answer(commands, message_id, "buses")
    rate = (await commands.audit_rate())["audited"]
    assert (rate["n"], rate["misrouted"]) == (1, 0)


async def test_where_it_was_routed_first_counts_not_where_people_brought_it(make, commands, store):
    """A flag that mended it in time doesn't make the router right."""
    district = make()
    message_id = await district.route("buses want lunch")
    await flag(district, message_id, "meals")
    assert (await answer(commands, message_id, "meals"))["misrouted"]
    told = await store.read(lambda c: summary(c, store.clock.now()))
    assert told["audited"] | {"interval": None} == {"n": 1, "misrouted": 1, "rate": 1.0, "interval": None}
    assert told["flagged"] == {"routed": 1, "flagged": 1, "rate": 1.0}


# --- rates ------------------------------------------------------------------------------------------------------------


async def test_audited_and_flagged_rates_stand_side_by_side(make, commands, store):
    """Of ten messages two went wrong and one of these was flagged: 20 % by audit (Wilson's interval), 10 % flagged."""
    district = make()
    ids = [await district.route(f"buses {number}", sender=f"p{number}@home.example") for number in range(10)]
    for number, message_id in enumerate(ids):
        await answer(commands, message_id, "meals" if number < 2 else "buses")
    await flag(district, ids[0], "meals")
    told = await commands.audit_rate()
    audited, flagged = told["audited"], told["flagged"]
    assert (audited["offered"], audited["answered"], audited["n"], audited["misrouted"]) == (10, 10, 10, 2)
    assert (audited["rate"], audited["interval"]) == share(2, 10) == (0.2, [0.0567, 0.5098])
    assert (flagged["routed"], flagged["flagged"], flagged["rate"]) == (10, 1, 0.1)
    for group, key in (("period", "2026-10"), ("department", "buses"), ("language", "en"), ("channel", "contact")):
        assert audited[f"per_{group}"] == {
            key: {name: audited[name] for name in ("n", "misrouted", "rate", "interval")}
        }
        assert flagged[f"per_{group}"] == {key: {"routed": 10, "flagged": 1, "rate": 0.1}}


async def test_what_was_left_to_people_is_counted_apart(make, commands):
    """A message for the fallback is no misroute; that it belonged to a department is told all the same."""
    message_id = await make().route("who knows")
    await answer(commands, message_id, "meals")
    audited = (await commands.audit_rate())["audited"]
    assert (audited["answered"], audited["n"], audited["rate"]) == (1, 0, None)
    assert (audited["fallback"]["n"], audited["fallback"]["had_a_department"]) == (1, 1)


async def test_urgent_messages_that_raised_no_alert_are_counted(make, commands):
    """Of two urgent ones nobody was told."""
    district = make()
    for text, urgent in (("buses a", True), ("buses b", True), ("buses c", False)):
        await answer(commands, await district.route(text), "buses", urgent=urgent)
    assert (await commands.audit_rate())["audited"]["urgent"] == {"n": 2, "missed": 2, "needless": 0}


async def test_a_flag_that_was_taken_back_is_no_flag(make, commands, store):
    """Nor is one of last month one of this month: when the message came in counts."""
    district = make(rate=0.0)
    message_id = await district.route("buses one")
    moved = await flag(district, message_id, "meals")
    store.clock.advance(timedelta(days=2))
    await district.route("buses two")
    flagged = (await commands.audit_rate())["flagged"]
    assert {key: each["flagged"] for key, each in flagged["per_period"].items()} == {"2026-10": 1, "2026-11": 0}
    assert (await commands.audit_rate(since="2026-11-01"))["flagged"]["routed"] == 1
    assert (await commands.audit_rate(until="2026-10-31"))["flagged"]["routed"] == 1
    await store.write(lambda c: district.corrections.undo(c, moved.correction_id, JO, store.clock.now()))
    assert (await commands.audit_rate())["flagged"]["flagged"] == 0


def test_months_begin_at_the_districts_midnight():
    """The first evening hours of November in UTC are still October's in Chicago, and the clocks' change loses none."""
    start, end = datetime(2026, 10, 31, 3, tzinfo=UTC), datetime(2027, 1, 1, 7, tzinfo=UTC)
    parts = list(months(start, end, CHICAGO))
    assert [name for name, *_ in parts] == ["2026-10", "2026-11", "2026-12", "2027-01"]
    assert parts[1][1] == datetime(2026, 11, 1, 5, tzinfo=UTC)
    assert parts[2][1] == datetime(2026, 12, 1, 6, tzinfo=UTC)
    assert [each[1] for each in parts[1:]] == [each[2] for each in parts[:-1]]
    assert (parts[0][1], parts[-1][2]) == (start, end)


def test_the_interval_covers_the_truth_that_nobody_flagged():
    """Eight in a hundred messages go wrong unseen: of a hundred samples at least 90 intervals hold it."""
    rng = Random(11)
    covered = 0
    for district in range(100):
        chosen = [number for number in range(6000) if is_chosen(f"0WE{district:03d}{number:06d}", 0.05)]
        wrong = sum(rng.random() < 0.08 for _ in chosen)
        _rate, interval = share(wrong, len(chosen))
        covered += interval[0] <= 0.08 <= interval[1]
    assert covered >= 90


async def test_offering_twice_changes_nothing(make, store):
    """A message that was held and released is chosen once; an answer that was given stays."""
    message_id = await make().route("buses one")
    await store.write(lambda c: audits.answer(c, message_id, NOW, answer="meals", wrong=True, by=JO))
    row = await store.read(lambda c: audits.get(c, message_id))
    again = {name: row._mapping[name] for name in ("message_id", "received_at", "channel", "department", "reason")}
    await store.write(lambda c: audits.add(c, [again | {"urgent": False}]))
    assert await store.read(lambda c: audits.get(c, message_id)) == row
