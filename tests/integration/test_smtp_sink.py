"""The SMTP sink against a real server on loopback: what arrives, and what is said when it doesn't."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from channels.smtp import CHANNEL, SmtpSettings, SmtpSink, Turns
from router.errors import Permanent, Retryable, Unclear
from router.testing import within
from router.testing_sinks import sample_alert, sample_context, sample_forward
from router.testing_smtp import DROP, STALL, SmtpServer, smtp_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


@asynccontextmanager
async def sink_to(server: SmtpServer, **changes: Any) -> AsyncIterator[SmtpSink]:
    values = {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "router@maplevalley.example"} | changes
    sink = SmtpSink(SmtpSettings.model_validate(values), sample_context())
    try:
        yield sink
    finally:
        await sink.aclose()


async def test_a_mail_arrives_as_composed():
    """Envelope, bytes and the server's queue id come through; lines that begin with a dot are unharmed."""
    forward = replace(sample_forward(), original=b"A: b\r\n\r\n.\r\n..\r\n.x\r\n")
    async with smtp_server() as server, sink_to(server) as sink:
        assert await sink.send(forward) == "Q1"
        mail = server.mails[0]
    assert (mail.sender, mail.recipient) == ("router@maplevalley.example", "transportation@maplevalley.example")
    assert b"\r\n\r\n.\r\n..\r\n.x\r\n" in mail.data
    assert b"X-Signpost-Message: message-1\r\n" in mail.data


async def test_connections_are_reused_and_bounded():
    """Forty mails at once use four connections, the next ones no new one."""
    async with smtp_server() as server, sink_to(server) as sink:
        await asyncio.gather(*(sink.send(sample_forward(number)) for number in range(40)))
        assert server.sessions == 4
        await sink.send(sample_forward(41))
        assert (server.sessions, len(server.mails)) == (4, 41)


async def test_an_idle_connection_is_closed():
    """A connection that nobody needs is given back after a while."""
    async with smtp_server() as server, sink_to(server, idle="20ms") as sink:
        await sink.send(sample_forward())
        await server.wait_until_alone()
        await sink.send(sample_forward(2))
        assert server.sessions == 2


async def test_a_connection_that_died_while_idle_costs_nothing():
    """A server that closed kept connections is connected anew within the same attempt."""
    async with smtp_server() as server, sink_to(server) as sink:
        await sink.send(sample_forward())
        server.drop_connections()
        await sink.send(sample_forward(2))
        assert len(server.mails) == 2


@pytest.mark.parametrize(
    ("where", "reply", "kind"),
    [
        ("recipient_reply", "550 5.1.1 no such user", Permanent),
        ("recipient_reply", "451 4.7.1 greylisted", Retryable),
        ("recipient_reply", "552 5.2.2 mailbox full", Retryable),
        ("mail_reply", "530 5.7.0 authentication required", Retryable),
        ("mail_reply", "421 4.3.2 shutting down", Retryable),
        ("data_reply", "452 4.3.1 insufficient storage", Retryable),
        ("data_reply", "554 5.7.1 no", Permanent),
    ],
)
async def test_refusals(where: str, reply: str, kind: type[Exception]):
    """A refusal is told as what it is, and the next attempt starts on a fresh connection."""
    async with smtp_server() as server, sink_to(server) as sink:
        setattr(server, where, reply)
        with pytest.raises(kind, match=reply[:3]):
            await sink.send(sample_forward())
        setattr(server, where, "")
        await sink.send(sample_forward())
        assert (server.sessions, len(server.mails)) == (2, 1)


@pytest.mark.parametrize(
    ("reply", "kind"), [("451 4.3.0 later", Retryable), ("552 5.2.2 over quota", Retryable), ("550 spam", Permanent)]
)
async def test_refusals_of_the_message(reply: str, kind: type[Exception]):
    """An answer after the last dot counts as any other: it was given, so nothing is unclear."""
    async with smtp_server() as server, sink_to(server) as sink:
        server.answers.append(reply)
        with pytest.raises(kind, match=reply[:3]):
            await sink.send(sample_forward())
        assert server.mails == []


async def test_a_lost_answer_is_unclear():
    """A connection that breaks after the last dot may have delivered the mail; a retry carries the same Message-ID."""
    async with smtp_server() as server, sink_to(server) as sink:
        server.answers.append(DROP)
        with pytest.raises(Unclear):
            await sink.send(sample_forward())
        await sink.send(sample_forward())
        first, second = server.mails
        assert first.data == second.data


async def test_a_late_answer_is_unclear():
    """A server that doesn't answer in time after the last dot leaves it open, too."""
    async with smtp_server() as server, sink_to(server, data_timeout="50ms") as sink:
        server.answers.append(STALL)
        with pytest.raises(Unclear):
            await sink.send(sample_forward())


@asynccontextmanager
async def talking(talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[Any]:
    """Run a server that says what it is told to; yield a thing with its port."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.transport.abort()
            over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield SmtpServer(port=server.sockets[0].getsockname()[1])
        await over.wait()


async def up_to_data(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for reply in (b"220 hi", b"250 hi", b"250 ok", b"250 ok", b"354 go on"):
        writer.write(reply + b"\r\n")
        await reader.readline()


@pytest.mark.parametrize(
    ("hello", "rest"), [(b"250-hi\r\n250 DSN", b" ORCPT=rfc822;a+2Bb+3Dc@maplevalley.example"), (b"250 hi", b"")]
)
async def test_a_server_that_sends_reports_is_told_the_original_recipient(hello: bytes, rest: bytes):
    """Where DSN is offered, and only there, RCPT carries our own address for reports (RFC 3461)."""
    lines = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in (b"220 hi", hello, b"250 ok", b"550 5.1.1 no"):
            writer.write(reply + b"\r\n")
            lines.append(await reader.readline())

    async with talking(note) as server, sink_to(server) as sink:
        with pytest.raises(Permanent):
            await sink.send(sample_forward(to="a+b=c@maplevalley.example"))
    assert lines[2] == b"RCPT TO:<a+b=c@maplevalley.example>" + rest + b"\r\n"


async def test_a_connection_lost_before_the_last_dot_is_not_unclear():
    """A large mail cut off in the middle has certainly not been delivered: plainly retryable."""

    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await up_to_data(reader, writer)
        await reader.readexactly(10_000)

    async with talking(cut_off) as server, sink_to(server) as sink:
        with pytest.raises(Retryable):
            await sink.send(replace(sample_forward(), original=b"x" * 20_000_000))


async def test_a_refusal_in_the_middle_of_a_mail_is_heard():
    """A server that says in the middle why it won't take the rest is understood, and the connection is dropped."""

    async def interrupt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await up_to_data(reader, writer)
        writer.write(b"552 5.3.4 message too large\r\n")
        with suppress(ConnectionError):
            await reader.read()

    async with talking(interrupt) as server, sink_to(server) as sink:
        with pytest.raises(Permanent, match="too large"):
            await sink.send(replace(sample_forward(), original=b"x" * 20_000_000))


async def test_an_early_yes_is_not_believed():
    """A server that confirms a mail it can't have read whole hasn't taken it."""

    async def flatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await up_to_data(reader, writer)
        writer.write(b"250 lovely\r\n")
        with suppress(ConnectionError):
            await reader.read()

    async with talking(flatter) as server, sink_to(server) as sink:
        with pytest.raises(Retryable):
            await sink.send(replace(sample_forward(), original=b"x" * 20_000_000))


async def test_nobody_there_is_retryable():
    """A refused connection is temporary, and the reason says so."""
    async with smtp_server() as server:
        pass
    async with sink_to(server) as sink:
        with pytest.raises(Retryable, match="refused"):
            await sink.send(sample_forward())


async def test_a_silent_server_is_retryable():
    """A server that takes the connection and says nothing is given up after a while."""

    async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with talking(say_nothing) as server, sink_to(server, greeting_timeout="50ms") as sink:
        with pytest.raises(Retryable, match="in time"):
            await sink.send(sample_forward())


async def test_a_wrong_destination_is_permanent():
    """A destination that is no address never reaches a server."""
    async with smtp_server() as server, sink_to(server) as sink:
        with pytest.raises(Permanent):
            await sink.send(sample_forward(to="office@maplevalley.example>\r\nDATA"))
        assert server.commands == []


# --- pacing and settings ----------------------------------------------------------------------------------------------


async def test_turns_are_evenly_spaced():
    """Pacing lets one attempt through per interval, in order, and never owes a burst."""
    now, slept = [100.0], []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    turns = Turns(2.0, lambda: now[0], sleep)
    for _ in range(3):
        await turns.mine()
    now[0] = 1000.0
    await turns.mine()
    await turns.mine()
    assert slept == [2.0, 4.0, 2.0]


async def test_an_alert_does_not_wait_for_its_turn():
    """With one mail an hour, and another that waits for its turn, alerts leave at once."""
    async with smtp_server() as server, sink_to(server, rate="1/h", connections=1) as sink:
        await sink.send(sample_forward())
        waits = asyncio.create_task(sink.send(sample_forward(2)))
        await asyncio.sleep(0)
        for number in (3, 4):
            await within(sink.send(sample_alert(number)))
        assert not waits.done()
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        assert [mail.recipient[:2] for mail in server.mails] == ["tr", "it", "it"]


async def test_an_alert_does_not_wait_for_a_mail_that_hangs():
    """Where mails hold every connection, an alert gets one of its own."""
    async with smtp_server() as server, sink_to(server, connections=1) as sink:
        server.answers.append(STALL)
        hangs = asyncio.create_task(sink.send(sample_forward()))
        await server.wait_for(1)
        await within(sink.send(sample_alert(2)))
        assert not hangs.done()
        assert server.sessions == 2
        hangs.cancel()
        await asyncio.gather(hangs, return_exceptions=True)


def test_slow_pacing_asks_for_few_attempts():
    """With 6 mails a minute no lease is held in a long queue for a turn."""
    base = {"host": "localhost", "tls": "none", "from": "a@b.example"}
    assert SmtpSink(SmtpSettings.model_validate(base | {"rate": "6/min"}), sample_context()).concurrency == 3
    assert SmtpSink(SmtpSettings.model_validate(base | {"rate": "1/h"}), sample_context()).concurrency == 1
    assert SmtpSink(SmtpSettings.model_validate(base), sample_context()).concurrency == 4


@pytest.mark.parametrize(
    "values",
    [
        {"host": "mail.example.org", "tls": "none", "from": "a@b.example"},
        {"host": "mail.example.org", "from": "no address"},
        {"host": "mail.example.org", "from": "a@b.example", "username": "u"},
        {"host": "mail.example.org", "from": "a@b.example", "password_env": "SMTP_PASSWORD"},
        {"host": "mail.example.org"},
    ],
)
def test_settings_that_are_refused(values: dict[str, str]):
    """No clear text beyond this machine, no sign-in by halves, no mail from nowhere."""
    with pytest.raises(ValueError, match="error"):
        CHANNEL.settings.model_validate(values)
