"""The webhook channel passes both contract suites, and what one Signpost sends another can take in."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from channels import webhook
from channels._mime import understand
from channels._webhook_auth import signature
from channels._webhook_in import Incoming
from channels._webhook_out import WebhookSink
from channels._webhook_settings import WebhookSettings
from router.testing import FakeClock, RecordingIntake, WebhookContract
from router.testing_sinks import SinkContract, sample_context, sample_forward
from tests.integration.fake_twilio import mounted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp import ClientSession

    from router.interfaces import Webhook

FIELDS = {"message": "/data/text", "email": "/data/email"}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", "s3cret")


def incoming(name="hook", clock=None, **values):
    """Return a webhook with these settings."""
    settings = WebhookSettings.model_validate({"secret_env": "HOOK_SECRET", "fields": FIELDS} | values)
    return Incoming(settings, sample_context(name=name, clock=clock or FakeClock()))


class TestSignedJson(WebhookContract):
    """A provider posts JSON and signs it."""

    def build(self) -> Webhook:
        return incoming(authentication="hmac", hmac={"header": "X-Signature", "prefix": "sha256="})

    async def post(self, http: ClientSession, url: str, text: str) -> int:
        body = json.dumps({"data": {"text": text, "email": "ana@example.org"}}).encode()
        headers = {"Content-Type": "application/json", "X-Signature": f"sha256={signature('s3cret', body)}"}
        return (await http.post(url, data=body, headers=headers)).status


class TestFormFields(WebhookContract):
    """A provider posts form fields, and a token."""

    def build(self) -> Webhook:
        return incoming(
            authentication="bearer", medium="sms", fields={"message": "/text", "phone": "/from", "id": "/id"}
        )

    async def post(self, http: ClientSession, url: str, text: str) -> int:
        fields = {"text": text, "from": "15555550111", "id": text}
        return (await http.post(url, data=fields, headers={"Authorization": "Bearer s3cret"})).status


class Receiver:
    """Another program: it keeps what is posted to it, and answers what it is told to."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.status = 200

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        if self.status < 300:
            self.posts.append((dict(request.headers), body))
        return web.json_response({"id": f"T-{len(self.posts)}"}, status=self.status)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    """Run a receiver on loopback; yield it and its address."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/hook", receiver.take)
    async with TestServer(application) as server:
        yield receiver, str(server.make_url("/hook"))


def sink_of(**values):
    settings = {"signing_secret_env": "HOOK_SECRET", "allow_private": True} | values
    return WebhookSink(WebhookSettings.model_validate(settings), sample_context(clock=FakeClock()))


class WebhookRig:
    """The sink and the program it posts to; the idempotency key tells copies."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self.sink = sink_of()

    async def arrived(self) -> list[str]:
        return [headers["Idempotency-Key"] for headers, _ in self._receiver.posts]

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        self._receiver.status = 503
        yield
        self._receiver.status = 200


class TestWebhookSink(SinkContract):
    """Another program takes signed JSON."""

    channel = webhook.CHANNEL
    bad_addresses = (
        *SinkContract.bad_addresses, "ftp://example.org/", "https://", "https://user:secret@example.org/",
        "https://example.org/#part", "https://example.org:99999/", "https://[::1", "helpdesk.example.org",
    )  # fmt: skip

    @pytest.fixture
    async def rig(self) -> AsyncIterator[WebhookRig]:
        async with receiving() as (receiver, url):
            self.to = url
            rig = WebhookRig(receiver)
            yield rig
            await rig.sink.aclose()

    to = "https://helpdesk.example.org/hook"


async def test_what_one_signpost_sends_another_takes_in():
    """Our own signature is one that our own settings can describe."""
    scheme = {"header": "Signpost-Signature", "prefix": "v1=", "signed": "{timestamp}.{body}",
              "timestamp_header": "Signpost-Timestamp"}  # fmt: skip
    fields = {"message": "/message/text", "email": "/message/sender", "subject": "/message/subject", "id": "/id"}
    clock, intake = FakeClock(), RecordingIntake()
    hook = incoming(authentication="hmac", hmac=scheme, fields=fields, clock=clock, medium="email")
    async with mounted(hook, intake.accept, "/webhooks/hook") as (_, url):
        sink = sink_of()
        await sink.send(sample_forward(to=url))
        await sink.aclose()
    [inbound] = intake.taken.values()
    content = understand(inbound.original, inbound.facts, inbound.medium.value)

    assert inbound.source_key.startswith("<delivery-1@signpost.maplevalley.example>#")
    assert (content.sender, content.subject) == ("ana@example.org", "Bus 12")
    assert content.text.strip() == "The bus was late again."
