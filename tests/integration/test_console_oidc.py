"""Signing in at an OpenID provider, over HTTP, against one that really signs: who is let in, and every way to cheat."""

from __future__ import annotations

import socket
import time
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from aiohttp import web

from router.console import provider as provider_module
from router.store import access, accounts
from router.store.scope import EVERYTHING, Scope
from tests.integration.console import EMAIL, console_site
from tests.integration.fake_provider import CLIENT, fake_provider

GROUPS = [
    {"group": "transport", "role": "staff", "departments": ["buses"], "schools": ["lincoln"]},
    {"group": "it", "role": "administrator"},
]


@pytest.fixture
async def provider():
    """An OpenID provider."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    async with fake_provider(port) as running:
        yield running


def settings(provider, **more):
    """Return a provider's settings."""
    return {
        "name": "Maple ID",
        "issuer": provider.issuer,
        "client_id": CLIENT,
        "client_secret_env": "OIDC_SECRET",
    } | more


@pytest.fixture
def more():
    """Settings of the provider beside the usual ones."""
    return {"groups": GROUPS}


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log, provider, more, monkeypatch):
    """A district whose staff sign in at the provider; `other` is a second one, of the same making."""
    monkeypatch.setenv("OIDC_SECRET", "hush")
    sign_in = {"maple": settings(provider, **more), "other": settings(provider, name="Other ID")}
    async with console_site(sqlite_store, tmp_path, free_port, log, sign_in=sign_in) as opened:
        yield opened


async def begin(browser, **query):
    """Press the button; return where the browser is sent."""
    status, _, answer = await browser.get("/console/sign-in/maple?" + urlencode(query))
    assert status == 303
    return answer.headers["Location"]


async def come_back(browser, query, way="maple"):
    """Come back from the provider."""
    return await browser.get(f"/console/sign-in/{way}/answer?{urlencode(query)}")


async def sign_in(browser, provider, **claims):
    """Sign in; return status, text and answer."""
    return await come_back(browser, provider.approve(await begin(browser), **claims))


async def test_who_was_added_is_let_in_and_known_from_then_on(site, provider):
    """The first sign-in binds the account to who proved its address; later only `sub` counts, not the address."""
    number = await site.account("triage")
    async with site.browser() as browser:
        status, _, answer = await sign_in(browser, provider, email=EMAIL.upper(), email_verified=True, name="Sam")
        assert (status, answer.headers["Location"]) == (303, "/console/")
        assert (await browser.get("/console/"))[0] == 200
    async with site.browser() as browser:
        status, _, _ = await sign_in(browser, provider, email="sam.new@maple.example", email_verified=True)
        assert status == 303
    account = await site.store.read(lambda c: accounts.get(c, number))
    assert (account.subject, account.email, account.role) == ("s-1", "sam.new@maple.example", "triage")


async def test_a_reissued_address_inherits_nothing(site, provider):
    """Somebody else who is given the address later, with a `sub` of their own, is a stranger."""
    await site.account("administrator")
    async with site.browser() as browser:
        assert (await sign_in(browser, provider, email=EMAIL, email_verified=True))[0] == 303
    async with site.browser() as browser:
        status, text, answer = await sign_in(browser, provider, subject="s-2", email=EMAIL, email_verified=True)
        assert status == 403
        assert "nobody has given you access" in text
        assert "signpost-session" not in answer.cookies


@pytest.mark.parametrize("verified", [False, None, "yes", 0])
async def test_an_address_that_is_not_verified_binds_nothing(site, provider, verified):
    """What somebody may have typed in themselves is no proof."""
    await site.account("administrator")
    async with site.browser() as browser:
        assert (await sign_in(browser, provider, email=EMAIL, email_verified=verified))[0] == 403


async def test_a_group_speaks_for_who_is_in_it(site, provider):
    """Role and scope follow the provider's groups at each sign-in, the first line that fits; no group, no entry."""
    async with site.browser() as browser:
        assert (await sign_in(browser, provider, groups=["x", "transport"]))[0] == 303
        account = await site.store.read(lambda c: accounts.at_provider(c, provider.issuer, "s-1"))
        assert (account.role, account.scope) == ("staff", Scope(frozenset({"buses"}), frozenset({"lincoln"})))
        assert (await sign_in(browser, provider, groups=["it"]))[0] == 303
        account = await site.store.read(lambda c: accounts.at_provider(c, provider.issuer, "s-1"))
        assert (account.role, account.scope) == ("administrator", EVERYTHING)
        assert (await sign_in(browser, provider, groups=[]))[0] == 403


async def test_who_is_disabled_stays_out(site, provider):
    """A group doesn't let in again whom an administrator has shut out."""
    async with site.browser() as browser:
        assert (await sign_in(browser, provider, groups=["it"]))[0] == 303
        account = await site.store.read(lambda c: accounts.at_provider(c, provider.issuer, "s-1"))
        await site.store.write(lambda c: accounts.disable(c, account.id, site.store.clock.now()))
        assert (await browser.get("/console/"))[0] == 303
        assert (await sign_in(browser, provider, groups=["it"]))[0] == 403


async def test_one_comes_to_the_page_that_was_asked_for(site, provider):
    """And nowhere else: the address is of the console, or it is left out."""
    async with site.browser() as browser:
        for asked, led in (("/console/users", "/console/users"), ("https://evil.example", "/console/")):
            query = provider.approve(await begin(browser, next=asked), groups=["it"])
            assert (await come_back(browser, query))[2].headers["Location"] == led


async def test_what_is_asked_of_the_provider(site, provider):
    """Code flow with PKCE by S256, state and nonce; the callback is built from the public address alone."""
    async with site.browser() as browser:
        _, _, answer = await browser.get("/console/sign-in/maple", headers={"Host": "evil.example"})
        asked = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}
        cookie = answer.cookies["signpost-attempt"]
    assert asked["redirect_uri"] == f"{site.url}/console/sign-in/maple/answer"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert all(len(asked[name]) >= 32 for name in ("state", "nonce", "code_challenge"))
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/console/sign-in")


NOW = time.time()
LIES = {
    "another issuer": {"claims": {"iss": "https://evil.example"}},
    "no issuer": {"claims": {"iss": None}},
    "for another client": {"claims": {"aud": "another"}},
    "for several, none authorised": {"claims": {"aud": [CLIENT, "another"]}},
    "authorised for another": {"claims": {"azp": "another"}},
    "no audience": {"claims": {"aud": None}},
    "expired": {"claims": {"exp": NOW - 3600}},
    "no expiry": {"claims": {"exp": None}},
    "expiry no number": {"claims": {"exp": "9999999999"}},
    "issued long ago": {"claims": {"iat": NOW - 7200}},
    "issued in the future": {"claims": {"iat": NOW + 3600}},
    "another nonce": {"claims": {"nonce": "x" * 32}},
    "no nonce": {"claims": {"nonce": None}},
    "no subject": {"claims": {"sub": None}},
    "an empty subject": {"claims": {"sub": ""}},
    "a subject that is no text": {"claims": {"sub": 1}},
    "no signature": {"lies": {"alg": "none"}},
    "signed with the public key": {"lies": {"alg": "HS256"}},
    "signed otherwise": {"lies": {"alg": "RS512"}},
    "another key of that name": {"lies": {"key": True}},
    "a key that there isn't": {"lies": {"kid": "nobody"}},
    "no token": {"lies": {"token": lambda: web.json_response({"access_token": "x"})}},
    "a token that is none": {"lies": {"token": lambda: web.json_response({"id_token": "a.b.c"})}},
    "a refusal": {"lies": {"token": lambda: web.json_response({"error": "invalid_grant"}, status=400)}},
    "no JSON": {"lies": {"token": lambda: web.Response(text="<html>")}},
    "a redirect": {"lies": {"token": lambda: web.Response(status=307, headers={"Location": "/keys"})}},
    "a flood": {"lies": {"token": lambda: web.Response(body=b" " * 1_000_000)}},
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_id_token_that_does_not_hold_lets_nobody_in(site, provider, lie):
    """Each fault is refused with a sentence, no session begins, and no account is made."""
    provider.claims, provider.lies = LIES[lie].get("claims", {}), LIES[lie].get("lies", {})
    async with site.browser() as browser:
        status, text, answer = await sign_in(browser, provider, groups=["it"])
        assert status in {403, 503}
        assert 'role="alert"' in text
        assert "signpost-session" not in answer.cookies
    assert await site.store.read(accounts.listing) == []


async def test_the_very_same_token_without_a_lie_lets_in(site, provider):
    """The table of lies above fails for its lies, not for something else."""
    async with site.browser() as browser:
        assert (await sign_in(browser, provider, groups=["it"]))[0] == 303


ANSWERS = {
    "another state": {"state": "x" * 32},
    "no state": {"state": None},
    "an empty state": {"state": ""},
    "another issuer's answer": {"iss": "https://evil.example"},
    "no issuer, where it always says it": {"iss": None},
    "no code": {"code": None},
    "another code": {"code": "code-99"},
    "an error": {"error": "access_denied"},
}


@pytest.mark.parametrize("lie", ANSWERS)
async def test_an_answer_that_does_not_fit_lets_nobody_in(site, provider, lie):
    """State, issuer and code belong to the attempt that this browser began."""
    async with site.browser() as browser:
        right = provider.approve(await begin(browser), groups=["it"])
        wrong = {name: value for name, value in {**right, **ANSWERS[lie]}.items() if value is not None}
        assert (await come_back(browser, wrong))[0] == 403
        assert (await browser.get("/console/"))[0] == 303


async def test_an_answer_to_another_browser_lets_nobody_in(site, provider):
    """A link with somebody's code in it doesn't sign a visitor in under that somebody's account."""
    async with site.browser() as attacker, site.browser() as victim:
        query = provider.approve(await begin(attacker), groups=["it"])
        assert (await come_back(victim, query))[0] == 403
        await begin(victim)
        assert (await come_back(victim, query))[0] == 403


async def test_an_answer_for_another_provider_lets_nobody_in(site, provider):
    """What was begun with one provider can't be ended at the other's address (mix-up)."""
    async with site.browser() as browser:
        query = provider.approve(await begin(browser), groups=["it"])
        assert (await come_back(browser, query, way="other"))[0] == 403


async def test_an_answer_counts_once(site, provider):
    """A copy of the way back is worth nothing: the code is spent, and the browser has forgotten the attempt."""
    async with site.browser() as browser:
        query = provider.approve(await begin(browser), groups=["it"])
        assert (await come_back(browser, query))[0] == 303
        assert (await come_back(browser, query))[0] == 403


async def test_a_forged_attempt_is_nobodys(site, provider):
    """The cookie is signed: nobody chooses a nonce or a verifier for somebody else."""
    async with site.browser() as browser:
        location = await begin(browser)
        forged = {"Cookie": "signpost-attempt=" + "A" * 80}
        browser.client.cookie_jar.clear()
        status, _, _ = await browser.get(
            f"/console/sign-in/maple/answer?{urlencode(provider.approve(location))}", headers=forged
        )
        assert status == 403


@pytest.mark.parametrize("elliptic", [False, True])
async def test_a_provider_may_change_its_keys(site, provider, elliptic, monkeypatch):
    """A key that isn't known is asked for, once, and remembered; a key that there isn't isn't asked for each time."""
    async with site.browser() as browser:
        assert (await sign_in(browser, provider, groups=["it"]))[0] == 303
        assert (await sign_in(browser, provider, groups=["it"]))[0] == 303
        assert provider.fetched.count("keys") == 1
        with monkeypatch.context() as later:
            later.setattr(provider_module, "_SELDOM_S", 0.0)
            provider.new_key("k2", elliptic=elliptic)
            assert (await sign_in(browser, provider, groups=["it"]))[0] == 303
            assert provider.fetched.count("keys") == 2
        provider.lies = {"kid": "nobody"}
        for _ in range(3):
            assert (await sign_in(browser, provider, groups=["it"]))[0] == 403
        assert provider.fetched.count("keys") == 2


DISCOVERIES = {
    "another's": {"issuer": "https://evil.example"},
    "no https": {"token_endpoint": "ftp://x"},
    "a redirect": {"discovery": lambda: web.Response(status=302, headers={"Location": "/keys"})},
    "an error": {"discovery": lambda: web.Response(status=500)},
    "a list": {"discovery": lambda: web.json_response([])},
    "deep": {"discovery": lambda: web.Response(text="[" * 100_000)},
}


@pytest.mark.parametrize("lie", DISCOVERIES)
async def test_a_discovery_that_does_not_hold_is_told(site, provider, lie):
    """Nobody is sent anywhere, and the page says in a sentence that it didn't work."""
    provider.lies = DISCOVERIES[lie]
    async with site.browser() as browser:
        status, text, _ = await browser.get("/console/sign-in/maple")
        assert status in {403, 503}
        assert 'role="alert"' in text


REQUIRED = {"groups": [{"group": "*", "role": "viewer"}], "require": {"hd": ["maple.example"], "tid": ["T1", "t2"]}}


@pytest.mark.parametrize("more", [REQUIRED])
async def test_only_the_districts_own_accounts(site, provider, more):
    """Where claims are required, an account with another value, or with none, is refused."""
    async with site.browser() as browser:
        for claims in ({}, {"hd": "evil.example", "tid": "t1"}, {"hd": "maple.example"}, {"tid": "t1"}):
            assert (await sign_in(browser, provider, **claims))[0] == 403
        assert (await sign_in(browser, provider, hd="Maple.example", tid="t1"))[0] == 303


async def test_what_the_provider_changes_is_noted(site, provider):
    """An account that comes, changes or is refused by the provider's word stands in the log; so does a stranger."""
    at = {"email": EMAIL, "email_verified": True}
    async with site.browser() as browser:
        await sign_in(browser, provider, groups=["transport"], **at)
        await sign_in(browser, provider, groups=["transport"], **at)
        await sign_in(browser, provider, groups=["it"], **at)
        await sign_in(browser, provider, groups=[], **at)
    async with site.browser() as browser:
        await sign_in(browser, provider, sub="s-2", email="lee@maple.example", email_verified=True)
    rows = (await site.store.read(lambda c: access.page(c, 99)))[::-1]
    assert [(row.action, row.detail) for row in rows] == [
        ("user_added", "maple: staff; departments: buses; schools: lincoln"),
        ("sign_in", "maple"),
        ("sign_in", "maple"),
        ("user_changed", "maple: administrator; departments: all; schools: all"),
        ("sign_in", "maple"),
        ("sign_in_refused", "maple"),
        ("sign_in_refused", "maple"),
    ]
    assert [(row.account_id, row.who) for row in rows[-2:]] == [(1, EMAIL), (None, "lee@maple.example")]


async def test_an_account_that_waited_is_bound_by_a_note(site, provider):
    """Who took over an account that was made for an address, and whom the provider calls otherwise later."""
    number = await site.account("triage")
    async with site.browser() as browser:
        await sign_in(browser, provider, email=EMAIL, email_verified=True, name="Sam")
        await sign_in(browser, provider, email="sam.b@maple.example", email_verified=True, name="Sam")
    rows = (await site.store.read(lambda c: access.page(c, 99, about=f"account {number}")))[::-1]
    assert [row.action for row in rows] == ["user_bound", "user_renamed"]


async def test_each_sign_in_is_noted(site, provider):
    """The access log has who came in, and which way."""
    async with site.browser() as browser:
        await sign_in(browser, provider, groups=["it"], email=EMAIL, email_verified=True)
    row = (await site.store.read(lambda c: access.page(c, 1)))[0]
    assert (row.action, row.who, row.detail, row.address) == ("sign_in", EMAIL, "maple", "127.0.0.1")
