"""Signing in to the console with a password, over HTTP: sessions, throttling, forms of other sites, what is noted."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from aiohttp import web

from router.console import passwords
from router.console.build import add_console
from router.store import access, accounts, sessions
from router.store.scope import Scope
from router.testing import FakeClock
from tests.integration.console import EMAIL, PASSWORD, console_site


@pytest.fixture
def clock():
    """A clock that tests turn by hand."""
    return FakeClock()


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log):
    """A district with local accounts."""
    async with console_site(sqlite_store, tmp_path, free_port, log) as opened:
        yield opened


@pytest.fixture
async def account(site):
    """The number of an account with a password."""
    return await site.account("administrator", password=True)


async def signed_in(browser, password=PASSWORD, **fields):
    """Send the sign-in form."""
    return await browser.post("/console/sign-in", email=EMAIL, password=password, **fields)


async def actions(store):
    """Return what the access log says, oldest first."""
    rows = await store.read(lambda c: access.page(c, 1000))
    return [(row.action, row.account_id) for row in reversed(rows)]


def test_without_a_console_there_are_no_pages():
    """A configuration without that section adds no address."""
    application = web.Application()
    add_console(application, SimpleNamespace(configuration=SimpleNamespace(console=None)))
    assert list(application.router.resources()) == []


async def test_who_is_not_signed_in_is_sent_to_sign_in(site):
    """Every page leads to the sign-in page, and from there back to the page that was asked for."""
    async with site.browser() as browser:
        status, _, answer = await browser.get("/console/users?x=1")
        assert status == 303
        assert answer.headers["Location"] == "/console/sign-in?next=%2Fconsole%2Fusers%3Fx%3D1"
        status, text, _ = await browser.get(answer.headers["Location"])
        assert status == 200
        assert 'name="next" value="/console/users?x=1"' in text


async def test_a_password_lets_in_with_a_new_session(site, account):
    """The right password sets a cookie that scripts and other sites don't get, and leads on."""
    async with site.browser() as browser:
        status, _, answer = await signed_in(browser, next="/console/users")
        assert (status, answer.headers["Location"]) == (303, "/console/users")
        cookie = answer.cookies["signpost-session"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/console")
        status, text, _ = await browser.get("/console/")
        assert status == 200
        assert EMAIL in text
    assert await actions(site.store) == [("sign_in", account)]


async def test_the_store_holds_no_token(site, account):
    """What is kept of a session is a digest: nobody signs in with a copy of the store."""
    async with site.browser() as browser:
        _, _, answer = await signed_in(browser)
    token = answer.cookies["signpost-session"].value
    kept = await site.store.read(lambda c: c.exec_driver_sql("SELECT * FROM sessions").all())
    assert kept
    assert token not in str(kept)


async def test_a_wrong_password_and_an_unknown_address_are_told_alike(site, account):
    """Nobody learns from the answer which addresses have accounts."""
    async with site.browser() as browser:
        wrong = await signed_in(browser, "not the right words")
        unknown = await browser.post("/console/sign-in", email="no@maple.example", password="not the right words")
    assert wrong[0] == unknown[0] == 403
    assert wrong[1].replace(EMAIL, "") == unknown[1].replace("no@maple.example", "")
    assert await actions(site.store) == [("sign_in_failed", account), ("sign_in_failed", None)]


async def test_guessing_has_to_wait(site, account, clock):
    """After five wrong passwords the sixth, right or wrong, waits; once the time is over the right one lets in."""
    async with site.browser() as browser:
        for _ in range(5):
            assert (await signed_in(browser, "a wrong password"))[0] == 403
        status, _, answer = await signed_in(browser)
        assert status == 429
        assert 0 < int(answer.headers["Retry-After"]) <= 16
        clock.advance(timedelta(seconds=16))
        assert (await signed_in(browser))[0] == 303
        assert (await signed_in(browser))[0] == 303


async def test_another_account_at_the_same_address_does_not_wait(site, account):
    """A school is one address: one person's slips keep nobody else out."""
    async with site.browser() as browser:
        for _ in range(6):
            await browser.post("/console/sign-in", email="no@maple.example", password="a wrong password")
        assert (await signed_in(browser))[0] == 303


async def test_nobody_is_kept_out_by_guessing_of_the_browser_that_they_sign_in_with(site, account, clock):
    """Guesses from everywhere, on and on, make the account wait elsewhere; guesses with that browser wait, too."""

    async def guess(times):
        async with site.browser() as other:
            for number in range(times):
                headers = {"X-Forwarded-For": f"203.0.113.{number}"}
                await other.post("/console/sign-in", headers=headers, email=EMAIL, password="a wrong password")
            return (await signed_in(other))[0]

    async with site.browser() as browser:
        _, _, answer = await signed_in(browser)
        known = answer.cookies["signpost-known"]
        assert (known["httponly"], known["samesite"], known["path"]) == (True, "Strict", "/console/sign-in")
        assert EMAIL not in str(known)
        assert await guess(31) == 429
        assert (await signed_in(browser))[0] == 303
        assert await guess(31) == 429
        kim = await site.account(email="kim@maple.example", password=True)
        browser.headers = {"Cookie": f"signpost-known={known.value}"}
        tries = [(await signed_in(browser, "a wrong password"))[0] for _ in range(6)]
        assert tries == [403] * 5 + [429]
        other = {"email": "kim@maple.example", "password": "a wrong password"}
        tries = [(await browser.post("/console/sign-in", **other))[0] for _ in range(6)]
        assert tries == [403] * 5 + [429]  # and nobody else gains anything by it
    async with site.browser() as browser:
        browser.headers = {"Cookie": f"signpost-known={known.value[:-2]}AA"}
        assert (await signed_in(browser))[0] == 429
    assert kim != account


async def test_a_school_that_signs_in_in_the_morning_does_not_wait(site, account, monkeypatch):
    """What succeeds doesn't count against an address that everybody shares."""
    monkeypatch.setitem(passwords.FREE, "address", 3)
    async with site.browser() as browser:
        assert [(await signed_in(browser))[0] for _ in range(5)] == [303] * 5


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}]
)
async def test_a_form_of_another_site_signs_nobody_in(site, account, headers):
    """Another site can't sign a visitor in under an account of its own."""
    async with site.browser() as browser:
        status, _, answer = await browser.post("/console/sign-in", headers=headers, email=EMAIL, password=PASSWORD)
        assert status == 403
        assert not answer.cookies


@pytest.mark.parametrize(
    "where", ["https://evil.example", "//evil.example", "/console//evil", "/m/x", "/console/\\x", "/console/../m"]
)
async def test_nobody_is_led_elsewhere(site, account, where):
    """After signing in one comes to a page of the console, whatever the address said."""
    async with site.browser() as browser:
        _, _, answer = await signed_in(browser, next=where)
        assert answer.headers["Location"] == "/console/"


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "A" * 5000, "../../x", "%00"])
async def test_a_made_up_token_is_nobody(site, account, token):
    """A cookie that no sign-in gave out leads to the sign-in page."""
    async with site.browser(token) as browser:
        assert (await browser.get("/console/"))[0] == 303


async def test_a_token_that_was_there_before_is_not_taken_over(site, account):
    """A session that somebody planted in the browser isn't the one that the sign-in begins."""
    async with site.browser("A" * 43) as browser:
        _, _, answer = await signed_in(browser)
        assert answer.cookies["signpost-session"].value != "A" * 43


async def test_a_new_sign_in_ends_the_session_that_the_browser_had(site, account):
    """Whoever holds a copy of the former cookie, or left it in a shared browser, is signed out; others aren't."""
    kim = await site.account(email="kim@maple.example")
    former, elsewhere = await site.session(kim), await site.session(kim)
    async with site.browser(former) as browser, site.browser(former) as thief, site.browser(elsewhere) as other:
        assert (await thief.get("/console/"))[0] == 200
        assert (await signed_in(browser))[0] == 303
        assert (await thief.get("/console/"))[0] == 303
        assert (await other.get("/console/"))[0] == 200


async def test_a_cookie_of_any_bytes_keeps_nobody_out(site, account):
    """A browser whose cookie was spoilt, or planted, signs in like any other; no page fails for it."""
    host, form = site.url.removeprefix("http://"), urlencode({"email": EMAIL, "password": PASSWORD}).encode()
    head = f"POST /console/sign-in HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {len(form)}\r\n"
    kind = b"Content-Type: application/x-www-form-urlencoded\r\nCookie: signpost-session=\xff\xfe\r\n\r\n"
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(head.encode() + kind + form)
    assert (await reader.read()).startswith(b"HTTP/1.1 303 ")
    writer.close()


async def test_the_proxy_s_word_is_the_last_one(site, account):
    """What a browser says of its own address counts nowhere, also where the proxy adds a header of its own."""
    for said in ("198.51.100.7, 203.0.113.9", ["198.51.100.7", "203.0.113.9"], ["::1", "::ffff:203.0.113.9"]):
        headers = [("X-Forwarded-For", each) for each in ([said] if isinstance(said, str) else said)]
        async with site.browser() as browser:
            form = {"email": EMAIL, "password": PASSWORD}
            assert (await browser.client.post("/console/sign-in", data=form, headers=headers)).status in {200, 303}
        assert (await site.store.read(lambda c: access.page(c, 9, account_id=account)))[-1].address == "203.0.113.9"


async def test_a_look_without_the_page_is_noted(site, account):
    """HEAD tells whether a page is there and how long it is: it stands in the log like the page itself."""
    token = await site.session(account)
    async with site.browser(token) as browser:
        assert (await browser._ask("HEAD", "/console/users"))[0] == 200
        await browser.get(f"/console/users/{account}")
    rows = await site.store.read(lambda c: access.page(c, 9))
    assert [(row.action, row.about) for row in rows] == [("view_user", f"account {account}"), ("users", "")]


async def test_a_session_ends_when_nobody_uses_it_and_in_any_case(site, account, clock):
    """Four hours without a request, or sixteen hours with many, and one signs in again."""
    idle, busy = await site.session(account), await site.session(account)
    async with site.browser(idle) as one, site.browser(busy) as other:
        for _ in range(3):
            clock.advance(timedelta(hours=2))
            assert (await other.get("/console/"))[0] == 200
        assert (await one.get("/console/"))[0] == 303
        clock.advance(timedelta(hours=2))
        assert (await other.get("/console/"))[0] == 303  # the fixture's eight hours


@pytest.mark.parametrize("what", ["disabled", "role", "password", "signed out"])
async def test_what_changes_about_an_account_counts_at_once(site, account, what):
    """Whoever is disabled, or gets another role or password, is signed out by the next request."""
    token, store = await site.session(account), site.store
    changes = {
        "disabled": lambda c: accounts.disable(c, account, store.clock.now()),
        "role": lambda c: accounts.change(c, account, role="viewer", scope=Scope(frozenset({"buses"}))),
        "password": lambda c: accounts.set_password(c, account, "$argon2id$x"),
        "signed out": lambda c: sessions.end_all(c, account),
    }
    async with site.browser(token) as browser:
        assert (await browser.get("/console/users"))[0] == 200
        await store.write(changes[what])
        assert (await browser.get("/console/users"))[0] == 303


async def test_signing_out_ends_the_session_on_the_server(site, account):
    """A copy of the cookie is worth nothing once its owner has signed out."""
    token = await site.session(account)
    async with site.browser(token) as browser, site.browser(token) as thief:
        await browser.get("/console/")
        status, _, _ = await browser.post("/console/sign-out")
        assert status == 303
        assert (await thief.get("/console/"))[0] == 303


async def test_signing_out_is_noted_with_the_session_s_end_or_not_at_all(site, account):
    """It is one commit: the log says of nobody that they are signed out who aren't."""
    refuse = "CREATE TRIGGER no_end BEFORE DELETE ON sessions BEGIN SELECT RAISE(ABORT, 'no'); END"
    await site.store.write(lambda c: c.exec_driver_sql(refuse))
    async with site.browser(await site.session(account)) as browser:
        await browser.get("/console/")
        assert (await browser.post("/console/sign-out"))[0] >= 500
        assert await actions(site.store) == []
        await site.store.write(lambda c: c.exec_driver_sql("DROP TRIGGER no_end"))
        assert (await browser.post("/console/sign-out"))[0] == 303
    assert await actions(site.store) == [("sign_out", account)]


async def test_a_form_without_its_token_changes_nothing(site, account):
    """A form needs the token of the session that it was given out in."""
    other = await site.account(email="kim@maple.example")
    token = await site.session(account)
    async with site.browser(token) as browser:
        await browser.get("/console/users")
        good = browser.csrf
        for csrf in ("", "0" * 64, good[:-1], good.upper()):
            assert (await browser.post(f"/console/users/{other}/disable", csrf=csrf))[0] == 403
        cross = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
        assert (await browser.post(f"/console/users/{other}/disable", csrf=good, headers=cross))[0] == 403
        assert (await site.store.read(lambda c: accounts.get(c, other))).disabled_at is None
        assert (await browser.post(f"/console/users/{other}/disable", csrf=good))[0] == 303
    assert (await site.store.read(lambda c: accounts.get(c, other))).disabled_at is not None


async def test_own_sessions_are_shown_and_ended_one_by_one(site, account):
    """One ends one's own other sessions; another person's isn't there."""
    stranger = await site.account(email="kim@maple.example")
    here, there, theirs = [await site.session(number) for number in (account, account, stranger)]
    async with site.browser(here) as browser, site.browser(there) as other, site.browser(theirs) as alien:
        _, text, _ = await browser.get("/console/sessions")
        assert text.count("/console/sessions/") == 2  # the other one, and all others
        assert (await browser.post("/console/sessions/3/end"))[0] == 404
        assert (await browser.post("/console/sessions/2/end"))[0] == 303
        assert (await other.get("/console/"))[0] == 303
        assert (await alien.get("/console/"))[0] == 200
        assert (await browser.get("/console/"))[0] == 200


async def test_every_page_has_the_headers(site, account):
    """No inline script, no remote resource, no framing, nothing kept, nothing sent on."""
    token = await site.session(account)
    async with site.browser(token) as browser:
        for path in ("/console/", "/console/sign-in?next=", "/console/users"):
            _, _, answer = await browser.get(path)
            if answer.status == 303:
                continue
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] == "same-origin"


async def test_one_session_cannot_ask_for_everything(site, account):
    """Beyond what a person can ask for within a minute a session waits; another of the same address doesn't."""
    busy, calm = await site.session(account), await site.session(account)
    async with site.browser(busy) as browser, site.browser(calm) as other:
        found = [(await browser.get("/console/sessions"))[0] for _ in range(901)]
        assert found == [200] * 900 + [429]
        assert (await other.get("/console/sessions"))[0] == 200
