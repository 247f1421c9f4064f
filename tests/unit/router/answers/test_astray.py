"""Answers that could go astray, or round in circles: rewritten paths, and programs that say nothing of being one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from router.records import DeliveryKind, State
from router.store import messages
from router.store.engine import open_store
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from tests.unit.router.answers.answering import ANA, DOMAIN, Answering
from tests.unit.router.district import RING

ANSWER, ROUTE = DeliveryKind.ANSWER, DeliveryKind.ROUTE


@pytest.fixture
async def district(sqlite_url, log, rng):
    """A district that answers, on a store whose time stands still."""
    store = open_store(sqlite_url, FakeClock(datetime(2026, 3, 2, 12, 0, tzinfo=UTC)))
    await store.open()
    yield Answering(store, log, rng, sink=RecordingSink())
    await store.close()


async def test_a_wrapped_path_is_answered_once_and_told_no_address(district):
    """The answer goes by the path: a reply that claims to be the desk's, and comes from elsewhere, learns nothing.

    A path that changes from day to day makes no other person of its sender.
    """
    [route] = await district.of(await district.write(), ROUTE)
    ours = RING.mail_id(route.id, DOMAIN)
    paths = [f"SRS0=Xy1z={day}=district.example=buses@elsewhere.example" for day in ("5Q", "5R")]
    replies = [
        await district.write("Thanks!", sender="buses@district.example", in_reply_to=ours,
                             headers={"return-path": [f"<{path}>"]})
        for path in paths
    ]  # fmt: skip
    [answer] = await district.of(replies[0], ANSWER)
    assert answer.to == paths[0]
    assert ANA not in answer.notice.text
    assert await district.of(replies[1], ANSWER) == []


async def test_a_desk_that_answers_everything_as_a_new_message_is_stopped(district):
    """It says nothing of being a program, and names no mail that it answers: after ten in an hour the rest are held.

    A person is told and can let them go; an hour later, or from anybody else, it is a message as any other.
    """
    desk = {"sender": "Buses@district.example", "external_id": ""}
    ids = [await district.write(f"buses: ticket {number} opened", **desk) for number in range(12)]
    others = await district.write("buses, please", sender=ANA)
    district.store.clock.advance(timedelta(hours=1, minutes=1))
    later = await district.write("buses: my own question", **desk)

    states = [await district.store.read(lambda c, id_=id_: messages.state_of(c, id_)) for id_ in [*ids, others, later]]
    assert states == [State.ROUTED] * 10 + [State.HELD] * 2 + [State.ROUTED] * 2
