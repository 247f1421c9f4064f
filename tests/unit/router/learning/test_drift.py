"""Drift in a daemon: every answer is counted once, days are compared once a day, and people are told what is new."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from router.alerts import Alerts
from router.learning.drift import Drift, Limits, Present
from router.learning.learner import LEASE
from router.ownership import Ownership
from router.records import Destination
from router.store import counts, daemons, drift, ledger, tables
from router.store.codec import notice_from_json
from router.store.engine import open_store
from router.testing import FakeClock
from tests.unit.router.past import Past, keep

ZONE = ZoneInfo("America/Chicago")
NOW = datetime(2026, 3, 9, 15, tzinfo=UTC)  # ten in the morning in Chicago
TEXTS = {"buses": "the bus is late again at our stop", "meals": "lunch menu was good"}
KNOWN = frozenset(f"{TEXTS['buses']} {TEXTS['meals']} please tell us about it".split())
LIMITS = Limits(window=timedelta(days=7), reference=timedelta(days=28), least=50)


class Words:
    """A model that says which words it knows."""

    def knows(self, word):
        return word in KNOWN


class Seen:
    """One daemon's look-out on a store with a clock to turn."""

    def __init__(self, store, clock, log, name="one"):
        self.store, self.clock, self.name = store, clock, name
        self.lease = Ownership(store, LEASE, name, lambda: True)
        self.present = Present(limits=LIMITS, zone=ZONE, classifier=Words())
        alerts = Alerts([Destination(via="out", to="it")], [])
        self.drift = Drift(store, self.lease, alerts, lambda: self.present, log)

    async def begin(self):
        now = self.clock.now() if self.store.dialect == "sqlite" else None
        await self.store.write(lambda c: daemons.register(c, self.name, now, alone=False))
        assert await self.lease.take()
        return self

    async def look(self):
        """Look until all is counted and compared; return the report."""
        for _ in range(2):
            await self.drift.look()
        return await self.store.read(drift.report)

    async def sums(self):
        """Return what is counted in all days and models, by what and name."""
        kept = await self.store.read(lambda c: drift.sums(c, NOW.date() - timedelta(days=900), NOW.date()))
        total = defaultdict(float)
        for (_day, _model, what, name), amount in kept.items():
            total[what, name] += amount
        return total

    async def told(self):
        """Return the notices that wait for operations."""
        statement = select(tables.deliveries.c.notice).order_by(tables.deliveries.c.id)
        return [
            notice_from_json(each) for each in await self.store.read(lambda c: c.execute(statement).scalars().all())
        ]


@pytest.fixture
async def seen(store_url, log):
    clock = FakeClock(NOW)
    store = open_store(store_url, clock)
    await store.open()
    yield await Seen(store, clock, log).begin()
    await store.close()


def usual(rng, days=35, per_day=20, **more):
    """Return messages of so many days until yesterday: half about buses, half about lunch; a fifth left to people."""
    rows = []
    for day in range(days, 0, -1):
        for number in range(per_day):
            label = ("buses", "meals")[number % 2]
            abstains = rng.random() < 0.2
            rows.append(
                Past(
                    text=TEXTS[label],
                    at=NOW - timedelta(days=day) + timedelta(minutes=number),
                    department="office" if abstains else label,
                    reason="abstained" if abstains else "model",
                    label=label,
                    confidence=0.4 if abstains else 0.9,
                    **more,
                )
            )
    return rows


def new_matter(days=5, per_day=12):
    """Return messages of the last days about something new, which the model can't place."""
    return [
        Past(
            text="please tell us about electric scooters and the charging rack",
            at=NOW - timedelta(days=day) + timedelta(minutes=number, seconds=30),
            department="office",
            reason="abstained",
            label="buses",
            confidence=0.35,
        )
        for day in range(days, 0, -1)
        for number in range(per_day)
    ]


async def test_every_answer_of_the_model_is_counted_once(seen, rng):
    """In batches, over several looks, and only what the model was asked about; the sums say how many and how sure."""
    rows = usual(rng)
    rules = [Past(text="w-2 form", at=rows[0].at, department="office", reason="rule") for _ in range(30)]
    await keep(seen.store, [*rows, *rules])
    await seen.look()
    sums = await seen.sums()
    assert sums["asked", ""] == len(rows)
    assert sums["abstained", ""] == sum(each.reason == "abstained" for each in rows)
    assert sums["label", "buses"] == len(rows) / 2
    assert sums["routed", "meals"] == sum(each.department == "meals" for each in rows)
    assert sums["doubt", ""] == pytest.approx(sum(1 - each.confidence for each in rows))
    assert sums["unknown", ""] == 0
    assert sums["words", ""] == sum(len(each.text.split()) for each in rows)
    await seen.look()
    assert await seen.sums() == sums


async def test_what_was_only_observed_counts_as_what_it_would_have_been(seen):
    """In observe mode all goes to the office; what the model would have done is counted, but no department got it."""
    would = {"buses": "would go to buses (model: buses at 90%)", "": "would go to office (abstained: not sure)"}
    rows = [
        Past(
            text="bus", at=NOW - timedelta(days=1), department="office", reason="observe", detail=detail, label="buses"
        )
        for detail in would.values()
    ]
    await keep(seen.store, rows)
    await seen.look()
    sums = await seen.sums()
    assert (sums["asked", ""], sums["abstained", ""], sums["routed", "buses"]) == (2, 1, 0)


async def test_what_is_so_young_that_an_earlier_one_may_come_is_left_for_later(seen, rng):
    """Where several daemons commit at once a lower number may appear after a higher one: a minute settles that."""
    rows = usual(rng, days=2)
    young = [Past(text="lunch menu", at=NOW - timedelta(seconds=20), department="meals", label="meals")]
    await keep(seen.store, [*rows, *young])
    await seen.look()
    assert (await seen.sums())["asked", ""] == len(rows)
    seen.clock.advance(timedelta(days=1))
    await seen.look()
    kept = await seen.store.read(lambda c: drift.sums(c, NOW.date(), NOW.date() + timedelta(days=1)))
    assert sum(n for (_day, _model, what, _name), n in kept.items() if what == "asked") == 1


async def test_days_are_the_districts(seen):
    """What came at eleven in the evening in Chicago is yesterday's, though it is today's in Greenwich."""
    await keep(
        seen.store, [Past(text="bus", at=datetime(2026, 3, 6, 5, tzinfo=UTC), department="buses", label="buses")]
    )
    await seen.look()
    kept = await seen.store.read(lambda c: drift.sums(c, NOW.date() - timedelta(days=9), NOW.date()))
    assert {str(day) for day, *_ in kept} == {"2026-03-05"}


async def test_a_new_matter_is_told_with_its_words_and_messages(seen, rng):
    """A third of the last days' messages is about scooters: an alert names the words and messages, once."""
    new = new_matter()
    await keep(seen.store, sorted([*usual(rng), *new], key=lambda each: each.at))
    report = await seen.look()
    assert {"abstained", "unknown"} <= {each["what"] for each in report["changes"]}
    assert {"scooters", "charging", "rack"} <= set(report["topic"]["words"])
    assert report["topic"]["n"] == len(new)
    assert set(report["topic"]["messages"]) <= {each.id for each in new}
    [notice] = [each for each in await seen.told() if "something new" in each.subject]
    assert "scooters" in notice.text
    assert f"signpost messages show {report['topic']['messages'][0]}" in notice.text
    seen.clock.advance(timedelta(days=1))
    assert (await seen.look())["changes"]
    assert len([each for each in await seen.told() if "something new" in each.subject]) == 1


async def test_where_nothing_changes_nobody_is_told(seen, rng):
    """Twenty looks at steady traffic: the report says so, and no notice goes out."""
    await keep(seen.store, usual(rng, days=60))
    seen.clock.advance(timedelta(days=-20))
    for _ in range(20):
        report = await seen.look()
        seen.clock.advance(timedelta(days=1))
    assert report["compared"]
    assert (report["changes"], report["topic"]) == ([], None)
    assert await seen.told() == []


async def test_a_department_that_sends_more_on_is_named(seen, rng):
    """A third of what the buses got in the last days was sent on, where hardly anything was before."""
    rows = usual(rng)
    lately = [each for each in rows if each.at > NOW - timedelta(days=7) and each.department == "buses"]
    for each in lately[::3]:
        each.belongs = "meals"
    await keep(seen.store, rows)
    report = await seen.look()
    [change] = report["changes"]
    assert (change["what"], change["name"]) == ("corrected", "buses")
    assert change["after"] == pytest.approx(1 / 3, abs=0.03)
    [notice] = await seen.told()
    assert "what buses got was sent on" in notice.text


async def test_flags_that_were_taken_back_dont_count(seen, rng):
    """The same, but everybody has thought better of it."""
    rows = usual(rng)
    for each in [each for each in rows if each.at > NOW - timedelta(days=7) and each.department == "buses"][::3]:
        each.belongs, each.correction = "meals", "withdrawn"
    await keep(seen.store, rows)
    assert (await seen.look())["changes"] == []


async def test_a_new_model_that_is_a_little_more_cautious_is_no_drift(seen, rng):
    """It was let serve for that: where another model answered before, twice the difference is needed."""
    rows = usual(rng)
    for each in rows:
        if each.at > NOW - timedelta(days=7):
            each.model = "m2"
            if rng.random() < 0.09:
                each.reason, each.department = "abstained", "office"
    await keep(seen.store, rows)
    rates = (await seen.look())["rates"]["abstained"]
    assert rates["after"] > rates["before"] + 0.04
    assert "abstained" not in {each["what"] for each in (await seen.look())["changes"]}


async def test_too_few_messages_are_said_to_be_too_few(seen, rng):
    """Three a day tell nothing."""
    await keep(seen.store, usual(rng, per_day=3) + new_matter(per_day=1))
    report = await seen.look()
    assert (report["compared"], report["changes"]) == (0, [])
    assert report["messages"] == 7 * 3 + 5


async def test_it_can_be_switched_off(seen, rng):
    """`false_alarms: 0`: nothing is compared, and nobody told."""
    seen.present = replace(seen.present, limits=replace(LIMITS, false_alarms=0.0))
    await keep(seen.store, sorted([*usual(rng), *new_matter()], key=lambda each: each.at))
    assert (await seen.look())["compared"] == 0
    assert await seen.told() == []


async def test_a_daemon_that_lost_the_lease_counts_nothing(seen, rng, log):
    """Another daemon has taken over and counts on: together they count everything once."""
    rows = usual(rng)
    await keep(seen.store, rows[:300])
    await seen.look()
    other = Seen(seen.store, seen.clock, log, name="other")
    expired = update(tables.daemons).where(tables.daemons.c.id == "one").values(expires_at=NOW - timedelta(days=400))
    await seen.store.write(lambda c: c.execute(expired))
    await other.begin()
    await keep(seen.store, rows[300:])
    with pytest.raises(Exception, match="taken this over"):
        await seen.look()
    await other.look()
    assert (await other.sums())["asked", ""] == len(rows)


async def test_a_model_that_cant_say_which_words_it_knows(seen, rng):
    """Everything else is compared all the same."""
    seen.present = replace(seen.present, classifier=None)
    await keep(seen.store, sorted([*usual(rng), *new_matter()], key=lambda each: each.at))
    report = await seen.look()
    assert "unknown" not in report["rates"]
    assert "abstained" in {each["what"] for each in report["changes"]}


async def test_what_cant_be_read_is_passed_over(seen, rng):
    """A message whose content nobody can make sense of any more costs its batch, and not all that come after it."""
    rows = usual(rng)
    await keep(seen.store, rows)
    spoilt = update(tables.messages).where(tables.messages.c.id == rows[0].id).values(content={"no such": "field"})
    await seen.store.write(lambda c: c.execute(spoilt))
    await seen.look()
    assert (await seen.sums())["asked", ""] == len(rows) - 250


async def test_the_first_look_goes_back_so_far_and_no_farther(seen, rng, monkeypatch):
    """A store with a million decisions isn't read from its beginning."""
    monkeypatch.setattr("router.learning.drift._FIRST", 100)
    await keep(seen.store, usual(rng, days=20))
    await seen.look()
    assert (await seen.sums())["asked", ""] == 100


async def test_the_ledger_tells_what_was_found(seen, rng):
    """`status` and /metrics read the report; before the first look there is none."""
    assert (await seen.store.read(lambda c: ledger.status(c, NOW)))["drift"] == {}
    await keep(seen.store, usual(rng))
    report = await seen.look()
    assert (await seen.store.read(lambda c: ledger.status(c, NOW)))["drift"] == report
    assert await seen.store.read(counts.deliveries_by_state) == {}
