"""The twilio_sms channel passes both contract suites."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from channels import twilio_sms
from router.testing import FakeClock, WebhookContract
from router.testing_sinks import SinkContract, sample_context
from tests.integration.fake_twilio import ACCOUNT, FakeTwilio, fake_twilio, post_text, text_parameters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientSession

    from router.interfaces import Webhook


pytestmark = pytest.mark.usefixtures("twilio_token")


def settings(**changes):
    values = {"account_sid": ACCOUNT, "auth_token_env": "TWILIO_AUTH_TOKEN", "from_number": "+15555550100"}
    return twilio_sms.TwilioSettings.model_validate(values | changes)


class TestTwilioWebhook(WebhookContract):
    """Twilio posts texts."""

    channel = "text-line"
    path = "/webhooks/text-line"

    def build(self) -> Webhook:
        self.sids: dict[str, int] = {}
        return twilio_sms.TwilioWebhook(settings(), sample_context(name=self.channel, clock=FakeClock()))

    async def post(self, http: ClientSession, url: str, text: str) -> int:
        number = self.sids.setdefault(text, len(self.sids) + 1)
        known = f"{sample_context().public_url}{self.path}"
        return await post_text(http, url, known, text_parameters(number, text))


class TwilioRig:
    """The sink and the double it sends to. What tells copies of one text is its words."""

    def __init__(self, twilio: FakeTwilio) -> None:
        self._twilio = twilio
        self.sink = twilio_sms.TwilioSink(settings(api_base=twilio.base), sample_context())

    async def arrived(self) -> list[str]:
        return [message["body"] for message in self._twilio.messages]

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        self._twilio.failures.append((503, 0, {}))
        yield
        self._twilio.failures.clear()


def test_no_mail_is_read_here():
    """A sink's `from` whose mailbox nobody else reads is told, though this channel fetches, too."""
    assert not twilio_sms.CHANNEL.reads(settings(), "contact@maplevalley.example")


class TestTwilioSink(SinkContract):
    """The double of Twilio takes texts."""

    channel = twilio_sms.CHANNEL
    to = "+15555550123"
    bad_addresses = (*SinkContract.bad_addresses, "5555550123", "+0555555", "office@example.org", "whatsapp:5555")

    @pytest.fixture
    async def rig(self) -> AsyncIterator[TwilioRig]:
        async with fake_twilio() as twilio:
            rig = TwilioRig(twilio)
            yield rig
            await rig.sink.aclose()
