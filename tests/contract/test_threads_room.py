"""What a batch takes along of a thread leaves room in memory, and what it gives back is nobody's any more."""

from __future__ import annotations

import pytest

from router.records import Reason
from router.routing import earlier
from router.routing.earlier import PutOff
from router.store import messages
from tests.contract.test_threads_waiting import Line, mail

SAID = "buses are late " * 1000


@pytest.fixture
async def line(store, log, rng, monkeypatch):
    """An empty line, in which nobody pauses, and in which no time passes."""
    monkeypatch.setattr(earlier, "_PAUSE_S", 0.0)
    made = Line(store, log, rng)
    made.stage._put_off = PutOff(lambda: 0.0)
    await made.register()
    return made


async def test_large_mails_of_a_thread_are_not_all_taken_along(line, monkeypatch):
    """A batch never has more bytes than it may: what doesn't fit is left, and whatever continues it waits."""
    monkeypatch.setattr(messages, "MOST_BYTES", int(2.5 * len(SAID)), raising=False)
    thread = [await line.accept(SAID, **mail(number, number - 1)) for number in range(1, 7)]
    read, decide = [], line.stage.router.decide

    async def watched(batch):
        read.append(len(batch))
        return await decide(batch)

    monkeypatch.setattr(line.stage.router, "decide", watched)
    last = await line.lease(thread[-1], "d1")
    await line.stage._take_on(last, {}, alone=False)
    assert read == [2]
    assert await line.store.read(messages.waiting) == thread  # both are given back: the others come before them

    await line.decide()
    assert max(read) == 2
    assert {(await line.went(each))[0] for each in thread} == {"buses"}


async def test_what_was_put_off_and_decided_takes_nobodys_place(line, monkeypatch):
    """So many may be put off at once, not in a minute."""
    monkeypatch.setattr(earlier, "_MOST_PUT_OFF", 1)
    for number in (1, 3):
        head = await line.accept("buses are late", **mail(number))
        await line.lease(head)
        reply = await line.accept("meals too", **mail(number + 1, number))
        await line.stage.run_once()
        assert await line.went(reply) is None
        await line.free(head)
        await line.decide()
        assert await line.went(reply) == ("buses", Reason.THREAD)


async def test_what_is_given_back_may_be_another_batchs_by_then(line, monkeypatch):
    """Two batches of one daemon: the one that has put a message off doesn't say of it that nobody works at it."""
    head = await line.accept("buses are late", **mail(1))
    await line.lease(head)
    reply = await line.accept("meals too", **mail(2, 1))

    async def meanwhile():
        assert [each.id for each in await line.lease(reply, "d1")] == [reply]
        line.stage.holding.add(reply)

    monkeypatch.setattr(line.stage._put_off, "pause", meanwhile)
    assert await line.stage.run_once() == 1
    assert line.stage.holding == {reply}
