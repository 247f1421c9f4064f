"""More comes in than fits: senders are asked to come back before anything is accepted, and nothing accepted is lost."""

from __future__ import annotations

import asyncio

import pytest

from router.descriptors import allow_enough
from router.testing import RecordingIntake, until, within
from router.web.short import MOST_CONNECTIONS
from tests.integration.test_smtp_server import MAIL, connected, listening
from tests.unit.router.web.test_crowd import POST, crowded
from tests.unit.router.web.test_front import Words

MOST, LARGE = 250_000, MAIL + b"x" * 70_000 + b"\r\n"


@pytest.mark.case("P02")
async def test_mails_at_once_are_bounded_in_bytes(rounds, tally):
    """Of ten large mails at once three fit; the others hear 452, come again, and get in. None is held beyond the bound.

    While they are stored their bytes count; afterwards, and after a sender who hung up, there is room again.
    """
    senders = rounds(quick=10, long=40)
    intake = RecordingIntake()
    intake.gate.clear()
    busy = {"max_message_bytes": 100_000, "max_receiving_bytes": MOST, "max_connections": senders + 2}
    async with listening(intake, **busy) as server:
        refused, most = [], 0

        async def insist(number):
            nonlocal most
            mail = LARGE + b"%d\r\n.\r\n" % number
            while True:
                async with connected(server) as wire:
                    reply = await wire.send(mail)
                most = max(most, server.room.held)
                if reply.startswith("250"):
                    return
                assert reply.startswith("452 4.3.1 ")
                refused.append(number)
                await intake.gate.wait()

        async with connected(server) as rude:
            await rude.begin()
            await rude.say("DATA")
            rude.writer.write(LARGE)
            await until(lambda: server.room.held > 60_000)
        await until(lambda: server.room.held == 0)
        sending = [asyncio.create_task(insist(number)) for number in range(senders)]
        await until(lambda: intake.calls == 3 and len(refused) == senders - 3)
        assert 3 * len(LARGE) <= server.room.held <= MOST
        intake.gate.set()
        async with asyncio.timeout(60):
            await asyncio.gather(*sending)
        assert server.room.held == 0
    assert most <= MOST
    taken = {inbound.original for inbound in intake.taken.values()}
    assert taken == {LARGE + b"%d\r\n" % number for number in range(senders)}
    tally(messages=senders, faults=len(refused), lost=senders - len(taken))


@pytest.mark.case("P02")
async def test_a_thousand_silent_connections_keep_no_family_out(tally):
    """However many connect and say nothing: so many stay, the oldest of them end, and a request is answered at once."""
    allow_enough()
    async with crowded(Words("hello"), MOST_CONNECTIONS) as (connect, server):
        for _ in range(11):
            await asyncio.gather(*(connect() for _ in range(100)))
        await until(lambda: len(server.connections) == MOST_CONNECTIONS)
        for _ in range(20):
            answered = await connect(POST)
            assert await within(answered.readline()) == b"HTTP/1.1 200 OK\r\n"
            assert len(server.connections) <= MOST_CONNECTIONS
    tally(messages=20, faults=1_100, lost=0)
