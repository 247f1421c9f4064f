"""After a promotion: a champion that does worse than what was before it is left, one that doesn't isn't."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import update

from router.errors import StoreBusy
from router.learning import registry
from router.learning.watch import CHANCE, FIRST, LOOKS, Watch, look_number, what_is_worse
from router.store import model_events as events
from router.store import models, tables
from router.store.model_rates import Rates
from tests.contract.store_helpers import spoil
from tests.unit.router.learning.live import champion


async def promoted(live, make, by=""):
    """Let a champion decide 150 messages, of which 3 are corrected and 10 left to people, then promote another."""
    first = await champion(live, make)
    decided = await live.decided(140, first.version)
    await live.decided(10, first.version, reason="abstained")
    await live.corrected(decided[-3:])
    live.clock.advance(60.0)
    second = await registry.register(live.store, make("two", first.version), promote=not by)
    if by:
        await registry.promote(live.store, second.version, by=by)
    live.clock.advance(60.0)
    return first.version, second.version


async def serves(live):
    return (await live.store.read(models.champion)).version


async def test_a_champion_that_people_correct_more_often_is_left(live, make):
    """20 of 100 where 3 of 100 were: the one before serves again, and operations are told why."""
    first, second = await promoted(live, make)
    watch = Watch(live.around)
    decided = await live.decided(99, second)
    await live.corrected(decided[:20])
    assert not await watch.look()
    await live.decided(1, second)
    assert await watch.look()
    assert await serves(live) == first
    assert (live.told, live.refreshed) == ([f"The new model {second} was taken back"], 1)
    [event] = [row for row in await live.store.read(events.listing) if row.what == events.ROLLED_BACK]
    assert event.why == "of 100 messages that it routed 20 were corrected by people, of 90 before it 3"


async def test_a_champion_that_abstains_more_often_is_left(live, make):
    """Half of its messages go to a person."""
    first, second = await promoted(live, make)
    await live.decided(60, second)
    await live.decided(60, second, reason="abstained")
    assert await Watch(live.around).look()
    assert await serves(live) == first


async def test_a_champion_that_does_as_well_stays(live, make):
    """Some corrections are as usual."""
    _first, second = await promoted(live, make)
    decided = await live.decided(110, second)
    await live.corrected(decided[:4])
    assert not await Watch(live.around).look()
    assert await serves(live) == second


async def test_what_was_corrected_later_of_earlier_messages_doesnt_excuse_it(live, make):
    """Both are given the same time: of the messages before, only what people had said by the promotion counts."""
    first, second = await promoted(live, make)
    await live.corrected(range(100, 140))
    decided = await live.decided(100, second)
    await live.corrected(decided[:20])
    assert await Watch(live.around).look()
    assert await serves(live) == first


async def test_flags_and_votes_alone_move_no_model(live, make):
    """Nobody whose name is known has confirmed them: a program may press every button."""
    _first, second = await promoted(live, make)
    decided = await live.decided(100, second)
    await live.corrected(decided[:20], state="proposed")
    await live.corrected(decided[20:40], via="votes")
    assert not await Watch(live.around).look()
    assert await serves(live) == second


async def test_one_person_who_confirmed_wrong_flags_took_a_model_back(live, make):
    """However many they are; where another says a few of them, too. Operations are told."""
    _first, second = await promoted(live, make)
    decided = await live.decided(100, second)
    await live.corrected(decided[:40], by=("dana",))
    await live.corrected(decided[40:43], by=("Ana", "bo"))
    assert not await Watch(live.around).look()
    assert (await serves(live), live.told) == (second, [f"The model {second} does worse"])
    assert "because one person alone has confirmed most of that" in live.notices[0].text


async def test_of_what_several_say_one_counts_for_no_more_than_the_others(live, make):
    """Most of it comes of one, and enough of others: the model is taken back."""
    first, second = await promoted(live, make)
    decided = await live.decided(100, second)
    await live.corrected(decided[:30], by=("dana",))
    await live.corrected(decided[30:40])
    assert await Watch(live.around).look()
    assert await serves(live) == first


async def test_what_an_audit_finds_counts_whoever_answers_it(live, make):
    """Chance has chosen the messages, and not who answers."""
    first, second = await promoted(live, make)
    decided = await live.decided(100, second)
    await audited(live, decided[:25])
    await live.corrected(decided[:20], by=("dana",))
    assert await Watch(live.around).look()
    assert await serves(live) == first
    [event] = [row for row in await live.store.read(events.listing) if row.what == events.ROLLED_BACK]
    assert event.why == "of 100 messages that it routed 25 were corrected by people, of 90 before it 3"


async def audited(live, decided):
    """Let one person answer audits of messages, and say that they belong elsewhere."""
    now = live.clock.now()
    rows = [
        {
            "message_id": f"one{number:09d}",
            "decision_id": each,
            "received_at": now,
            "channel": "mail",
            "department": "buses",
            "reason": "model",
            "urgent": False,
            "answer": "meals",
            "wrong": True,
            "by": "dana",
            "answered_at": now,
        }
        for number, each in enumerate(decided)
    ]
    await live.store.write(lambda c: c.execute(tables.audits.insert(), rows) and None)


async def test_what_the_fallback_sends_on_says_nothing_of_the_answers(live, make):
    """The model left these messages to a person: that they went elsewhere from there is as it should be."""
    _first, second = await promoted(live, make)
    await live.decided(90, second)
    await live.corrected(await live.decided(13, second, reason="abstained"))
    assert not await Watch(live.around).look()
    assert await serves(live) == second


async def test_each_look_is_taken_once(live, make):
    """Corrections that come in between two looks wait for the next: chance gets no second try."""
    _first, second = await promoted(live, make)
    watch = Watch(live.around)
    decided = await live.decided(110, second)
    assert not await watch.look()
    await live.corrected(decided[:30])
    assert not await watch.look()
    await live.decided(90, second)
    assert await watch.look()


async def test_a_champion_that_a_person_chose_is_only_pointed_out(live, make):
    """A person's word isn't overruled; operations are told."""
    _first, second = await promoted(live, make, by="ana@maple.example")
    decided = await live.decided(100, second)
    await live.corrected(decided[:30])
    assert not await Watch(live.around).look()
    assert (await serves(live), live.told) == (second, [f"The model {second} does worse"])


async def test_the_version_that_was_gone_back_to_is_not_left_in_turn(live, make):
    """A rollback ends there, whatever people say of the next hundred messages."""
    first, second = await promoted(live, make)
    await registry.rollback(live.store, by="ana@maple.example")
    decided = await live.decided(120, first)
    await live.corrected(decided[:60])
    assert not await Watch(live.around).look()
    assert await serves(live) == first
    assert second not in live.told


def test_looks_are_taken_at_fixed_numbers_of_messages():
    """At 100, 200, 400 … messages, eight in all."""
    assert [look_number(n) for n in (0, 99, 100, 199, 200, 400, 12_800, 25_599, 25_600)] == [
        None, None, 0, 0, 1, 2, 7, 7, None
    ]  # fmt: skip


def test_chance_alone_hardly_ever_ends_a_champion():
    """2,000 champions no worse than the one before, looked at eight times each: at most about 1 % are left."""
    draws = random.Random(7)
    left = 0
    for _ in range(2000):
        before, after = [0, 0], [0, 0]
        for number in range(5):
            n = FIRST << number
            for side in (before, after):
                for kind, share in enumerate((0.04, 0.1)):
                    side[kind] += sum(draws.random() < share for _ in range(n - (n // 2 if number else 0)))
            rates = [Rates(n=n, corrected=side[0], abstained=side[1]) for side in (before, after)]
            if what_is_worse(*rates, number):
                left += 1
                break
    assert left / 2000 <= CHANCE
    assert LOOKS == 8


def test_a_small_difference_is_no_reason_however_sure():
    """Of 12,800 messages 3.0 and 3.6 % corrected: nearly certain, and not worth going back."""
    before, after = Rates(n=12_800, corrected=384, abstained=0), Rates(n=12_800, corrected=461, abstained=0)
    assert what_is_worse(before, after, 7) is None
    assert what_is_worse(before, Rates(n=12_800, corrected=640, abstained=0), 7) is not None


def test_too_few_messages_before_say_nothing():
    """A first model's successor is compared with nothing."""
    assert what_is_worse(Rates(n=50, corrected=0, abstained=0), Rates(n=100, corrected=90, abstained=0), 0) is None


async def test_a_rollback_that_failed_was_never_tried_again(live, make, monkeypatch):
    """The store was out of order in that moment: the same look is made again, and goes back."""
    first, second = await promoted(live, make)
    watch = Watch(live.around)
    await live.corrected((await live.decided(100, second))[:20])

    def broken(*_arguments, **_more):
        raise StoreBusy("for a moment")

    with monkeypatch.context() as patched:
        patched.setattr(registry, "go_back", broken)
        with pytest.raises(StoreBusy):
            await watch.look()
    assert await serves(live) == second
    assert await watch.look()
    assert await serves(live) == first


async def test_it_stays_and_operations_are_told_where_the_one_before_is_damaged(live, make):
    """There is nothing to go back to by itself: a person has to choose."""
    first, second = await promoted(live, make)
    await spoil(live.store, first, b"")
    decided = await live.decided(100, second)
    await live.corrected(decided[:20])
    assert not await Watch(live.around).look()
    assert (await serves(live), live.told) == (second, [f"The model {second} does worse"])
    assert "there is no sound one to go back to" in live.notices[0].text


async def test_what_is_said_of_a_copy_says_nothing_of_the_champion(live, make):
    """A second department passed its copy on; the message itself is where it belongs."""
    _first, second = await promoted(live, make)
    decided = await live.decided(100, second)
    await live.corrected(decided[:20])
    of_a_copy = update(tables.corrections).values(new_decision_id=tables.corrections.c.decision_id)
    await live.store.write(lambda c: c.execute(of_a_copy.where(tables.corrections.c.decision_id.in_(decided))))
    assert not await Watch(live.around).look()
    assert await serves(live) == second
