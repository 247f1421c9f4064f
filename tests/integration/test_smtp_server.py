"""The SMTP listener, spoken to on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
from typing import TYPE_CHECKING

import aiosmtplib
import pytest
from pydantic import ValidationError

from channels.smtp_server import SmtpServer, SmtpServerSettings
from router.errors import Malformed, SourceUnavailable, StoreBusy, TooLarge
from router.testing import RecordingIntake, until
from router.testing_sinks import sample_context

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MAIL = b"From: ana@example.org\r\nSubject: Bus 12\r\n\r\nIt was late.\r\n"


class Wire:
    """A plain SMTP dialogue."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def read(self) -> str:
        """Return one reply, its last line if there are several."""
        async with asyncio.timeout(20):
            while (line := (await self.reader.readline()).decode())[3:4] == "-":
                pass
        return line.strip()

    async def say(self, data: str | bytes) -> str:
        """Send raw bytes or a line and return the reply."""
        self.writer.write(data if isinstance(data, bytes) else data.encode() + b"\r\n")
        return await self.read()

    async def begin(self, recipient: str = "contact@maplevalley.example", sender: str = "<ana@example.org>") -> str:
        """Go as far as the reply to RCPT."""
        await self.say("EHLO client.example")
        await self.say(f"MAIL FROM:{sender}")
        return await self.say(f"RCPT TO:<{recipient}>")

    async def send(self, data: bytes) -> str:
        """Send a whole DATA phase as raw bytes and return the final reply."""
        assert (await self.begin()).startswith("250")
        assert (await self.say("DATA")).startswith("354")
        return await self.say(data)


@contextlib.asynccontextmanager
async def listening(intake: RecordingIntake, **settings: object) -> AsyncIterator[SmtpServer]:
    """A listener on a free port."""
    values = {"listen": "127.0.0.1:0", **settings}
    server = SmtpServer(SmtpServerSettings.model_validate(values), sample_context(name="mail-in"))
    task = asyncio.create_task(server.run(intake.accept))
    await until(lambda: server.port or task.done())
    try:
        yield server
    finally:
        task.cancel()
        async with asyncio.timeout(20):
            await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def connected(server: SmtpServer) -> AsyncIterator[Wire]:
    """A connection that has read the greeting."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    wire = Wire(reader, writer)
    try:
        wire.greeting = await wire.read()
        yield wire
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_mail_is_taken_byte_for_byte():
    """The original is what DATA gave, dots unstuffed; the envelope is in the facts; the reply names the message."""
    intake = RecordingIntake()
    async with listening(intake) as server, connected(server) as wire:
        body = MAIL + b"..\r\n...two\r\n\xff8-bit, " + b"x" * 5_000 + b"\r\n"
        reply = await wire.send(body.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert reply == "250 2.0.0 accepted as R1"
    (inbound,) = intake.taken.values()
    assert inbound.original == body
    assert dict(inbound.facts) == {
        "envelope_from": "ana@example.org",
        "recipient": "contact@maplevalley.example",
        "recipients": ["contact@maplevalley.example"],
    }


async def test_a_client_library_gets_through():
    """An ordinary client delivers several mails over one connection, large ones too."""
    intake = RecordingIntake()
    async with listening(intake) as server, aiosmtplib.SMTP(hostname="127.0.0.1", port=server.port) as client:
        for size in (10, 3_000_000):
            await client.sendmail("ana@example.org", ["a@x.example", "b@x.example"], MAIL + b"y" * 70 + b"\r\n" * size)
    assert [len(inbound.original) for inbound in intake.taken.values()] == [
        len(MAIL) + 70 + 2 * 10,
        len(MAIL) + 70 + 6_000_000,
    ]
    assert all(inbound.facts["recipients"] == ["a@x.example", "b@x.example"] for inbound in intake.taken.values())


async def test_the_null_sender_is_known():
    """A bounce comes from `<>`, which is noted as an empty envelope sender."""
    intake = RecordingIntake()
    async with listening(intake) as server, connected(server) as wire:
        await wire.begin(sender="<>")
        await wire.say("DATA")
        assert (await wire.say(MAIL + b".\r\n")).startswith("250")
    assert next(iter(intake.taken.values())).facts["envelope_from"] == ""


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (StoreBusy("x"), "451"),
        (RuntimeError("x"), "451"),
        (TooLarge("too large"), "552"),
        (Malformed("no\r\n250 good"), "554"),
    ],
)
async def test_what_is_not_accepted_is_not_acknowledged(failure: Exception, code: str):
    """Each way in which `accept` fails has its own reply, and the connection stays usable."""
    intake = RecordingIntake(failure)
    async with listening(intake) as server, connected(server) as wire:
        assert (await wire.send(MAIL + b".\r\n")).startswith(code)
        assert not intake.taken
        assert (await wire.send(MAIL + b".\r\n")).startswith("250")


@pytest.mark.parametrize(
    "data",
    [
        b"Hi\n.\nMAIL FROM:<evil@x.y>\r\n.\r\n",
        b"Hi\n.\r\nMAIL FROM:<evil@x.y>\r\n.\r\n",
        b"Hi\r\n.\nMAIL FROM:<evil@x.y>\r\n.\r\n",
        b"Hi\r.\r\nMAIL FROM:<evil@x.y>\r\n.\r\n",
        b"Hi\nbare\r\n.\r\n",
        b"Hi\r.\rMAIL FROM:<evil@x.y>\r\n.\r\n",
    ],
)
async def test_nothing_is_smuggled(data: bytes):
    """Only CR LF dot CR LF ends a mail, and one with bare line feeds is refused as a whole (VU#302671)."""
    intake = RecordingIntake()
    async with listening(intake) as server, connected(server) as wire:
        assert (await wire.send(data)).startswith("554")
        assert (await wire.say("NOOP")).startswith("250")
        assert not intake.offered
        assert (await wire.send(MAIL + b".\r\n")).startswith("250")


async def test_an_empty_mail_is_refused():
    """A dot alone is no mail."""
    intake = RecordingIntake()
    async with listening(intake) as server, connected(server) as wire:
        assert (await wire.send(b".\r\n")).startswith("554")
        assert (await wire.send(b"\r\n.\r\n")).startswith("250")  # an empty line is one
    assert [inbound.original for inbound in intake.taken.values()] == [b"\r\n"]


async def test_the_final_dot_is_found_wherever_packets_end():
    """A mail that arrives byte by byte is the same mail, and what was sent behind it is the next command."""
    intake = RecordingIntake()
    async with listening(intake) as server, connected(server) as wire:
        await wire.begin()
        await wire.say("DATA")
        for byte in MAIL + b"a.\r\n..\r\n.\r\nNOOP\r\n":
            wire.writer.write(bytes([byte]))
            await wire.writer.drain()
        assert (await wire.read()).startswith("250 2.0.0")
        assert (await wire.read()).startswith("250")
    assert next(iter(intake.taken.values())).original == MAIL + b"a.\r\n.\r\n"


async def test_too_large_is_told_before_and_after():
    """A mail over the limit is refused at MAIL if its size is announced, else after its end."""
    intake = RecordingIntake()
    async with listening(intake, max_message_bytes=100_000) as server, connected(server) as wire:
        assert (await wire.say("EHLO x")).startswith("250")
        assert (await wire.say("MAIL FROM:<a@b.c> SIZE=100001")).startswith("552")
        assert (await wire.send(b"x" * 300_000 + b"\r\n.\r\n")).startswith("552")
        assert (await wire.send(b"x" * 99_998 + b"\r\n.\r\n")).startswith("250")
    assert [len(inbound.original) for inbound in intake.taken.values()] == [100_000]


async def test_only_our_recipients_are_taken():
    """With `recipients` set, mail for other addresses and domains is refused at RCPT: this is no relay."""
    intake = RecordingIntake()
    async with listening(intake, recipients=["contact@a.example", "@b.example", "c.example"]) as server:
        for recipient, code in {
            "Contact@A.example": 250,
            "x@b.example": 250,
            "y@C.example": 250,
            "x@a.example": 550,
            "x@sub.b.example": 550,
        }.items():
            async with connected(server) as wire:
                assert (await wire.begin(recipient)).startswith(str(code))
        async with connected(server) as wire:
            await wire.begin("x@elsewhere.example")
            assert (await wire.say("DATA")).startswith("503")
    assert not intake.offered


async def test_too_many_connections_are_told_to_come_back():
    """Beyond the limit a connection hears 421, and there is room again when one leaves."""
    async with listening(RecordingIntake(), max_connections=1) as server:
        async with connected(server) as first:
            assert first.greeting.startswith("220")
            async with connected(server) as second:
                assert second.greeting.startswith("421")
            assert (await first.say("QUIT")).startswith("221")
            assert await first.reader.read() == b""
        async with connected(server) as third:
            assert third.greeting.startswith("220")


async def test_a_silent_connection_is_closed():
    """After the idle timeout the listener hangs up."""
    async with listening(RecordingIntake(), idle_timeout="100ms") as server, connected(server) as wire:
        async with asyncio.timeout(20):
            assert await wire.reader.read() == b""


async def test_stopping_lets_a_mail_finish_and_sends_the_others_away():
    """On cancellation an idle sender hears 421, and a mail being stored still gets its 250."""
    intake = RecordingIntake()
    intake.gate.clear()
    server = SmtpServer(SmtpServerSettings.model_validate({"listen": "127.0.0.1:0"}), sample_context())
    task = asyncio.create_task(server.run(intake.accept))
    await until(lambda: server.port)
    async with connected(server) as busy, connected(server) as idle:
        sending = asyncio.create_task(busy.send(MAIL + b".\r\n"))
        await until(lambda: intake.calls)
        task.cancel()
        assert (await idle.read()).startswith("421")
        assert not sending.done()
        intake.gate.set()
        assert (await sending).startswith("250")
        assert (await busy.read()).startswith("421")
        async with asyncio.timeout(20):
            await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


async def test_malformed_commands_are_survived():
    """Nonsense in commands gets an error reply and takes nothing in."""
    intake = RecordingIntake()
    async with listening(intake) as server, connected(server) as wire:
        await wire.say("EHLO x")
        for command in (
            "MAIL FROM:<a@",
            "MAIL FROM:" + "(" * 400,
            "MAIL FROM:" + '"' * 400,
            "X" * 70_000,
            "DATA",
            "AUTH PLAIN AGEAYg==",
        ):
            assert (await wire.say(command))[0] in "45"
        assert (await wire.send(MAIL + b".\r\n")).startswith("250")
    assert len(intake.taken) == 1


async def test_starttls_is_offered_and_can_be_required(tmp_path: Path):
    """With a certificate STARTTLS works and offers no AUTH; if it is required, mail in the clear is refused."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost"
    await asyncio.to_thread(subprocess.run, command.split(), cwd=tmp_path, check=True, capture_output=True)
    files = {"tls_cert": str(tmp_path / "cert.pem"), "tls_key": str(tmp_path / "key.pem")}
    trusting = ssl.create_default_context(cafile=files["tls_cert"])
    trusting.check_hostname = False
    intake = RecordingIntake()
    async with listening(intake, **files, require_tls=True) as server:
        async with connected(server) as wire:
            assert (await wire.begin()).startswith("530")
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=server.port, start_tls=True, tls_context=trusting)
        async with client:
            await client.sendmail("ana@example.org", ["a@x.example"], MAIL)
            assert not client.supports_extension("auth")
    assert len(intake.taken) == 1


async def test_what_prevents_listening_is_said(free_port: int, tmp_path: Path):
    """A port in use and a missing certificate are sentences, to be tried again by the supervisor."""
    holder = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", free_port)
    async with holder:
        with pytest.raises(SourceUnavailable, match="can't listen"):
            await run_once(listen=f"127.0.0.1:{free_port}")
    with pytest.raises(SourceUnavailable, match="certificate"):
        await run_once(tls_cert=str(tmp_path / "none.pem"), tls_key=str(tmp_path / "none.key"))


async def run_once(**settings: object) -> None:
    server = SmtpServer(SmtpServerSettings.model_validate(settings), sample_context())
    await server.run(RecordingIntake().accept)


@pytest.mark.parametrize("values", [{"tls_cert": "a"}, {"require_tls": True}, {"listen": "2525"}, {"unknown": 1}])
def test_wrong_settings_are_refused(values: dict):
    """Settings that can't work are errors, not surprises."""
    with pytest.raises(ValidationError):
        SmtpServerSettings.model_validate(values)


async def test_addresses_in_facts_are_clean():
    """An address in UTF-8 or in broken bytes becomes clean text."""
    intake = RecordingIntake()
    async with listening(intake) as server, connected(server) as wire:
        await wire.say("EHLO x")
        await wire.say("MAIL FROM:<josé@example.org> SMTPUTF8".encode() + b"\r\n")
        await wire.say(b"RCPT TO:<caf\xff@x.example>\r\n")
        await wire.say("DATA")
        await wire.say(MAIL + b".\r\n")
    for inbound in intake.taken.values():
        assert json.dumps(dict(inbound.facts), ensure_ascii=False).encode()
        assert inbound.facts["envelope_from"] == "josé@example.org"
    assert len(intake.taken) == 1
