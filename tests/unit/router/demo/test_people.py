"""The demo's way into the console: whom it lets in, as what, and whom not."""

from __future__ import annotations

from datetime import timedelta

import pytest

from router.commands import Commands
from router.console.sessions import Sessions
from router.demo.people import DOOR, PEOPLE, People
from router.learning.corrections import Corrections
from router.store import access, accounts
from router.user_commands import UserCommands
from router.web.pages import Pages
from tests.integration.console import console_site
from tests.unit.router.district import ALERTS, DESKS
from tests.unit.router.web.site import PUBLIC_URL, serving

SIGN_IN = "/console/sign-in"


def people(store):
    """Return the people of a demo whose store this is."""
    commands = Commands(store, Corrections(DESKS, ALERTS))
    UserCommands(store, {"transportation"}, set()).offer(commands)
    return People(
        commands=commands,
        store=store,
        sessions=Sessions(store, "http://127.0.0.1", idle=timedelta(hours=4), longest=timedelta(hours=16)),
        pages=Pages("A District"),
        public_url=PUBLIC_URL,
        common={"text_line": "/webhooks/text-line"},
    )


@pytest.fixture
async def client(sqlite_store):
    """The web application with the demo's people."""
    async with serving(sqlite_store, mounts=[people(sqlite_store).mount]) as opened:
        yield opened


async def enter(client, person, **headers):
    """Choose somebody; return the answer, following no redirect."""
    return await client.post(DOOR, data={"person": person}, headers=headers, allow_redirects=False)


async def test_everybody_has_the_account_that_the_page_says(client, sqlite_store):
    """Made at the first start; none has a password, and each is let in to their own first page."""
    found = {account.email: account for account in await sqlite_store.read(accounts.listing)}
    page = await (await client.get(DOOR)).text()
    assert len(found) == len(PEOPLE)
    for person in PEOPLE:
        account = found[person.email]
        assert (account.role, account.name, account.has_password) == (person.role, person.name, False)
        assert sorted(account.scope.departments or ()) == sorted(person.departments)
        assert person.name in page
        answer = await enter(client, person.id)
        assert (answer.status, answer.headers["Location"]) == (303, f"/console{person.first}")
        assert "HttpOnly" in answer.headers["Set-Cookie"]
    assert {person.role for person in PEOPLE} == {"viewer", "staff", "triage", "administrator"}
    noted = [row.who for row in await sqlite_store.read(lambda c: access.page(c, 50)) if row.action == "sign_in"]
    assert noted == [person.email for person in reversed(PEOPLE)]


async def test_a_second_start_finds_them(sqlite_store):
    """Whoever is there already isn't added again."""
    for _ in range(2):
        async with serving(sqlite_store, mounts=[people(sqlite_store).mount]):
            pass
    assert len(await sqlite_store.read(accounts.listing)) == len(PEOPLE)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "rebound.example:8080"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_strangers_are_not_let_in(client, sqlite_store, headers):
    """Neither from another machine nor by another site's form; no session begins."""
    answer = await enter(client, "ada", **headers)
    assert answer.status == 403
    assert "Set-Cookie" not in answer.headers
    assert not [row for row in await sqlite_store.read(lambda c: access.page(c, 50)) if row.action == "sign_in"]


async def test_nobody_else_is_let_in(client, sqlite_store):
    """Nor is somebody whom an administrator of the demo has disabled."""
    assert (await enter(client, "chad")).status == 404
    [tom] = [each for each in await sqlite_store.read(accounts.listing) if each.email.startswith("tom@")]
    await sqlite_store.write(lambda c: accounts.disable(c, tom.id, sqlite_store.clock.now()))
    assert (await enter(client, "tom")).status == 409


async def test_who_has_to_sign_in_is_led_to_the_people(client):
    """The page that asks for a password is shown to those alone who ask for it."""
    answer = await client.get(f"{SIGN_IN}?next=/console/inbox", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (303, DOOR)
    assert (await client.get(f"{SIGN_IN}?password=yes")).status == 404  # this application has no such page


async def test_a_district_has_no_such_door(sqlite_store, tmp_path, free_port, log):
    """A daemon that isn't the demo knows neither the page nor its form, with local accounts too."""
    async with console_site(sqlite_store, tmp_path, free_port, log) as site, site.browser() as browser:
        for method in ("get", "post"):
            async with getattr(browser.client, method)(DOOR) as answer:
                assert answer.status == 404
        async with browser.client.get(SIGN_IN) as answer:
            assert answer.status == 200
