"""A challenger beside the champion: what is compared, when it takes over, and what keeps it from doing so."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from router.errors import Conflict
from router.learning import registry
from router.learning.shadow import Shadow, enough, why_not
from router.store import models, shadows, tables
from router.store.engine import open_store
from router.store.shadows import Counts
from router.testing import FakeClock
from tests.contract.store_helpers import spoil
from tests.unit.router.learning.live import LABELS, Live, champion, with_terms

SURE = [[0.2, 0.0, -1e6, 1.0]]
NEVER = [[0.2, 1.01, -1e6, 0.0]]
BUS, LUNCH = "bus stop driver late yellow seat corner", "lunch menu pizza tray milk cafeteria"


@pytest.fixture
async def live(live):
    """The daemon tries a challenger on 40 messages."""
    with_terms(live, shadow=40)
    return live


async def tried(live, make, **meta):
    """Register a champion, let it decide about five messages, and put a challenger beside it."""
    first = await champion(live, make)
    await live.decided(5, first.version, text=BUS)
    challenger = make("two", first.version, **{"operating_points": SURE, **meta})
    second = await registry.register(live.store, challenger, promote=True, shadow=True)
    return first.version, second.version


async def serves(live):
    return (await live.store.read(models.champion)).version


async def state(live, version):
    return (await live.store.read(lambda c: models.get(c, version))).state


async def test_it_takes_over_after_so_many_messages(live, make):
    """Only messages that came after it began count, each once; then it serves, and operations are told."""
    first, second = await tried(live, make)
    shadow = Shadow(live.around)
    assert await shadow.look() == 0
    await live.decided(39, first, text=BUS)
    assert [await shadow.look() for _ in range(3)] == [32, 7, 0]
    assert (await serves(live), await state(live, second)) == (first, models.SHADOW)
    await live.decided(1, first, text=BUS)
    assert await shadow.look() == 1
    assert (await serves(live), await state(live, first)) == (second, models.RETIRED)
    assert (live.told, live.refreshed) == ([f"A new model serves: {second}"], 1)


async def test_a_champion_that_a_person_chose_meanwhile_was_replaced(postgres_url, make, log):
    """While another transaction promotes, a trial that ends at that moment waits for it, and then gives way."""
    engine = create_async_engine(make_url(postgres_url).set(drivername="postgresql+asyncpg"))
    store = open_store(postgres_url, clock=FakeClock())
    await store.open()
    try:
        live = await Live(store, store.clock, log).begin()
        with_terms(live, shadow=20)
        first, second = await tried(live, make)
        chosen = await registry.register(store, make("three", first), promote=False)
        await live.decided(20, first, text=BUS)
        async with engine.connect() as person, engine.connect() as other:
            await person.run_sync(lambda c: registry.make_champion(c, chosen.version, live.clock.now(), by="jo"))
            trial = asyncio.create_task(Shadow(live.around).look())
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'models'::regclass")
            while not trial.done() and not (await other.execute(waiting)).scalar_one():
                await other.rollback()
            await person.commit()
            with pytest.raises(Conflict, match="at the same moment"):
                await trial
        assert await serves(live) == chosen.version
        assert await state(live, second) == models.SHADOW
    finally:
        await engine.dispose()
        await store.close()


async def test_a_trial_beside_a_model_that_is_gone_never_ended(live, make):
    """It stood in for the champion, and is there no more: the trial ends, so that there can be another."""
    first = await champion(live, make)
    challenger = make("two", "gone")
    challenger = replace(challenger, verdict=replace(challenger.verdict, instead_of=first.version))
    second = await registry.register(live.store, challenger, promote=True, shadow=True)
    assert second.state == models.SHADOW
    assert await Shadow(live.around).look() == 0
    assert await state(live, second.version) == models.CHALLENGER
    assert live.told == [f"The new model {second.version} isn't used"]


async def test_differences_are_listed_with_both_answers_and_no_text(live, make):
    """The champion has sent lunch to the buses; the challenger wouldn't."""
    first, second = await tried(live, make)
    await live.decided(3, first, text=BUS)
    (other,) = await live.decided(1, first, text=LUNCH)
    await Shadow(live.around).look()
    rows = await live.store.read(lambda c: shadows.differences(c, second, 10))
    assert [(row.decision_id, row.before, row.after) for row in rows] == [(other, "buses", "meals")]
    counts = await live.store.read(lambda c: shadows.counts(c, second, LABELS))
    assert (counts.n, counts.different, counts.judged) == (4, 1, 0)


async def test_it_changes_no_message_and_no_delivery(live, make):
    """It only looks."""
    first, _second = await tried(live, make)
    await live.decided(10, first, text=LUNCH)
    names = (tables.messages, tables.decisions, tables.deliveries, tables.alarms)
    before = [await live.count(table) for table in names]
    await Shadow(live.around).look()
    assert [await live.count(table) for table in names] == before


async def test_a_challenger_that_leaves_much_to_a_person_is_not_used(live, make):
    """The gate didn't notice, live messages show it: operations are told why, and it stays a challenger."""
    first, second = await tried(live, make, operating_points=NEVER)
    await live.decided(40, first, text=BUS)
    shadow = Shadow(live.around)
    await shadow.look()
    await shadow.look()
    assert (await serves(live), await state(live, second)) == (first, models.CHALLENGER)
    assert live.told == [f"The new model {second} isn't used"]


async def test_a_challenger_that_doesnt_see_an_urgent_message_is_not_used(live, make):
    """One alarm that only the champion raised is enough."""
    first, second = await tried(live, make)
    await live.decided(39, first, text=BUS)
    await live.decided(1, first, text=BUS, urgent="the model says so")
    shadow = Shadow(live.around)
    await shadow.look()
    await shadow.look()
    assert (await serves(live), await state(live, second)) == (first, models.CHALLENGER)
    rows = await live.store.read(lambda c: shadows.differences(c, second, 10))
    assert [row.alarm_lost for row in rows] == [True]


async def test_it_ends_when_another_model_becomes_champion(live, make):
    """A person went back or promoted another: what it was compared with serves no more."""
    first, second = await tried(live, make)
    third = await registry.register(live.store, make("three", first), promote=False)
    await registry.promote(live.store, third.version, by="ana@maple.example")
    await Shadow(live.around).look()
    assert (await serves(live), await state(live, second)) == (third.version, models.CHALLENGER)


async def test_a_trial_beside_a_champion_that_answers_no_more_never_ended(live, make):
    """After a restart the champion can't be used, and another answers: there is nothing to compare with."""
    first, second = await tried(live, make)
    shadow = Shadow(live.around)
    await live.decided(3, first, text=BUS)
    assert [await shadow.look() for _ in range(2)] == [3, 0]
    assert await state(live, second) == models.SHADOW
    await live.decided(3, "bundled", text=BUS)
    await shadow.look()
    assert (await serves(live), await state(live, second)) == (first, models.CHALLENGER)
    assert live.told == [f"The new model {second} isn't used"]


async def test_it_may_follow_a_champion_that_cannot_be_used(live, make):
    """It was compared with what serves in its place, and is tried beside that."""
    first = await champion(live, make)
    stands_in = await registry.register(live.store, make("bundled"), promote=False)
    await live.decided(5, stands_in.version, text=BUS)
    model = make("two", stands_in.version, operating_points=SURE)
    model = replace(model, verdict=replace(model.verdict, instead_of=first.version))
    second = await registry.register(live.store, model, promote=True, shadow=True)
    assert second.state == models.SHADOW
    await live.decided(40, stands_in.version, text=BUS)
    shadow = Shadow(live.around)
    assert [await shadow.look() for _ in range(2)] == [32, 8]
    assert await serves(live) == second.version


async def test_a_damaged_challenger_is_not_tried(live, make):
    """It could never serve."""
    _first, second = await tried(live, make)
    await spoil(live.store, second)
    await Shadow(live.around).look()
    assert await state(live, second) == models.CHALLENGER


def test_a_trial_ends_after_so_many_messages_or_a_while():
    """After a while, too, but never on a handful."""
    began, day = FakeClock().now(), timedelta(days=1)
    assert enough(Counts(n=100), began, began, 100, day)
    assert not enough(Counts(n=99), began + day - timedelta(seconds=1), began, 100, day)
    assert enough(Counts(n=99), began + day, began, 100, day)
    assert not enough(Counts(n=19), began + 30 * day, began, 100, day)
    assert enough(Counts(n=5), began, began, 5, day)


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        (Counts(n=100, different=50), ""),
        (Counts(n=100, before_abstained=20, after_abstained=24), ""),
        (Counts(n=100, before_abstained=20, after_abstained=45), "leaves 45 to a person, not 20"),
        (Counts(n=10_000, before_abstained=2000, after_abstained=2400), ""),
        (Counts(n=100, judged=30, better=1, worse=6), ""),
        (Counts(n=100, judged=30, better=0, worse=9), "treated 9 worse and 0 better"),
        (Counts(n=100, alarms_lost=1), "1 of the messages are urgent"),
    ],
)
def test_what_speaks_against_a_challenger(counts, word):
    """Much more abstaining, alarms that it doesn't raise, corrections that it gets wrong; not mere difference."""
    assert (word in why_not(counts)) if word else why_not(counts) == ""
