"""A mail server that hangs, in every phase of a conversation: how long it is waited for, and what that means."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from channels.smtp import SmtpSettings, SmtpSink
from router.errors import Retryable, Unclear
from router.testing import within
from router.testing_sinks import sample_context, sample_forward

REPLIES = (b"220 hello", b"250 hello", b"250 ok", b"250 ok", b"354 go on", b"250 queued as Q1")
PHASES = ("greeting", "hello", "sender", "recipient", "data", "dot")
SHORT = dict.fromkeys(("greeting_timeout", "command_timeout", "transfer_timeout", "data_timeout"), "200ms")
LARGE = replace(sample_forward(), original=b"x" * 20_000_000)


@asynccontextmanager
async def mail_server(talk):
    """A server that says what it is told to; yields its port. The client ends its connections before it."""
    talking = set()

    async def serve(reader, writer):
        talking.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await within(asyncio.gather(*talking))


@asynccontextmanager
async def sink_to(port, **settings):
    """A sink that sends there."""
    values = {"host": "127.0.0.1", "port": port, "tls": "none", "from": "router@maplevalley.example"}
    sink = SmtpSink(SmtpSettings.model_validate(values | settings), sample_context())
    try:
        yield sink
    finally:
        await sink.aclose()


async def replies(reader, writer, count):
    """Answer as a good server does, so many times."""
    for number, reply in enumerate(REPLIES[:count]):
        if number == 5:
            await reader.readuntil(b"\r\n.\r\n")
        elif number:
            await reader.readline()
        writer.write(reply + b"\r\n")


@pytest.mark.case("N02")
@pytest.mark.parametrize("phase", PHASES)
async def test_a_server_that_falls_silent_is_given_up_after_a_while(phase, tally):
    """Before the last dot nothing has been delivered, and it is tried again; after it nobody knows."""

    async def silent(reader, writer):
        await replies(reader, writer, PHASES.index(phase))
        await reader.read(-1)

    async with mail_server(silent) as port, sink_to(port, **SHORT) as sink:
        with pytest.raises(Unclear if phase == "dot" else Retryable):
            await within(sink.send(sample_forward()))
    tally(faults=1, ambiguous=int(phase == "dot"))


@pytest.mark.case("N02")
async def test_a_server_that_takes_no_more_of_a_mail_is_given_up(tally):
    """In the middle of a mail of 20 MB: nothing has been delivered, and that is known."""
    given_up = asyncio.Event()

    async def stops(reader, writer):
        await replies(reader, writer, 5)
        writer.transport.pause_reading()
        await given_up.wait()

    async with mail_server(stops) as port, sink_to(port, **SHORT | {"data_timeout": "10m"}) as sink:
        with pytest.raises(Retryable, match="in time"):
            await within(sink.send(LARGE))
        given_up.set()
    tally(faults=1)


@pytest.mark.case("N09")
async def test_a_mail_may_take_longer_than_its_confirmation_may(tally):
    """A line on which 20 MB take longer than `data_timeout` is slow and nothing else: that time begins with the dot."""
    after = asyncio.Event()

    async def slow(reader, writer):
        await replies(reader, writer, 5)
        asyncio.get_running_loop().call_later(2.5, after.set)  # longer than the confirmation may take
        await after.wait()
        end = b""
        while end != b"\r\n.\r\n":
            end = (end + await reader.read(1_000_000))[-5:]
        writer.write(b"250 queued as Q7\r\n")
        await reader.read(-1)

    async with mail_server(slow) as port, sink_to(port, data_timeout="2s") as sink:
        assert await within(sink.send(LARGE)) == "Q7"
    tally(messages=1, faults=1, lost=0)


@pytest.mark.case("N02")
async def test_a_connection_that_died_while_idle_is_noticed_soon(monkeypatch):
    """Where a kept connection doesn't answer any more, another is made within the same attempt."""
    monkeypatch.setattr("channels._smtp._WAKING_S", 0.2)
    connections = []

    async def forgets(reader, writer):
        connections.append(writer)
        await replies(reader, writer, 6)
        await reader.read(-1)

    async with mail_server(forgets) as port, sink_to(port) as sink:
        assert await within(sink.send(sample_forward(1))) == "Q1"
        assert await within(sink.send(sample_forward(2))) == "Q1"
    assert len(connections) == 2


def test_the_time_outs_are_those_of_the_standard():
    """RFC 5321, section 4.5.3.2: five minutes for a greeting and a command, three for data, ten after the dot."""
    settings = SmtpSettings.model_validate({"host": "localhost", "tls": "none", "from": "a@b.example"})
    found = [settings.greeting_timeout, settings.command_timeout, settings.transfer_timeout, settings.data_timeout]
    assert [each.total_seconds() / 60 for each in found] == [5, 5, 3, 10]


@pytest.mark.case("N03")
@pytest.mark.parametrize("greeting", [b"421 4.3.2 too busy", b"554 5.7.1 no service here for you"])
async def test_a_server_that_turns_us_away_is_asked_again(greeting, tally):
    """421 or 554 in place of a greeting speaks against the whole server and against no message."""

    async def turn_away(reader, writer):
        writer.write(greeting + b"\r\n")
        await reader.read(-1)

    async with mail_server(turn_away) as port, sink_to(port) as sink:
        with pytest.raises(Retryable, match=greeting[:3].decode()) as caught:
            await within(sink.send(sample_forward()))
    assert caught.value.host
    tally(faults=1)
