"""Signed requests to other programs: what they hold, what answers mean, and which addresses are never reached (N08)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.test_utils import TestServer

from channels._webhook_out import MAX_ANSWER, WebhookSink, document, is_public
from channels._webhook_settings import WebhookSettings
from router.errors import Permanent, Retryable, Unclear
from router.testing import FakeClock
from router.testing_sinks import SAMPLE_ORIGINAL, sample_alert, sample_context, sample_forward

SECRET = "s3cret"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)


@asynccontextmanager
async def sending(resolver=None, **values):
    """A sink with these settings."""
    settings = {"signing_secret_env": "HOOK_SECRET", "allow_private": True} | values
    context = sample_context(clock=FakeClock())
    sink = WebhookSink(WebhookSettings.model_validate(settings), context, resolver)
    try:
        yield sink
    finally:
        await sink.aclose()


@asynccontextmanager
async def answering(answer):
    """A server whose /hook answers so, and whose /canary counts; yield (address, requests)."""
    requests = []

    async def hook(request):
        requests.append((request.path, dict(request.headers), await request.read()))
        return await answer(request)

    async def canary(request):
        requests.append((request.path, {}, b""))
        return web.Response()

    application = web.Application()
    application.router.add_post("/hook", hook)
    application.router.add_route("*", "/canary", canary)
    async with TestServer(application) as server:
        yield str(server.make_url("/hook")), requests


async def ok(_request):
    return web.json_response({"id": "T-1"})


async def test_a_message_is_signed_and_carries_its_key():
    """HMAC-SHA256 of time and body; whoever has the secret can check it, and the key makes a copy recognisable."""
    async with answering(ok) as (url, requests), sending() as sink:
        assert await sink.send(sample_forward(to=url)) == "T-1"
    [(_, headers, body)] = requests
    signed = headers["Signpost-Timestamp"].encode() + b"." + body

    assert headers["Signpost-Signature"] == "v1=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert headers["Signpost-Timestamp"] == str(int(FakeClock().now().timestamp()))
    assert headers["Idempotency-Key"] == "<delivery-1@signpost.maplevalley.example>"
    assert headers["Content-Type"] == "application/json"


def test_what_a_message_holds():
    """Everything another program needs to work with it; the original only if it is asked for."""
    forward = sample_forward(suggestions=(("safety", "Safety"),))
    sent = json.loads(document(forward))

    assert (sent["type"], sent["message"]["text"]) == ("route", "The bus was late again.\n")
    assert (sent["message"]["sender"], sent["message"]["medium"]) == ("ana@example.org", "email")
    assert (sent["decision"]["department"], sent["decision"]["confidence"]) == ("transportation", 0.93)
    assert sent["decision"]["misroute_url"] == "https://contact.maplevalley.example/m/token-1"
    assert sent["decision"]["suggestions"] == [{"department": "safety", "name": "Safety"}]
    assert "original" not in sent
    assert base64.b64decode(json.loads(document(forward, include_original=True))["original"]) == SAMPLE_ORIGINAL


def test_what_an_alert_holds():
    """Its notice."""
    sent = json.loads(document(sample_alert()))
    assert (sent["type"], sent["notice"]["subject"]) == ("alert", "A delivery was given up")


def test_a_retry_sends_the_same_bytes():
    """However often it was tried, and whatever went wrong before."""
    forward = sample_forward()
    again = replace(forward, delivery=replace(forward.delivery, attempts=7, unclear=1, last_error="no answer"))
    assert document(again) == document(forward)


@pytest.mark.case("N08")
@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Permanent), (404, Permanent), (410, Permanent), (401, Retryable), (408, Retryable), (429, Retryable),
     (500, Retryable), (503, Retryable)],
)  # fmt: skip
async def test_what_statuses_mean(status, kind):
    """Only a refusal of this message is permanent."""

    async def answer(_request):
        return web.Response(status=status, headers={"Retry-After": "120"}, text="The bus was late")

    async with answering(answer) as (url, requests), sending() as sink:
        with pytest.raises(kind) as caught:
            await sink.send(sample_forward(to=url))
    assert len(requests) == 1
    assert str(caught.value) == f"the server answered {status}"
    assert getattr(caught.value, "retry_after", 120) == 120


@pytest.mark.case("N08")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status):
    """Not even to the same server."""

    async def answer(_request):
        return web.Response(status=status, headers={"Location": "/canary"})

    async with answering(answer) as (url, requests), sending() as sink:
        with pytest.raises(Retryable, match="redirect"):
            await sink.send(sample_forward(to=url))
    assert [path for path, _, _ in requests] == ["/hook"]


@pytest.mark.case("N08")
async def test_a_lost_answer_is_unclear():
    """The request had arrived, and the connection died."""

    async def answer(request):
        request.transport.abort()
        return web.Response()

    async with answering(answer) as (url, _), sending() as sink:
        with pytest.raises(Unclear):
            await sink.send(sample_forward(to=url))


@pytest.mark.case("N08")
async def test_an_answer_that_does_not_come_is_unclear():
    """Our own time-out ends the wait."""
    let_go = asyncio.Event()

    async def answer(_request):
        await let_go.wait()
        return web.Response()

    async with answering(answer) as (url, requests), sending(timeout="1s", connect_timeout="1s") as sink:
        with pytest.raises(Unclear):
            await sink.send(sample_forward(to=url))
        let_go.set()
    assert len(requests) == 1


@pytest.mark.case("N08")
async def test_an_answer_without_end_is_cut_off():
    """The status has said yes; of the rest a little is read, however much there is."""
    written = 0
    ended = asyncio.Event()

    async def answer(request):
        nonlocal written
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while written < 1_000_000_000:
                await response.write(b"x" * 65_536)
                written += 65_536
        finally:
            ended.set()
        return response

    async with answering(answer) as (url, _), sending() as sink:
        assert await sink.send(sample_forward(to=url)) == ""
        async with asyncio.timeout(20):
            await ended.wait()
    assert MAX_ANSWER < written < 100_000_000


async def test_an_answer_cut_short_after_yes_counts_as_yes():
    """200, then a reset: it has arrived."""

    async def answer(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        request.transport.abort()
        return response

    async with answering(answer) as (url, _), sending() as sink:
        assert await sink.send(sample_forward(to=url)) == ""


# --- addresses --------------------------------------------------------------------------------------------------------


class Rebinding(AbstractResolver):
    """Names lead where somebody wants them to."""

    def __init__(self, address):
        self._address = address

    async def resolve(self, host, port=0, family=socket.AF_INET):
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        return [{"hostname": host, "host": self._address, "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self):
        """There is nothing to let go of."""


@pytest.mark.case("N08")
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001", "0.0.0.0"],
)  # fmt: skip
async def test_this_machine_is_not_reached(host):
    """In whatever way it is written; a server there sees no connection at all."""
    connections = []

    async def canary(_reader, writer):
        connections.append(1)
        writer.close()

    server = await asyncio.start_server(canary, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, sending(allow_private=False) as sink:
        with pytest.raises((Retryable, Permanent), match=r"private|is no URL"):
            await sink.send(sample_forward(to=f"https://{host}:{port}/hook"))
    assert connections == []


@pytest.mark.case("N08")
@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "172.16.0.1", "169.254.169.254", "::1", "fd00::1", "fe80::1"]
)
async def test_a_name_that_leads_into_a_private_network_is_not_followed(address):
    """What counts is the address that is about to be connected to, not what the name said at some other time."""
    async with sending(Rebinding(address), allow_private=False) as sink:
        with pytest.raises(Retryable, match="private"):
            await sink.send(sample_forward(to="https://helpdesk.example.org/hook"))


@pytest.mark.parametrize(
    ("address", "public"),
    [("93.184.216.34", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
     ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False), ("0.0.0.0", False), ("::", False),
     ("::ffff:10.0.0.1", False), ("64:ff9b::a9fe:a9fe", False), ("2002:7f00:1::", False), ("ff02::1", False),
     ("fec0::1", False),
     ("fe80::1%eth0", False), ("240.0.0.1", False)],
)  # fmt: skip
def test_which_addresses_are_public(address, public):
    """Also those that hide an IPv4 address in an IPv6 one."""
    assert is_public(address) is public


@pytest.mark.case("N08")
async def test_nothing_goes_out_unencrypted_to_strangers():
    """Http is for networks of one's own."""
    async with sending(allow_private=False) as sink:
        with pytest.raises(Permanent, match="unencrypted"):
            await sink.send(sample_forward(to="http://helpdesk.example.org/hook"))


async def test_nothing_goes_out_unsigned():
    """Without a key it waits until there is one."""
    async with answering(ok) as (url, requests), sending(signing_secret_env="") as sink:
        with pytest.raises(Retryable, match="signing_secret_env"):
            await sink.send(sample_forward(to=url))
    assert requests == []


async def test_no_connection_is_no_doubt(free_port):
    """What was never sent is simply tried again; so is a name that can't be found."""
    async with sending() as sink:
        with pytest.raises(Retryable, match="refused"):
            await sink.send(sample_forward(to=f"http://127.0.0.1:{free_port}/hook"))
        with pytest.raises(Retryable, match="host name"):
            await sink.send(sample_forward(to="https://nowhere.invalid/hook"))
