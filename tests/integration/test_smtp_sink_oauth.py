"""The SMTP sink's sign-in by access token (XOAUTH2), against a real mail server and a token endpoint of our own."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import AuthResult
from pydantic import ValidationError

from channels.smtp import SmtpSettings, SmtpSink
from router.errors import Retryable
from router.testing import FakeClock
from router.testing_sinks import sample_context, sample_forward
from router.testing_smtp import SmtpServer, smtp_server

USER = "router@maplevalley.example"


class TokenServer(SmtpServer):
    """A mail server that lets in whoever brings the token of the moment (Google's and Microsoft's XOAUTH2)."""

    def __init__(self, **fields):
        super().__init__(**fields)
        self.good = "token-1"
        self.tried = []

    async def auth_XOAUTH2(self, server, args):  # noqa: N802 - aiosmtpd finds mechanisms by this name
        """Take the token, or say why not as a challenge, which is answered with an empty line, and then 535."""
        response = base64.b64decode(args[1]).decode()
        self.tried.append(response)
        if response == f"user={USER}\1auth=Bearer {self.good}\1\1":
            return AuthResult(success=True, auth_data=USER)
        await server.challenge_auth(b'{"status":"401","schemes":"Bearer"}')
        return AuthResult(success=False, handled=False, message="535 5.7.3 Authentication unsuccessful")

    async def handle_MAIL(self, server, session, *rest):  # noqa: N802 - aiosmtpd's name
        """Answer MAIL FROM."""
        return await super().handle_MAIL(server, session, *rest) if session.authenticated else "530 5.7.57 sign in"


class Provider:
    """A token endpoint that numbers its tokens, or refuses."""

    def __init__(self):
        self.asked = 0
        self.refuses = False
        self.life_s = 3600

    async def token(self, _request):
        """Answer one request."""
        self.asked += 1
        if self.refuses:
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response({"access_token": f"token-{self.asked}", "expires_in": self.life_s})


@pytest.fixture
async def provider():
    """The token endpoint, at `provider.url`."""
    provider, application = Provider(), web.Application()
    application.router.add_post("/token", provider.token)
    async with TestServer(application) as server:
        provider.url = str(server.make_url("/token"))
        yield provider


@pytest.fixture
async def server():
    """The mail server: nobody sends without signing in."""
    double = TokenServer()
    options = {"auth_require_tls": False, "auth_exclude_mechanism": ["LOGIN", "PLAIN"]}
    async with smtp_server(double=double, **options):
        yield double


@pytest.fixture
def sink_to(server, provider, tmp_path):
    """Return a function that makes a sink which signs in by token."""
    (tmp_path / "secret").write_text("client-secret")

    @asynccontextmanager
    async def make(clock=None, **changes):
        oauth = {"flow": "client_credentials", "token_url": provider.url, "client_id": "app"}
        oauth |= {"client_secret_file": str(tmp_path / "secret")}
        values = {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": USER, "username": USER}
        settings = SmtpSettings.model_validate(values | {"auth": "xoauth2", "oauth": oauth} | changes)
        sink = SmtpSink(settings, sample_context(clock=clock or FakeClock()))
        try:
            yield sink
        finally:
            await sink.aclose()

    return make


async def forget_connections(server):
    """Let the next mail need another connection."""
    server.drop_connections()
    await server.wait_until_alone()


async def test_mail_leaves_by_token(server, provider, sink_to):
    """One token serves several connections, and the mails arrive."""
    async with sink_to() as sink:
        await asyncio.gather(*(sink.send(sample_forward(number)) for number in range(4)))
    assert len(server.mails) == 4
    assert len(server.tried) == server.sessions > 1
    assert provider.asked == 1


async def test_a_withdrawn_token_is_replaced_at_once(server, provider, sink_to):
    """A token that was good for another hour and is refused (535) is replaced, and the same attempt goes through."""
    async with sink_to() as sink:
        await sink.send(sample_forward(1))
        await forget_connections(server)
        server.good = "token-2"
        await sink.send(sample_forward(2))
    assert [mail.sender for mail in server.mails] == [USER, USER]
    assert provider.asked == 2


async def test_a_refused_token_is_retryable(server, provider, sink_to):
    """A fresh token that is refused buries nothing: it is asked for once in an attempt, and the next one asks again."""
    server.good = "another"
    async with sink_to() as sink:
        for asked in (1, 2):
            with pytest.raises(Retryable, match=r"535 5\.7\.3") as caught:
                await sink.send(sample_forward())
            assert provider.asked == asked
            assert "token-" not in str(caught.value)
        server.good = "token-3"
        await sink.send(sample_forward())
    assert len(server.mails) == 1


async def test_a_token_that_is_refused_twice_is_retryable(server, provider, sink_to):
    """The refused token is replaced once in an attempt, not for ever."""
    async with sink_to() as sink:
        await sink.send(sample_forward(1))
        await forget_connections(server)
        server.good = "another"
        with pytest.raises(Retryable, match="535"):
            await sink.send(sample_forward(2))
    assert provider.asked == 2


async def test_the_next_token_is_asked_for_ahead_of_time(server, provider, sink_to):
    """Five minutes before its end a token isn't used for another connection."""
    clock = FakeClock()
    async with sink_to(clock) as sink:
        await sink.send(sample_forward(1))
        await forget_connections(server)
        clock.advance(timedelta(minutes=56))
        server.good = "token-2"
        await sink.send(sample_forward(2))
    assert (provider.asked, len(server.tried)) == (2, 2)


async def test_a_provider_that_refuses_us_delays_mail(server, provider, sink_to):
    """No token, no connection; the reason is the provider's own, and the mail waits."""
    provider.refuses = True
    async with sink_to() as sink:
        with pytest.raises(Retryable, match="token server answered 401 invalid_client"):
            await sink.send(sample_forward())
        assert server.sessions == 0
        provider.refuses = False
        server.good = "token-2"
        await sink.send(sample_forward())
    assert len(server.mails) == 1


async def test_a_server_without_xoauth2_is_retryable(provider, sink_to):
    """The token isn't shown to a server that doesn't know what it is."""
    async with smtp_server() as plain, sink_to(port=plain.port) as sink:
        with pytest.raises(Retryable, match=r"XOAUTH2|AUTH"):
            await sink.send(sample_forward())
        assert plain.mails == []


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"oauth": None}, "oauth"),
        ({"password_env": "SMTP_PASSWORD"}, "password_env"),
        ({"username": ""}, "username"),
        ({"auth": "password"}, "oauth"),
        ({"oauth": {"flow": "client_credentials", "client_id": "a", "tenant": "t"}}, "oauth"),
    ],
)
def test_half_a_sign_in_is_refused(changes, key):
    """Tokens or a password, complete, and never both."""
    oauth = {"flow": "client_credentials", "client_id": "a", "client_secret_env": "X_Y", "tenant": "t"}
    values = {"host": "localhost", "from": USER, "username": USER, "auth": "xoauth2", "oauth": oauth}
    SmtpSettings.model_validate(values)
    with pytest.raises(ValidationError) as caught:
        SmtpSettings.model_validate(values | changes)
    assert key in {str(error["loc"][0]) for error in caught.value.errors()}
