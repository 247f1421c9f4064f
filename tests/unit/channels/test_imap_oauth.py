"""Access tokens: asked for ahead of time, in three ways, and a refusal by the provider is for a person."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from datetime import timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import ValidationError

from channels import _rs256
from channels._oauth import OAuthSettings, Tokens
from router.errors import SourceRejected, SourceUnavailable, StoreBusy
from router.interfaces import MemoryCursor
from router.testing import FakeClock

USER = "contact@maplevalley.example"


class Provider:
    """A token endpoint that answers what it is told, and keeps what it was asked."""

    def __init__(self):
        self.asked = []
        self.answers = []
        self.url = ""

    async def token(self, request):
        self.asked.append(dict(await request.post()))
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, web.Response):
            return answer
        return web.json_response({"access_token": f"token-{len(self.asked)}", "expires_in": 3600} | answer)


@pytest.fixture
async def provider():
    provider, application = Provider(), web.Application()
    application.router.add_post("/token", provider.token)
    async with TestServer(application) as server:
        provider.url = str(server.make_url("/token"))
        yield provider


@pytest.fixture
def secrets(tmp_path):
    """Files with a client secret and a refresh token."""
    (tmp_path / "client").write_text("client-secret\n")
    (tmp_path / "refresh").write_text("refresh-0\n")
    return tmp_path


def tokens_of(provider, secrets, clock, cursor=None, **changes):
    values = {"flow": "client_credentials", "token_url": provider.url, "client_id": "app"}
    values |= {"client_secret_file": str(secrets / "client")} | changes
    settings = OAuthSettings.model_validate(values)
    return Tokens(settings, USER, clock=clock, cursor=cursor or MemoryCursor(), base_dir=secrets)


async def test_client_credentials(provider, secrets):
    """Microsoft 365: the application's id and secret for a token, which is renewed five minutes ahead of its end."""
    clock = FakeClock()
    tokens = tokens_of(provider, secrets, clock)
    assert [await tokens.current(), await tokens.current()] == ["token-1", "token-1"]
    assert tokens.expires_at == clock.now() + timedelta(hours=1)
    clock.advance(timedelta(minutes=54))
    assert await tokens.current() == "token-1"
    clock.advance(timedelta(minutes=2))
    assert await tokens.current() == "token-2"
    assert provider.asked[0] == {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": "client-secret",
        "scope": "https://outlook.office365.com/.default",
    }


async def test_a_forgotten_token_is_asked_for_again(provider, secrets):
    """After a refusal by the mailbox the next token is a new one."""
    tokens = tokens_of(provider, secrets, FakeClock())
    await tokens.current()
    tokens.forget()
    assert await tokens.current() == "token-2"


async def test_a_changed_refresh_token_is_kept_and_a_new_one_of_ours_wins(provider, secrets):
    """A provider's newer refresh token outlives restarts (Zammad #3411), until a person puts another in its place."""
    cursor, clock = MemoryCursor(), FakeClock()
    provider.answers = [{"refresh_token": "refresh-1"}, {"refresh_token": "refresh-2"}, {}, {}]
    flow = {"flow": "refresh_token", "refresh_token_file": str(secrets / "refresh"), "client_secret_file": ""}
    for _ in range(3):  # each a restart
        await tokens_of(provider, secrets, clock, cursor, **flow).current()
    (secrets / "refresh").write_text("consented-again")
    await tokens_of(provider, secrets, clock, cursor, **flow).current()
    used = [form["refresh_token"] for form in provider.asked]
    assert used == ["refresh-0", "refresh-1", "refresh-2", "consented-again"]
    assert "client_secret" not in provider.asked[0]


async def test_a_refresh_token_that_cannot_be_kept(provider, secrets):
    """While the store is busy nothing is pretended: it is tried again while the old one is good."""

    class Busy(MemoryCursor):
        async def set(self, value):
            raise StoreBusy("busy")

    provider.answers = [{"refresh_token": "refresh-1"}]
    flow = {"flow": "refresh_token", "refresh_token_file": str(secrets / "refresh")}
    with pytest.raises(SourceUnavailable, match="busy"):
        await tokens_of(provider, secrets, FakeClock(), Busy(), **flow).current()


@pytest.fixture(params=["PKCS8", "PKCS1"])
def key_file(request, secrets):
    """A service account's key file, with the private key in either of its two forms."""
    arguments = ["openssl", "genrsa", *(["-traditional"] if request.param == "PKCS1" else []), "2048"]
    pem = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    public = subprocess.run(["openssl", "rsa", "-pubout"], input=pem, check=True, capture_output=True, text=True)
    (secrets / "public.pem").write_text(public.stdout)
    key = {"client_email": "router@project.example", "private_key": pem, "private_key_id": "k1"}
    (secrets / "key.json").write_text(json.dumps(key))
    return secrets / "key.json"


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


async def test_a_service_account_signs_for_the_mailbox(provider, secrets, key_file):
    """Google: the statement names account, mailbox and scope, and its signature holds as OpenSSL sees it."""
    clock = FakeClock()
    flow = {"flow": "service_account", "key_file": key_file.name, "client_id": "", "client_secret_file": ""}
    await tokens_of(provider, secrets, clock, **flow).current()
    form = provider.asked[0]
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    header, claims, signature = form["assertion"].split(".")
    now = int(clock.now().timestamp())
    assert json.loads(decoded(header)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert json.loads(decoded(claims)) == {
        "iss": "router@project.example",
        "sub": USER,
        "scope": "https://mail.google.com/",
        "aud": provider.url,
        "iat": now,
        "exp": now + 3600,
    }
    (secrets / "signature").write_bytes(decoded(signature))
    check = ["openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature"]
    options = {"cwd": secrets, "input": f"{header}.{claims}".encode(), "capture_output": True, "check": False}
    done = await asyncio.to_thread(subprocess.run, check, **options)
    assert done.stdout == b"Verified OK\n"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"client_email": "a"}', None])
async def test_a_bad_key_file_is_for_a_person(provider, secrets, content):
    """A key file that is missing or is something else is a sentence; it never shows what is in it."""
    if content is not None:
        (secrets / "key.json").write_text(content)
    flow = {"flow": "service_account", "key_file": "key.json", "client_id": "", "client_secret_file": ""}
    with pytest.raises(SourceRejected, match="key file"):
        await tokens_of(provider, secrets, FakeClock(), **flow).current()
    assert provider.asked == []


@pytest.mark.parametrize("damage", ["", "MII", "A" * 64, "MIIB" + "/" * 400])
def test_a_damaged_key_is_refused_without_showing_it(damage):
    """What isn't an RSA key is a ValueError whose text and cause hold nothing of it."""
    with pytest.raises(ValueError, match="private key") as refused:
        _rs256.read_key(f"-----BEGIN PRIVATE KEY-----\n{damage}\n-----END PRIVATE KEY-----\n")
    assert refused.value.__cause__ is None
    assert not damage or damage not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (
            {"status": 401, "text": '{"error": "invalid_client", "error_description": "AADSTS7000222: expired."}'},
            SourceRejected,
            "AADSTS7000222",
        ),
        ({"status": 400, "text": '{"error": "invalid_grant"}'}, SourceRejected, "invalid_grant"),
        ({"status": 400, "text": '{"error": "temporarily_unavailable"}'}, SourceUnavailable, "temporarily"),
        ({"status": 429, "text": "slow down"}, SourceUnavailable, "429"),
        ({"status": 503}, SourceUnavailable, "503"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:1/"}}, SourceUnavailable, "302"),
        ({"status": 200, "text": "<html>"}, SourceUnavailable, "no token"),
    ],
)
async def test_what_the_provider_may_say(provider, secrets, answer, kind, words):
    """A refusal is for a person, with the provider's reason; anything else passes; redirects aren't followed."""
    provider.answers = [web.Response(**answer)]
    tokens = tokens_of(provider, secrets, FakeClock())
    with pytest.raises(kind, match=words):
        await tokens.current()
    assert await tokens.current() == "token-2"


async def test_a_provider_out_of_reach(secrets, free_port):
    """No answer is no refusal."""
    provider = Provider()
    provider.url = f"http://127.0.0.1:{free_port}/token"
    with pytest.raises(SourceUnavailable, match="can't be reached"):
        await tokens_of(provider, secrets, FakeClock()).current()


@pytest.mark.parametrize(
    "values",
    [
        {"flow": "client_credentials", "client_id": "a", "tenant": "t"},
        {"flow": "client_credentials", "client_id": "a", "client_secret_env": "X_Y"},
        {"flow": "service_account"},
        {"flow": "refresh_token", "refresh_token_env": "X_Y", "tenant": "t"},
        {"flow": "service_account", "key_file": "k", "token_url": "http://example.org/token"},
    ],
)
def test_settings_that_cannot_work_are_refused(values):
    """Each flow says what it needs, and a token is never sent in the clear."""
    with pytest.raises(ValidationError, match=r"is missing|https"):
        OAuthSettings.model_validate(values)


def test_the_usual_addresses_follow_from_the_settings():
    """Microsoft's from the tenant, Google's by itself."""
    microsoft = {"flow": "client_credentials", "client_id": "a", "client_secret_env": "X_Y", "tenant": "maple.example"}
    assert OAuthSettings.model_validate(microsoft).url.endswith("/maple.example/oauth2/v2.0/token")
    google = {"flow": "service_account", "key_file": "key.json"}
    assert OAuthSettings.model_validate(google).url == "https://oauth2.googleapis.com/token"
