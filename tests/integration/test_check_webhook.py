"""`check --connect` with webhooks: the addresses that are posted to are asked by HEAD, and secrets are looked at."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from channels.webhook import CHANNEL
from router.findings import Level
from router.testing_checks import CheckContract, failures, findings

SECRET = "a-secret-that-is-long-enough"
OUT = {"signing_secret_env": "HOOK_KEY"}
IN = {"fields": {"message": "/data/text", "id": "/id"}, "secret_env": "HOOK_SECRET"}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    """Both secrets are there."""
    monkeypatch.setenv("HOOK_KEY", SECRET)
    monkeypatch.setenv("HOOK_SECRET", SECRET)


@pytest.fixture
async def receiver():
    """A receiver whose paths answer with their number, and which counts what is posted."""
    application, asked = web.Application(), []

    async def answer(request):
        asked.append(request.method)
        status = int(request.match_info["status"])
        return web.Response(status=status, headers={"Location": "https://elsewhere.example/"} if status == 302 else {})

    application.router.add_route("*", "/{status}", answer)
    async with TestServer(application) as server:
        server.asked = asked
        yield server


async def check(settings, *urls, **context):
    """Run the check of a channel that delivers to these addresses."""
    return await findings(CHANNEL, settings, name="hook", destinations=urls, **context)


class TestWebhookCheck(CheckContract):
    """The suite, for a channel that takes messages in."""

    channel = CHANNEL
    secret = SECRET

    def good(self, folder):
        return IN | {"authentication": "bearer"}

    def bad(self, folder):
        return IN | {"authentication": "bearer", "secret_env": "", "secret_file": str(folder / "nowhere")}


async def test_a_receiver_that_answers(receiver):
    """It can be reached; it is asked by HEAD, and nothing is posted."""
    found = await check(OUT | {"allow_private": True}, str(receiver.make_url("/204")), str(receiver.make_url("/405")))
    assert [finding.level for finding in found] == [Level.FINE] * 3
    assert found[1].what == "127.0.0.1 can be reached."
    assert receiver.asked == ["HEAD", "HEAD"]


@pytest.mark.parametrize(("path", "said"), [("/404", "the path may be wrong"), ("/500", "it may be out of order")])
async def test_an_answer_that_is_odd(receiver, path, said):
    """404 and 500 are remarked on: some receivers know no HEAD."""
    found = await check(OUT | {"allow_private": True}, str(receiver.make_url(path)))
    assert found[-1].level is Level.REMARK
    assert said in found[-1].what


async def test_a_redirect(receiver):
    """Redirects aren't followed: the address that it leads to is named."""
    (found,) = failures(await check(OUT | {"allow_private": True}, str(receiver.make_url("/302"))))
    assert "leads on to https://elsewhere.example/, and redirects aren't followed." in found.what


async def test_a_private_address(free_port):
    """An address of this machine isn't reached without allow_private, whatever answers there."""
    (found,) = failures(await check(OUT, f"https://localhost:{free_port}/hook"))
    assert found.what.startswith("localhost is in a private network (")
    assert "allow_private" in found.mend


async def test_an_unencrypted_address():
    """Http is refused before anything is asked."""
    (found,) = failures(await check(OUT, "http://hook.example.org/"))
    assert found.what == "http://hook.example.org/ is unencrypted, and nothing is sent there."


async def test_a_host_that_is_not_there():
    """A typing error in the host's name."""
    (found,) = failures(await check(OUT, "https://hook.exampel.invalid/"))
    assert "hook.exampel.invalid" in found.what


async def test_a_receiver_without_tls(receiver):
    """Https to a port that speaks none."""
    url = str(receiver.make_url("/204")).replace("http:", "https:")
    (found,) = failures(await check(OUT | {"allow_private": True}, url))
    assert f"127.0.0.1, port {receiver.port} doesn't speak TLS as it should" in found.what


async def test_nothing_signs(receiver):
    """Without a signing secret every delivery would wait."""
    found = failures(await check({"allow_private": True}, str(receiver.make_url("/204"))))
    assert [finding.what for finding in found] == ["Requests aren't signed."]
    assert "signing_secret_env" in found[0].mend


async def test_what_the_provider_has_to_be_told():
    """For what comes in, the address, the proof and the mapping are said in words."""
    hmac = {"header": "X-Signature", "algorithm": "sha256"}
    found = await check(IN | {"authentication": "hmac", "hmac": hmac})
    assert [finding.what for finding in found] == [
        "The secret in HOOK_SECRET is there.",
        "The provider is to post to https://contact.maplevalley.example/webhooks/hook signed by HMAC-SHA256 in the "
        "header X-Signature; taken are message from /data/text, id from /id.",
    ]


@pytest.mark.parametrize(("secret", "said"), [("short", "is short"), (f"{SECRET} ", "begins or ends with a blank")])
async def test_a_secret_that_looks_wrong(monkeypatch, secret, said):
    """Short secrets can be guessed, and a blank is mostly an accident of copying."""
    monkeypatch.setenv("HOOK_SECRET", secret)
    found = await check(IN | {"authentication": "bearer"})
    assert found[0].level is Level.REMARK
    assert said in found[0].what


async def test_a_secret_that_is_gone(tmp_path):
    """A file that isn't there any more."""
    gone = IN | {"authentication": "bearer", "secret_env": "", "secret_file": str(tmp_path / "no")}
    (found,) = failures(await check(gone))
    assert found.what.startswith("A secret is missing")
