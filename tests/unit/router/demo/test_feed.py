"""The demo's sample messages, and how they are sent."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from channels._mime import understand
from channels.smtp_server import SmtpServer, SmtpServerSettings
from channels.web_form import WebForm, WebFormSettings
from config.load import load
from router.demo.feed import feed, samples
from router.demo.text_line import SIMULATED_TEXT_LINE, TextLine, TextLineSettings
from router.interfaces import SystemClock
from router.plugins import channel_types
from router.settings import parse_listen
from router.testing import RecordingIntake, until
from router.testing_sinks import sample_context

ROOT = Path(__file__).parents[4]


def test_the_samples_are_many_and_varied():
    """There are about 60, over all three channels, in English and Spanish, and nobody real is in them."""
    found = samples()
    by = Counter(sample.by for sample in found)
    assert len(found) >= 55
    assert set(by) == {"form", "mail", "text"}
    assert min(by.values()) >= 15
    assert len({sample.message for sample in found}) == len(found)
    assert all(sample.email.endswith(".example") for sample in found if sample.email)
    assert all(sample.phone.startswith("+155555501") for sample in found if sample.phone)


def test_the_samples_name_schools_of_the_demo():
    """A sample's school is one of the demo's configuration, so that the second axis shows."""
    types = channel_types({"simulated_text_line": SIMULATED_TEXT_LINE})
    configuration = load(ROOT / "config" / "demo.yaml", channel_types=types)
    known = {school.id for school in configuration.schools}
    named = {sample.school for sample in samples() if sample.school}
    assert named <= known
    assert len(named) >= 5


@pytest.fixture
def intake():
    """An intake that keeps messages."""
    return RecordingIntake()


@pytest.fixture
async def site(intake):
    """The contact form and the text line, as the demo has them."""
    context = sample_context(clock=SystemClock(), public_url="http://127.0.0.1")
    form = WebForm(WebFormSettings(), sample_context(name="contact"))
    line = TextLine(TextLineSettings(), context)

    async def on_form(request):
        return await form.handle(request, intake.accept)

    async def on_line(request):
        return await line.handle(request, intake.accept)

    application = web.Application()
    application.router.add_route("*", "/forms/contact", on_form)
    application.router.add_route("*", "/webhooks/text-line", on_line)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
async def smtp(intake):
    """The SMTP listener on a free port."""
    server = SmtpServer(SmtpServerSettings(listen="127.0.0.1:0"), sample_context(name="mail-in"))
    running = asyncio.create_task(server.run(intake.accept))
    await until(lambda: server.port)
    yield parse_listen(f"127.0.0.1:{server.port}")
    running.cancel()
    await asyncio.wait([running])


async def test_every_sample_gets_in(site, smtp, intake, rng):
    """The feed sends each once, over its channel, as a browser, a mail program and a telephone would."""
    assert await feed(site, smtp, 0.0, rng) == len(samples())
    media = Counter(inbound.medium.value for inbound in intake.offered)
    wanted = Counter({"form": "web_form", "mail": "email", "text": "sms"}[sample.by] for sample in samples())
    assert media == wanted
    contents = [understand(i.original, i.facts, i.medium.value) for i in intake.offered]
    assert not any(content.suspicion or content.unreadable for content in contents)
    said = {content.text.strip() for content in contents}
    assert {sample.message for sample in samples()} == said


async def test_what_cannot_be_sent_is_left_out(site, free_port, intake, rng):
    """Without an SMTP listener the other samples get in all the same."""
    taken = await feed(site, parse_listen(f"127.0.0.1:{free_port}"), 0.0, rng)
    assert taken == len(intake.offered) == sum(sample.by != "mail" for sample in samples())
