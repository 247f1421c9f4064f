"""Fixtures of the tests of the text line."""

from __future__ import annotations

import pytest

from tests.integration.fake_twilio import TOKEN, fake_twilio


@pytest.fixture
def twilio_token(monkeypatch):
    """The account's auth token stands where the settings say."""
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)


@pytest.fixture
async def twilio(twilio_token):
    """A double of Twilio."""
    async with fake_twilio() as fake:
        yield fake
