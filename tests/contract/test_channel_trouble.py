"""A webhook that refuses what it is sent says so where people look, and that it works when it works again."""

from __future__ import annotations

import pytest

from channels import twilio_sms
from channels.webhook import CHANNEL, WebhookSettings
from router.errors import NotAuthentic
from router.testing import RecordingIntake
from router.testing_sinks import sample_context
from tests.integration.fake_twilio import ACCOUNT, TOKEN, form_body, mounted, sign, text_parameters

PUBLIC = "https://contact.maplevalley.example"
GOOD = {"Authorization": "Bearer s3cret", "Content-Type": "application/json"}


@pytest.fixture
def said(monkeypatch):
    """What a channel told of itself: a sentence for trouble, "" for a proof."""
    monkeypatch.setenv("HOOK_SECRET", "s3cret")
    monkeypatch.setenv("TOKEN", TOKEN)
    return []


def context(said, name):
    """Return a context that notes what a channel says of itself."""
    return sample_context(
        name=name, public_url=PUBLIC, on_proof=lambda: said.append(""), on_trouble=said.append
    )  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ({}, b'{"text": "hi"}', "token"),
        (GOOD | {"Authorization": "Bearer wrong"}, b'{"text": "hi"}', "token"),
        (GOOD, b'{"words": "hi"}', "none of the fields"),
        (GOOD, b"{", "JSON"),
    ],
)
async def test_a_form_tool_that_was_set_up_wrongly(said, headers, body, why):
    """A wrong secret and a wrong mapping are told in a sentence; the next good request is the proof."""
    values = {"authentication": "bearer", "secret_env": "HOOK_SECRET", "fields": {"message": "/text"}}
    hook = CHANNEL.webhook(WebhookSettings.model_validate(values), context(said, "hook"))
    async with mounted(hook, RecordingIntake().accept, "/webhooks/hook") as (http, url):
        async with http.post(url, data=body, headers=headers) as answer:
            assert 400 <= answer.status < 500
        async with http.post(url, data=b'{"text": "hi"}', headers=GOOD) as answer:
            assert answer.status == 200
    assert said[0].startswith("a request was refused: ")
    assert why in said[0]
    assert said[1:] == [""]


async def test_texts_that_somebody_else_signed(said):
    """A token that was changed at Twilio and not here stops every text: that is told, not only answered 403."""
    values = {"account_sid": ACCOUNT, "auth_token_env": "TOKEN", "from_number": "+15555550100"}
    hook = twilio_sms.TwilioWebhook(twilio_sms.TwilioSettings.model_validate(values), context(said, "text-line"))
    parameters = list(text_parameters().items())
    async with mounted(hook, RecordingIntake().accept, "/webhooks/text-line") as (http, url):
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        for signature in ("wrong", sign(f"{PUBLIC}/webhooks/text-line", parameters)):
            headers = kind | {"X-Twilio-Signature": signature}
            async with http.post(url, data=form_body(parameters), headers=headers) as answer:
                assert answer.status == (NotAuthentic.status if signature == "wrong" else 200)
    assert said[0].startswith("a request was refused: ")
    assert said[1:] == [""]
