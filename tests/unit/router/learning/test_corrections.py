"""What happens when a person says "not ours"."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from router.errors import Conflict, NotFound
from router.learning import corrections as rules
from router.records import CorrectionState, DeliveryState, Reason, State
from router.store import corrections, decisions, messages
from router.store.engine import open_store
from router.testing_sinks import RecordingSink
from tests.unit.router.district import District


@pytest.fixture
async def district(store, log, rng):
    """A district on either kind of store."""
    return District(store, log, rng, sink=RecordingSink())


async def flag(district, message_id, to, delivery=None, by="jo@d.example"):
    """Flag a message by a link (with a delivery) or a command."""
    work = partial(
        district.corrections.flag,
        message_id=message_id,
        to=to,
        by=by,
        via="link" if delivery else "command",
        now=district.store.clock.now(),
        delivery=delivery,
    )
    return await district.store.write(work)


async def delivered(district, message_id):
    """Deliver everything and return the newest delivery of the message."""
    await district.dispatch()
    return (await district.deliveries(message_id))[-1]


async def test_a_flag_moves_the_message_at_once(district):
    """It is re-forwarded with reason correction, and the correction is proposed, not yet confirmed."""
    message_id = await district.route("buses lunch money")
    first = await delivered(district, message_id)

    moved = await flag(district, message_id, "meals", first)
    second = await delivered(district, message_id)

    said = await district.store.read(lambda c: corrections.get(c, moved.correction_id))
    present = await district.store.read(lambda c: decisions.in_force(c, message_id))
    assert (second.department, second.state) == ("meals", DeliveryState.DELIVERED)
    assert present.reason is Reason.CORRECTION
    assert (said.from_department, said.to_department, said.state) == ("buses", "meals", CorrectionState.PROPOSED)
    assert (said.via, said.delivery_id) == ("link", first.id)


async def test_flagging_twice_changes_nothing_more(district):
    """A double click, or a stale link, finds the message where it is now."""
    message_id = await district.route()
    first = await delivered(district, message_id)
    await flag(district, message_id, "meals", first)

    again = await flag(district, message_id, "office", first)

    assert (again.department, again.correction_id) == ("meals", None)
    assert len(await district.store.read(lambda c: corrections.of_message(c, message_id))) == 1


async def test_what_was_not_sent_yet_is_not_sent(district):
    """A message corrected before it left goes only to the right desk."""
    message_id = await district.route()
    await flag(district, message_id, "meals")
    await district.dispatch()

    states = {d.department: d.state for d in await district.deliveries(message_id)}
    assert states == {"buses": DeliveryState.DROPPED, "meals": DeliveryState.DELIVERED}


async def test_nonsense_is_refused_with_a_reason(district):
    """Unknown messages and departments, and "it is there already"."""
    message_id = await district.route()

    with pytest.raises(NotFound, match="no message"):
        await flag(district, "0" * 12, "meals")
    with pytest.raises(NotFound, match="no department"):
        await flag(district, message_id, "nowhere")
    with pytest.raises(Conflict, match="already"):
        await flag(district, message_id, "buses")


async def test_an_undecided_message_cannot_be_flagged(district):
    """There is nothing to correct yet."""
    message_id = await district.accept()

    with pytest.raises(Conflict, match="isn't routed"):
        await flag(district, message_id, "meals")


async def test_the_third_pass_goes_to_the_fallback_disputed(district):
    """A message isn't kicked around for ever."""
    message_id = await district.route("buses or meals?")
    await flag(district, message_id, "meals")
    await flag(district, message_id, "buses")

    moved = await flag(district, message_id, "meals")

    present = await district.store.read(lambda c: decisions.in_force(c, message_id))
    assert (moved.department, moved.disputed) == ("office", True)
    assert present.reason is Reason.DISPUTED
    assert (await district.deliveries(message_id))[-1].department == "office"


async def test_a_message_disputed_beyond_repair_is_held(district):
    """The fallback decided and it was passed on again: now it waits for a person, and operations are told."""
    message_id = await district.route()
    for to in ("meals", "buses", "meals", "meals", "buses"):
        moved = await flag(district, message_id, to)

    assert moved.held
    assert await district.store.read(lambda c: messages.state_of(c, message_id)) is State.HELD
    await district.dispatch()
    assert district.dispatcher._sink.sent[-1].delivery.to == "it@district.example" or any(
        f.delivery.to == "it@district.example" for f in district.dispatcher._sink.sent
    )


async def test_undo_restores_what_was(district):
    """The earlier decision is in force again, the unsent copy is dropped, nobody gets a second mail."""
    message_id = await district.route()
    first = await delivered(district, message_id)
    moved = await flag(district, message_id, "meals", first)

    undo = partial(
        district.corrections.undo, correction_id=moved.correction_id, by="link", now=district.store.clock.now()
    )
    back = await district.store.write(undo)
    await district.store.write(undo)
    await district.dispatch()

    said = await district.store.read(lambda c: corrections.get(c, moved.correction_id))
    states = [(d.department, d.state) for d in await district.deliveries(message_id)]
    assert back.department == "buses"
    assert said.state is CorrectionState.WITHDRAWN
    assert states == [("buses", DeliveryState.DELIVERED), ("meals", DeliveryState.DROPPED)]


async def test_undo_before_anything_was_sent_sends_the_first(district):
    """Undo brings back what the flag had dropped."""
    message_id = await district.route()
    moved = await flag(district, message_id, "meals")
    now = district.store.clock.now()
    await district.store.write(lambda c: district.corrections.undo(c, moved.correction_id, "link", now))
    await district.dispatch()

    states = {d.department: d.state for d in await district.deliveries(message_id)}
    assert states == {"buses": DeliveryState.DELIVERED, "meals": DeliveryState.DROPPED}


async def test_who_undid_a_flag_that_another_daemon_was_just_undoing_was_refused(postgres_url, log, rng):
    """It waits for the other, and then finds that there is nothing left to do."""
    engine = create_async_engine(make_url(postgres_url).set(drivername="postgresql+asyncpg"))
    store = open_store(postgres_url)
    await store.open()
    try:
        district = District(store, log, rng, sink=RecordingSink())
        message_id = await district.route()
        moved = await flag(district, message_id, "meals")
        undo = partial(district.corrections.undo, correction_id=moved.correction_id, by="link", now=store.clock.now())
        async with engine.connect() as other, engine.connect() as observer:
            await other.run_sync(undo)
            again = asyncio.create_task(store.write(undo))
            waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            while not again.done() and not (await observer.execute(waits)).scalar_one():
                await observer.rollback()
            await other.commit()
            assert await again == rules.Moved(message_id=message_id, department="buses")
        states = {d.department: d.state for d in await district.deliveries(message_id)}
        assert states == {"buses": DeliveryState.WAITING, "meals": DeliveryState.DROPPED}
    finally:
        await engine.dispose()
        await store.close()


async def test_undo_after_it_moved_on_is_refused(district):
    """Only the newest step can be taken back."""
    message_id = await district.route()
    moved = await flag(district, message_id, "meals")
    await flag(district, message_id, "office")

    with pytest.raises(Conflict, match="moved on"):
        await district.store.write(
            lambda c: district.corrections.undo(c, moved.correction_id, "link", district.store.clock.now())
        )


async def test_two_votes_confirm(district):
    """The flag, and "This is ours" from the department that got it; one delivery alone is one vote."""
    message_id = await district.route()
    first = await delivered(district, message_id)
    moved = await flag(district, message_id, "meals", first)
    second = await delivered(district, message_id)
    now = district.store.clock.now()

    alone = await district.store.write(lambda c: district.corrections.ours(c, first, now))
    confirmed = await district.store.write(lambda c: district.corrections.ours(c, second, now))
    again = await district.store.write(lambda c: district.corrections.ours(c, second, now))

    assert alone is None
    assert (confirmed.id, confirmed.state) == (moved.correction_id, CorrectionState.CONFIRMED)
    assert again is None


async def test_confirming_and_withdrawing_are_repeatable(district):
    """A command given twice does no harm; what was withdrawn can't be confirmed any more."""
    message_id = await district.route()
    moved = await flag(district, message_id, "meals")
    now = district.store.clock.now()

    def settle(state):
        work = partial(rules.settle, correction_id=moved.correction_id, state=state, by="jo@d.example", now=now)
        return district.store.write(work)

    states = [
        (await settle(state)).state
        for state in (CorrectionState.CONFIRMED, CorrectionState.CONFIRMED, CorrectionState.WITHDRAWN)
    ]
    assert states == [CorrectionState.CONFIRMED, CorrectionState.CONFIRMED, CorrectionState.WITHDRAWN]
    with pytest.raises(Conflict, match="withdrawn"):
        await settle(CorrectionState.CONFIRMED)


async def test_only_confirmed_corrections_are_offered_for_training(district):
    """A vote alone teaches nothing."""
    confirmed_id = await district.route("buses one")
    await district.route("buses two")
    moved = await flag(district, confirmed_id, "meals")
    now = district.store.clock.now()
    await district.store.write(
        lambda c: rules.settle(c, moved.correction_id, CorrectionState.CONFIRMED, "jo@d.example", now)
    )

    rows = await district.store.read(corrections.confirmed_rows)

    assert [(row.message_id, row.to_department) for row in rows] == [(confirmed_id, "meals")]
    assert rows[0].content["text"] == "buses one"


async def test_two_flags_at_once_move_it_once(district):
    """Two people click at the same moment: one moves the message, the other finds it moved."""
    message_id = await district.route()
    first = await delivered(district, message_id)

    moved = await asyncio.gather(*(flag(district, message_id, to, first) for to in ("meals", "office")))

    said = await district.store.read(lambda c: corrections.of_message(c, message_id))
    assert len(said) == 1
    assert len({m.department for m in moved}) == 1
