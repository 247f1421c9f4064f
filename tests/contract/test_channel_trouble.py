"""What a webhook says of itself where people look: noise apart from trouble, and that it works when it works again."""

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
        name=name,
        public_url=PUBLIC,
        on_proof=lambda: said.append(("proof", "")),
        on_trouble=lambda why: said.append(("trouble", why)),
        on_refusal=lambda why: said.append(("refusal", why)),
    )


def hook_of(said, **values):
    """Return a webhook with a bearer token."""
    settings = {"authentication": "bearer", "secret_env": "HOOK_SECRET", "fields": {"message": "/text"}} | values
    return CHANNEL.webhook(WebhookSettings.model_validate(settings), context(said, "hook"))


@pytest.mark.parametrize(
    ("headers", "body", "kind", "why"),
    [
        ({}, b'{"text": "hi"}', "refusal", "token"),
        ({}, b"junk", "refusal", "token"),
        (GOOD | {"Authorization": "Bearer wrong"}, b'{"text": "hi"}', "refusal", "token"),
        (GOOD, b'{"words": "hi"}', "trouble", "none of the fields"),
        (GOOD, b"{", "trouble", "JSON"),
        (GOOD, b" " * 1_000_001, "trouble", "at most"),
    ],
)
async def test_a_form_tool_that_was_set_up_wrongly(said, headers, body, kind, why):
    """A wrong mapping is trouble; whoever hasn't proved himself is only counted. The next good request is a proof."""
    async with mounted(hook_of(said), RecordingIntake().accept, "/webhooks/hook") as (http, url):
        async with http.post(url, data=body, headers=headers) as answer:
            assert answer.content_type == "application/json"
        async with http.post(url, data=b'{"text": "hi"}', headers=GOOD) as answer:
            assert answer.status == 200
    (first, sentence), *then = said
    assert first == kind
    assert why in sentence
    assert then == [("proof", "")]


async def test_unsigned_rubbish_is_no_trouble(said):
    """What comes before the signature is looked at can be sent by anybody: too large, of a wrong kind, unsigned."""
    hook = hook_of(said, authentication="hmac", hmac={"header": "X-Sig"})
    async with mounted(hook, RecordingIntake().accept, "/webhooks/hook") as (http, url):
        for body, headers in ((b"junk", {}), (b"x" * 1_000_001, {"X-Sig": "a"}), (b"{", {"X-Sig": "a"})):
            async with http.post(url, data=body, headers=headers) as answer:
                assert answer.status in (403, 413)
    assert [kind for kind, _ in said] == ["refusal"] * 3


async def test_a_secret_that_is_gone(said, monkeypatch):
    """Nothing can be believed then: that is our trouble, and the provider is asked to try again."""
    monkeypatch.delenv("HOOK_SECRET")
    async with (
        mounted(hook_of(said), RecordingIntake().accept, "/webhooks/hook") as (http, url),
        http.post(url, data=b'{"text": "hi"}', headers=GOOD) as answer,
    ):
        assert (answer.status, "Retry-After" in answer.headers) == (503, True)
    assert said == [("trouble", "no request can be checked: the environment variable HOOK_SECRET isn't set")]


async def test_texts_that_somebody_else_signed(said):
    """A token that was changed at Twilio and not here is counted and told apart from trouble; so is rubbish."""
    values = {"account_sid": ACCOUNT, "auth_token_env": "TOKEN", "from_number": "+15555550100"}
    hook = twilio_sms.TwilioWebhook(twilio_sms.TwilioSettings.model_validate(values), context(said, "text-line"))
    parameters = list(text_parameters().items())
    async with mounted(hook, RecordingIntake().accept, "/webhooks/text-line") as (http, url):
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        good = sign(f"{PUBLIC}/webhooks/text-line", parameters)
        for headers, body, status in (
            (kind | {"X-Twilio-Signature": "wrong"}, form_body(parameters), NotAuthentic.status),
            ({"X-Twilio-Signature": "wrong", "Content-Type": "text/plain"}, b"rubbish", 415),
            (kind, b"rubbish", NotAuthentic.status),
            (kind | {"X-Twilio-Signature": good}, form_body(parameters), 200),
        ):
            async with http.post(url, data=body, headers=headers) as answer:
                assert answer.status == status
    assert [kind for kind, _ in said] == ["refusal"] * 3 + ["proof"]
    assert "public_url" in said[0][1]
