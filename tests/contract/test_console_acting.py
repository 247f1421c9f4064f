"""What staff do to a message from the console, on both kinds of store: send on, undo, hold, release, leave, comment."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from router.console.acting import Acting, Seen
from router.errors import Conflict, NotFound
from router.records import CorrectionState, DeliveryState, State
from router.store import alarms, comments, corrections, decisions, deliveries, messages, triage
from router.store.console_tables import accounts
from router.store.scope import EVERYTHING, Scope
from router.testing_sinks import RecordingSink
from tests.unit.router.district import DESKS, District

JO, KIM = "jo@d.example", "kim@d.example"
MEALS = Scope(departments=frozenset({"meals"}))


@pytest.fixture
def district(store, log, rng):
    """A district on either kind of store."""
    return District(store, log, rng, sink=RecordingSink())


@pytest.fixture
def acting(district):
    """What people may do."""
    return Acting(district.corrections, DESKS)


async def look(store, message_id):
    """Return a message as a person sees it now."""

    def read(connection):
        present = decisions.in_force(connection, message_id)
        state = messages.state_of(connection, message_id)
        return Seen(message_id=message_id, decision_id=present.id if present else None, state=state)

    return await store.read(read)


async def do(store, act, *arguments, **named):
    """Do something as one unit of work."""
    return await store.write(lambda c: act(c, *arguments, **named))


async def send_on(store, acting, seen, to, by=JO, note="", may_release=True):
    """Send a message on."""
    return await do(store, acting.send_on, seen, to, by=by, note=note, now=store.clock.now(), may_release=may_release)


async def waiting(store, scope=EVERYTHING):
    """Return the ids of what waits for a judgement."""
    now = store.clock.now()
    return [each.message_id for each in await store.read(lambda c: triage.waiting(c, scope, now))]


async def test_sending_on_moves_the_message_and_confirms_the_correction_by_name(district, acting, store):
    """It is with the other desk, its mail waits there, and a named person stands behind what is learnt."""
    id_ = await district.route()
    done = await send_on(store, acting, await look(store, id_), "meals", note="lunch, not bus")
    said = await store.read(lambda c: corrections.get(c, done.correction_id))
    assert (said.state, said.by, said.via, said.confirmed_by, said.confirmed_via, said.note) == (
        CorrectionState.CONFIRMED, JO, "console", JO, "console", "lunch, not bus",
    )  # fmt: skip
    states = [(d.department, d.state) for d in await district.deliveries(id_)]
    assert states == [("buses", DeliveryState.DROPPED), ("meals", DeliveryState.WAITING)]
    assert done.said == "Sent on to Meals. Signpost can learn from it."


async def test_undoing_brings_it_back_and_withdraws_the_word(district, acting, store):
    """Where it was, delivered there again, and nothing is learnt; to undo twice changes nothing."""
    id_ = await district.route()
    done = await send_on(store, acting, await look(store, id_), "meals")
    for _ in range(2):
        await do(store, acting.undo, done.correction_id, by=KIM, now=store.clock.now(), may_release=True)
    said = await store.read(lambda c: corrections.get(c, done.correction_id))
    present = await store.read(lambda c: decisions.in_force(c, id_))
    assert (said.state, said.withdrawn_by, present.department) == (CorrectionState.WITHDRAWN, KIM, "buses")
    assert [d.state for d in await district.deliveries(id_)] == [DeliveryState.WAITING, DeliveryState.DROPPED]


async def test_who_comes_second_changes_nothing_and_is_told_where_it_is(district, acting, store):
    """Ten people press a button on the same page at once: one moves the message, the others hear where it went."""
    seen = await look(store, await district.route())
    wanted = [("meals", "office")[number % 2] for number in range(10)]
    done = await asyncio.gather(*(send_on(store, acting, seen, to) for to in wanted), return_exceptions=True)
    lost = [each for each in done if isinstance(each, Conflict)]
    assert len(lost) == 9
    assert all("somebody else was faster" in str(each) for each in lost)
    said = await store.read(lambda c: corrections.of_message(c, seen.message_id))
    assert len(said) == 1


async def test_a_held_message_is_sent_off_labelled_and_can_be_held_again(district, acting, store):
    """Hold stops what waits; a release to a desk is a label; its undo holds the message again."""
    id_ = await district.route()
    await do(store, acting.hold, await look(store, id_), by=JO, now=store.clock.now())
    assert (await look(store, id_)).state is State.HELD
    assert [d.state for d in await district.deliveries(id_)] == [DeliveryState.DROPPED]
    done = await send_on(store, acting, await look(store, id_), "meals", by=KIM)
    assert (await look(store, id_)).state is State.ROUTED
    [row] = await store.read(corrections.confirmed_rows)
    assert (row.from_department, row.to_department, row.confirmed_by) == ("buses", "meals", KIM)
    await do(store, acting.undo, done.correction_id, by=KIM, now=store.clock.now(), may_release=True)
    assert (await look(store, id_)).state is State.HELD
    assert await store.read(corrections.confirmed_rows) == []


async def test_a_released_message_is_decided_anew(district, acting, store):
    """Without a desk that somebody names, the steps say where it goes."""
    id_ = await district.route()
    await do(store, acting.hold, await look(store, id_), by=JO, now=store.clock.now())
    await do(store, acting.release, await look(store, id_), by=JO, now=store.clock.now())
    assert (await look(store, id_)).state is State.UNDECIDED
    await district.decide()
    assert (await look(store, id_)).state is State.ROUTED


async def test_only_who_does_triage_lets_a_held_message_go(district, acting, store):
    """Neither by sending it on nor by undoing what sent it there."""
    id_ = await district.route()
    done = await send_on(store, acting, await look(store, id_), "meals")
    await do(store, acting.hold, await look(store, id_), by=KIM, now=store.clock.now())
    with pytest.raises(Conflict, match="triage"):
        await send_on(store, acting, await look(store, id_), "office", may_release=False)
    with pytest.raises(Conflict, match="triage"):
        await do(store, acting.undo, done.correction_id, by=JO, now=store.clock.now(), may_release=False)
    assert (await look(store, id_)).state is State.HELD


async def test_nothing_of_a_held_message_is_sent_again(district, acting, store):
    """Not by trying a dead delivery again, and not because one was under way when it was held."""
    id_ = await district.route()
    [leased] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", store.clock.now(), 1))
    await do(store, acting.hold, await look(store, id_), by=JO, now=store.clock.now())
    now = store.clock.now()
    await store.write(lambda c: deliveries.defer_unless_moved(c, leased, now, "busy", now=now))
    assert [d.state for d in await district.deliveries(id_)] == [DeliveryState.DROPPED]
    with pytest.raises(Conflict, match="held"):
        await do(store, acting.retry, id_, leased.id, now=now)


async def test_a_desk_that_has_it_no_more_is_not_sent_it_again(district, acting, store):
    """Its delivery died, the message went elsewhere: trying again would bring it back there."""
    id_ = await district.route()
    [leased] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", store.clock.now(), 1))
    await store.write(lambda c: deliveries.settle(c, leased, DeliveryState.DEAD, store.clock.now(), error="no"))
    await send_on(store, acting, await look(store, id_), "meals")
    with pytest.raises(Conflict, match="any more"):
        await do(store, acting.retry, id_, leased.id, now=store.clock.now())


async def test_what_is_being_decided_anew_is_not_undone(district, acting, store):
    """A released message is leased by nobody; and until it is decided nothing can be taken back."""
    id_ = await district.route()
    done = await send_on(store, acting, await look(store, id_), "meals")
    await do(store, acting.hold, await look(store, id_), by=JO, now=store.clock.now())
    await do(store, acting.release, await look(store, id_), by=JO, now=store.clock.now())
    with pytest.raises(Conflict, match="anew"):
        await do(store, acting.undo, done.correction_id, by=JO, now=store.clock.now(), may_release=True)
    await district.decide()
    assert (await look(store, id_)).state is State.ROUTED


async def test_a_word_that_was_withdrawn_alone_undoes_nothing(district, acting, store):
    """The message stayed where it is, and nobody is told otherwise."""
    id_ = await district.route()
    done = await send_on(store, acting, await look(store, id_), "meals")
    now = store.clock.now()
    withdraw = partial(
        corrections.settle, correction_id=done.correction_id, state=CorrectionState.WITHDRAWN, now=now, by=KIM
    )
    await store.write(withdraw)
    with pytest.raises(Conflict, match="taken back before"):
        await do(store, acting.undo, done.correction_id, by=JO, now=now, may_release=True)


async def test_triage_asks_for_what_the_router_was_unsure_of_until_somebody_has_judged(district, acting, store):
    """Abstained and held messages wait, the oldest first; sent on or left where it is, a message leaves the queue."""
    unsure, other, held = [await district.route(text) for text in ("what now", "and this", "buses are late")]
    await do(store, acting.hold, await look(store, held), by=JO, now=store.clock.now())
    assert await waiting(store) == [unsure, other, held]
    await do(store, acting.keep, await look(store, unsure), by=JO)
    await send_on(store, acting, await look(store, other), "meals")
    assert await waiting(store) == [held]
    assert (await district.deliveries(unsure))[0].state is DeliveryState.WAITING


async def test_urgent_ones_are_asked_for_before_older_ones(district, store):
    """An alarm comes first, whenever it came in."""
    older = await district.route("what now")
    urgent = await district.route("what shall we do")
    now = store.clock.now()
    await store.write(lambda c: alarms.raise_alarm(c, urgent, "child missing", None, now))
    assert await waiting(store) == [urgent, older]


async def test_nobody_is_asked_about_what_they_may_not_see(district, acting, store):
    """A desk's own scope holds: neither the queue nor a sender's other messages show another desk's."""
    mine = await district.route("meals please")
    theirs = await district.route("what now")
    await do(store, acting.hold, await look(store, mine), by=JO, now=store.clock.now())
    assert await waiting(store, MEALS) == [mine]
    assert await waiting(store, Scope(departments=frozenset())) == []
    others = [row.id for row in await store.read(lambda c: triage.others_of(c, mine, "ana@home.example", MEALS))]
    assert others == []
    everything = await store.read(lambda c: triage.others_of(c, mine, "ana@home.example", EVERYTHING))
    assert [row.id for row in everything] == [theirs]


async def test_a_dead_delivery_starts_again_and_only_as_one_of_its_message(district, acting, store):
    """By its number together with the message's; one that is under way is left alone."""
    id_, other = await district.route(), await district.route("meals please")
    [delivery] = await district.deliveries(id_)
    with pytest.raises(Conflict):
        await do(store, acting.retry, id_, delivery.id, now=store.clock.now())
    [leased] = await store.write(lambda c: deliveries.lease(c, "relay", "d1", store.clock.now(), 1))
    await store.write(
        lambda c: deliveries.settle(c, leased, DeliveryState.DEAD, store.clock.now(), error="no such user")
    )
    with pytest.raises(NotFound):
        await do(store, acting.retry, other, leased.id, now=store.clock.now())
    await do(store, acting.retry, leased.message_id, leased.id, now=store.clock.now())
    assert (await district.deliveries(leased.message_id))[0].state is DeliveryState.WAITING


async def test_a_comment_is_appended_and_taken_back_only_by_its_writer(district, store):
    """In order; withdrawn it leaves its time and its writer, not its words; another's can't be taken back."""
    id_, other = await district.route(), await district.route("meals please")
    now = store.clock.now()
    jo, kim = [await store.write(lambda c, email=email: account(c, email, now)) for email in (JO, KIM)]
    add = partial(comments.add, now=now)
    first = await store.write(lambda c: add(c, id_, "call her", account_id=jo, by=JO))
    await store.write(lambda c: add(c, id_, "x" * 9_000, account_id=kim, by=KIM))
    said = await store.read(lambda c: comments.of_message(c, id_))
    assert [(each.by, each.text) for each in said] == [(JO, "call her"), (KIM, "x" * comments.LIMIT)]
    assert await store.read(lambda c: comments.of_message(c, other)) == []
    taken = [(first, id_, kim), (first, other, jo), (first, id_, jo), (first, id_, jo)]
    back = [await store.write(lambda c, which=which: comments.withdraw(c, *which, now)) for which in taken]
    assert back == [False, False, True, False]
    said = await store.read(lambda c: comments.of_message(c, id_))
    assert (said[0].text, said[0].by, said[0].withdrawn_at) == ("", JO, now)


def account(connection, email, now):
    """Add an account and return its id."""
    row = {"email": email, "role": "staff", "created_at": now}
    return connection.execute(accounts.insert().returning(accounts.c.id), row).scalar_one()


async def flagged(district, store, text="buses are late", to="meals"):
    """Return a message that somebody without a name has sent on with the link in its mail, and that correction."""
    id_ = await district.route(text)
    [delivery] = await district.deliveries(id_)
    now = store.clock.now()
    flag = partial(district.corrections.flag, message_id=id_, to=to, by="link", via="link", now=now, delivery=delivery)
    return id_, (await store.write(flag)).correction_id


async def test_who_got_it_confirms_that_it_is_theirs(district, acting, store):
    """By name, so that it may be learnt from; once, and not what a person has confirmed before."""
    id_, number = await flagged(district, store)
    seen = await look(store, id_)
    done = await do(store, acting.ours, seen, by=KIM, now=store.clock.now())
    said = await store.read(lambda c: corrections.get(c, number))
    assert (said.state, said.confirmed_by, said.confirmed_via) == (CorrectionState.CONFIRMED, KIM, "console")
    assert done.said == "Thank you: it is for Meals. Signpost can learn from it."
    assert await look(store, id_) == seen  # it stays where it is
    with pytest.raises(Conflict, match="already"):
        await do(store, acting.ours, seen, by=JO, now=store.clock.now())


async def test_nothing_is_confirmed_that_nobody_said_or_that_has_changed(district, acting, store):
    """A message that nobody sent on, one that has moved since the page was shown, one that was undone or is held."""
    now = store.clock.now()
    plain = await district.route()
    with pytest.raises(Conflict, match="nothing to confirm"):
        await do(store, acting.ours, await look(store, plain), by=KIM, now=now)
    id_, number = await flagged(district, store)
    seen = await look(store, id_)
    await send_on(store, acting, seen, "office")
    with pytest.raises(Conflict, match="faster"):
        await do(store, acting.ours, seen, by=KIM, now=now)
    assert (await store.read(lambda c: corrections.get(c, number))).state is CorrectionState.PROPOSED

    other, _ = await flagged(district, store, "buses are early")
    await do(store, acting.hold, await look(store, other), by=JO, now=now)
    with pytest.raises(Conflict, match="nothing to confirm"):
        await do(store, acting.ours, await look(store, other), by=KIM, now=now)
