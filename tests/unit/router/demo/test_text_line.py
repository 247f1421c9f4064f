"""The demo's simulated text line."""

from __future__ import annotations

import re

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from channels._mime import understand
from router.demo.text_line import SIMULATED_TEXT_LINE, TextLine, TextLineSettings
from router.plugins import channel_types
from router.records import Medium
from router.testing import FakeClock, RecordingIntake, WebhookContract
from router.testing_sinks import sample_context


class TestTextLine(WebhookContract):
    """A browser posts the page's form."""

    channel = "hook"

    def build(self):
        return TextLine(TextLineSettings(), sample_context(name=self.channel, clock=FakeClock()))

    async def post(self, http, url, text):
        answer = await http.post(url, data={"phone": "(555) 555-0199", "text": text}, allow_redirects=False)
        return answer.status


@pytest.fixture
def intake():
    """An intake that keeps messages."""
    return RecordingIntake()


@pytest.fixture
async def client(intake):
    """The line at /webhooks/line."""
    line = TextLine(TextLineSettings(), sample_context(name="line", clock=FakeClock()))

    async def answer(request):
        return await line.handle(request, intake.accept)

    application = web.Application()
    application.router.add_route("*", "/webhooks/line", answer)
    async with TestClient(TestServer(application)) as opened:
        yield opened


async def send(client, **form):
    """Post the form and return the response, following no redirect."""
    return await client.post("/webhooks/line", data=form, allow_redirects=False)


async def test_a_text_arrives_as_a_text_message(client, intake):
    """What is written on the page is a message by SMS from that number, and its original says the same."""
    answer = await send(client, phone="555 555 0199", text="¿Dónde está el autobús?\nLínea 2")
    assert (answer.status, answer.headers["Location"]) == (303, "/webhooks/line?sent=R1")
    [inbound] = intake.offered
    assert (inbound.medium, inbound.facts["sender"]) == (Medium.SMS, "+15555550199")
    content = understand(inbound.original, inbound.facts, inbound.medium.value)
    assert (content.text.strip(), content.phone) == ("¿Dónde está el autobús?\nLínea 2", "+15555550199")
    assert (content.recipient, content.reply_to, content.unreadable) == ("+15555550100", "", "")


async def test_a_double_click_is_one_message(client, intake):
    """The page's own key makes a repeated form the same message; without it every text is a new one."""
    page = await (await client.get("/webhooks/line")).text()
    key = re.search(r'name="key" value="([0-9a-f]{32})"', page)[1]
    for _ in range(2):
        await send(client, phone="+15555550199", text="hello", key=key)
    assert len(intake.taken) == 1
    for _ in range(2):
        await send(client, phone="+15555550199", text="hello", key="not ours")
    assert len(intake.taken) == 3


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"phone": "abc", "text": "<b>hi</b>"}, "telephone number"),
        ({"phone": "+15555550199", "text": "  "}, "write something"),
    ],
)
async def test_what_is_missing_is_said(client, intake, form, words):
    """Without a text or a number nothing is taken in, and what was written stays on the page, escaped."""
    answer = await send(client, **form)
    text = await answer.text()
    assert answer.status == 422
    assert words in text
    assert "<b>" not in text
    assert not intake.offered


async def test_the_page_says_that_it_was_sent(client):
    """After sending, the page names the message; what isn't an id isn't repeated."""
    text = await (await client.get("/webhooks/line?sent=0WE38PT45HK9")).text()
    assert 'href="/demo/messages/0WE38PT45HK9"' in text
    assert "evil" not in await (await client.get("/webhooks/line?sent=evil")).text()


async def test_other_methods_are_refused(client):
    """Only GET and POST are known."""
    assert (await client.put("/webhooks/line")).status == 405


def test_it_is_a_channel_type_of_the_demo_only():
    """The type is found where it is offered, and is none of the shipped ones."""
    types = channel_types({"simulated_text_line": SIMULATED_TEXT_LINE})
    assert types.get("simulated_text_line") is SIMULATED_TEXT_LINE
    assert "simulated_text_line" not in channel_types().names()


def test_its_numbers_are_checked():
    """A number that is none is a fault of the configuration."""
    with pytest.raises(ValidationError, match="telephone number"):
        TextLineSettings(number="main office")
