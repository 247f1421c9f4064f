"""Sign-in by access token (XOAUTH2), against Dovecot with a token endpoint of our own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from channels.imap import ImapSettings, ImapSource
from router.errors import SourceRejected
from router.testing import FakeClock, RecordingIntake, until
from router.testing_sinks import sample_context
from tests.integration.dovecot import TOKEN, USER, Dovecot
from tests.unit.channels.imap_reading import ended, mail, reading


@pytest.fixture(scope="module")
def dovecot():
    with Dovecot.make() as server:
        yield server


class Provider:
    """Hands out the tokens it is given, in order; the last one again and again."""

    def __init__(self):
        self.tokens = [TOKEN]
        self.asked = 0

    async def token(self, _request):
        self.asked += 1
        token = self.tokens.pop(0) if len(self.tokens) > 1 else self.tokens[0]
        if token is None:
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response({"access_token": token, "expires_in": 3600})


@pytest.fixture
async def provider():
    provider, application = Provider(), web.Application()
    application.router.add_post("/token", provider.token)
    async with TestServer(application) as server:
        provider.url = str(server.make_url("/token"))
        yield provider


@pytest.fixture
def make(dovecot, provider, tmp_path):
    """Build a source that signs in by token."""
    (tmp_path / "secret").write_text("client-secret")

    def build(context=None):
        oauth = {"flow": "client_credentials", "token_url": provider.url, "client_id": "app"}
        oauth |= {"client_secret_file": str(tmp_path / "secret")}
        values = {"host": "127.0.0.1", "port": dovecot.port, "tls": "none", "username": USER, "start": "all"}
        settings = ImapSettings.model_validate(values | {"auth": "xoauth2", "oauth": oauth, "idle": "50ms"})
        return ImapSource(settings, context or sample_context(name="inbox"))

    return build


async def test_mail_comes_in_by_token(dovecot, make):
    """A good token opens the mailbox."""
    dovecot.deliver(mail(1))
    intake = RecordingIntake()
    async with reading(make(), intake):
        await until(lambda: intake.taken)


@pytest.mark.case("N07")
async def test_a_refused_token_is_told_with_its_reason(make, provider):
    """The server's explanation is answered with an empty line, so that its refusal comes (aioimaplib hangs)."""
    provider.tokens = ["bad"]
    error = await ended(make(), RecordingIntake())
    assert isinstance(error, SourceRejected)
    assert "401" in str(error) or "invalid" in str(error)
    assert provider.asked == 1


def restart(server, token):
    """Let another token in and the present one no longer."""
    server.kill()
    server.honour(token)
    server.start()


@pytest.mark.case("N07")
async def test_a_withdrawn_token_is_replaced_at_once(dovecot, make, provider):
    """A token that was good for another hour and is refused is replaced by a new one on the same connection."""
    proofs = []
    source = make(sample_context(name="inbox", on_proof=lambda: proofs.append(1)))
    async with reading(source, RecordingIntake()):
        await until(lambda: proofs)
    provider.tokens = ["another-good-token"]
    restart(dovecot, "another-good-token")
    proofs.clear()
    async with reading(source, RecordingIntake()):
        await until(lambda: proofs)
    restart(dovecot, TOKEN)
    assert provider.asked == 2


async def test_the_next_token_is_asked_for_while_the_present_one_is_good(make, provider):
    """Between sweeps the token is renewed ahead of its end; a refusal then reaches a person before mail stops."""
    clock, proofs = FakeClock(), []
    context = sample_context(name="inbox", clock=clock, on_proof=lambda: proofs.append(1))
    source = make(context)
    async with reading(source, RecordingIntake()):
        await until(lambda: proofs)
        clock.advance(timedelta(minutes=56))
        await until(lambda: provider.asked == 2)
    provider.tokens = [None]
    clock.advance(timedelta(hours=2))
    assert isinstance(await ended(source, RecordingIntake()), SourceRejected)
