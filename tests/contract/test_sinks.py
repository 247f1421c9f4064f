"""Every sink that ships passes the sink contract."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes
from typing import TYPE_CHECKING

import pytest

from channels import maildir, smtp
from router.errors import Permanent, Retryable
from router.testing_sinks import (
    RecordingSink,
    SinkContract,
    sample_alert,
    sample_context,
    sample_forward,
)
from router.testing_smtp import SmtpServer, smtp_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class SmtpRig:
    """The SMTP sink and the server it sends to."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        values = {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": "router@maplevalley.example"}
        self.sink = smtp.SmtpSink(smtp.SmtpSettings.model_validate(values), sample_context())

    async def arrived(self) -> list[str]:
        return [str(message_from_bytes(mail.data)["Message-ID"]) for mail in self._server.mails]

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        self._server.mail_reply = "421 4.3.2 shutting down"
        self._server.drop_connections()
        yield
        self._server.mail_reply = ""


class TestSmtp(SinkContract):
    """The smtp sink."""

    channel = smtp.CHANNEL
    to = "transportation@maplevalley.example"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[SmtpRig]:
        async with smtp_server() as server:
            rig = SmtpRig(server)
            yield rig
            await rig.sink.aclose()


class MaildirRig:
    """The Maildir sink and the folder it writes to."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.folder = base / "transportation"
        self.sink = maildir.MaildirSink(maildir.MaildirSettings(path=str(base)), sample_context())

    async def arrived(self) -> list[str]:
        return [file.name for file in self.folder.glob("new/*")] if self.folder.is_dir() else []

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.write_text("a file where the folder should be")
        yield
        self.folder.unlink()


class TestMaildir(SinkContract):
    """The maildir sink."""

    channel = maildir.CHANNEL
    to = "transportation"
    bad_addresses = (
        *SinkContract.bad_addresses,
        "new",
        "cur",
        "tmp",
        "INBOX",
        ".",
        "..",
        ".hidden",
        "a/b",
        "a..b",
        "ñ",
    )

    @pytest.fixture
    async def rig(self, tmp_path: Path) -> MaildirRig:
        return MaildirRig(tmp_path)

    async def test_a_retry_replaces_the_same_file(self, rig: MaildirRig):
        """However often a delivery is tried, there is one file."""
        forward = sample_forward(to=self.to)
        for attempt in (1, 2, 3):
            await rig.sink.send(replace(forward, delivery=replace(forward.delivery, attempts=attempt)))
        assert len(await rig.arrived()) == 1

    async def test_a_retry_after_it_was_read_makes_no_copy(self, rig: MaildirRig):
        """A reader has moved the mail to cur/ with a flag before the retry comes: nothing is delivered again."""
        forward = sample_forward(to=self.to)
        name = await rig.sink.send(forward)
        (rig.folder / "new" / name).rename(rig.folder / "cur" / f"{name}:2,RS")
        assert await rig.sink.send(replace(forward, delivery=replace(forward.delivery, attempts=2))) == name
        assert await rig.arrived() == []

    async def test_the_mail_is_whole_and_private(self, rig: MaildirRig):
        """The file holds the forwarded mail byte for byte, nothing is left in tmp/, and only its owner may read it."""
        name = await rig.sink.send(forward := sample_forward(to=self.to))
        file = rig.folder / "new" / name
        mail = file.read_bytes()
        assert forward.original in mail
        assert b"\r\nTo: transportation@localhost\r\n" in mail
        assert list((rig.folder / "tmp").iterdir()) == []
        assert file.stat().st_mode & 0o077 == 0

    async def test_a_failed_write_is_retryable(self, rig: MaildirRig):
        """A write that fails leaves no half file."""
        await rig.sink.send(sample_forward(1, to=self.to))
        shutil.rmtree(rig.folder / "new")
        (rig.folder / "new").symlink_to(os.devnull)
        with pytest.raises(Retryable):
            await rig.sink.send(sample_forward(2, to=self.to))
        assert list((rig.folder / "tmp").iterdir()) == []

    async def test_a_destination_outside_is_permanent(self, rig: MaildirRig):
        """A name that isn't a Maildir's name is refused before anything is written."""
        with pytest.raises(Permanent):
            await rig.sink.send(sample_forward(to="../elsewhere"))
        assert list(rig.base.iterdir()) == []


async def test_the_recording_sink_records():
    """The sink for tests raises what it is told to, in order, and then keeps what it gets."""
    sink = RecordingSink(Retryable("busy"))
    with pytest.raises(Retryable):
        await sink.send(sample_forward())
    assert await sink.send(sample_alert()) == "recorded-1"
    assert (len(sink.attempts), len(sink.sent)) == (2, 1)
    await sink.aclose()
    assert sink.closed


async def test_the_mail_server_can_be_awaited():
    """A test can wait for mails without sleeping."""
    async with smtp_server() as server:
        rig = SmtpRig(server)
        sending = asyncio.create_task(rig.sink.send(sample_forward()))
        (mail,) = await server.wait_for(1)
        await sending
        await rig.sink.aclose()
    assert mail.recipient == "transportation@maplevalley.example"
