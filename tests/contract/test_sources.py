"""The built-in sources and webhooks pass the suites of `router.testing`."""

from __future__ import annotations

import asyncio
import smtplib
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from channels import maildir, smtp_server, web_form
from router.testing import FakeClock, SourceContract, WebhookContract, until
from router.testing_sinks import sample_context

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import ClientSession

    from router.interfaces import Source, Webhook


def mail_of(text: str) -> bytes:
    return f"From: ana@example.org\r\nMessage-ID: <{uuid4()}@example.org>\r\n\r\n{text}\r\n".encode()


class TestSmtpServer(SourceContract):
    """A sending mail server tries again after 4xx and after a lost connection."""

    @pytest.fixture(autouse=True)
    def _choose_port(self, free_port: int) -> None:
        self.port = free_port

    def build(self, folder: Path) -> Source:
        settings = smtp_server.SmtpServerSettings.model_validate({"listen": f"127.0.0.1:{self.port}"})
        return smtp_server.SmtpServer(settings, sample_context(name=self.channel))

    async def offer(self, text: str) -> None:
        mail = mail_of(text)
        while not await asyncio.to_thread(self._attempt, mail):
            pass

    def _attempt(self, mail: bytes) -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
                return client.sendmail("ana@example.org", ["contact@maplevalley.example"], mail) == {}
        except (OSError, smtplib.SMTPException):
            return False


class TestMaildir(SourceContract):
    """A delivery agent puts a file into `new` and is done; taken is what isn't there any more."""

    def build(self, folder: Path) -> Source:
        self.folder = folder
        values = {"path": str(folder), "mailbox": "in", "poll": "10ms"}
        settings = maildir.MaildirSettings.model_validate(values)
        return maildir.MaildirSource(settings, sample_context(name=self.channel))

    async def offer(self, text: str) -> None:
        box = self.folder / "in"
        for part in ("tmp", "new", "cur"):
            (box / part).mkdir(parents=True, exist_ok=True)
        name = f"{uuid4().hex}.example"
        (box / "tmp" / name).write_bytes(mail_of(text))
        (box / "tmp" / name).rename(box / "new" / name)
        await until(lambda: not (box / "new" / name).exists())


class TestWebForm(WebhookContract):
    """A browser posts a form."""

    channel = "contact"
    path = "/forms/contact"

    def build(self) -> Webhook:
        return web_form.WebForm(web_form.WebFormSettings(), sample_context(name=self.channel, clock=FakeClock()))

    async def post(self, http: ClientSession, url: str, text: str) -> int:
        answer = await http.post(url, data={"message": text, "email": "ana@example.org"}, allow_redirects=False)
        return answer.status


class TestWebFormAsJson(TestWebForm):
    """A program posts JSON."""

    async def post(self, http: ClientSession, url: str, text: str) -> int:
        return (await http.post(url, json={"message": text, "phone": "555 555 0123"})).status
