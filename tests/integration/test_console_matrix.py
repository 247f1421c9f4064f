"""Who may see what: every address of the console, for every role, for one's own departments' messages and others'.

The addresses come from the application itself: a new page is in here without anybody adding it.
"""

from __future__ import annotations

import re
from functools import partial

import pytest

from router.console.build import ROUTES
from router.console.roles import Action, Role, Viewer
from router.console.routes import BASE
from router.store import access
from router.store.scope import EVERYTHING, Scope
from tests.contract.indexed import Indexed
from tests.integration.console import canary, console_site

OPEN = {
    f"{BASE}/sign-in",
    f"{BASE}/sign-in/{{provider}}",
    f"{BASE}/sign-in/{{provider}}/answer",
    BASE,
}
OURS = Scope(frozenset({"buses", "office"}), frozenset({"lincoln"}))
VIEWERS = [(role, scope) for role in Role for scope in (OURS, EVERYTHING)]
PARAMETER = re.compile(r"{(\w+)}")
ELSEWHERE = ("meals", "undecided", "another school")


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log):
    """A district with messages inside and outside the viewers' departments and schools."""
    async with console_site(sqlite_store, tmp_path, free_port, log) as opened:
        yield opened


@pytest.fixture
async def things(site):
    """What addresses can name, by where it lies: own, elsewhere, nowhere."""
    places = {
        "own": ("buses", "lincoln"),
        "meals": ("meals", ""),
        "another school": ("buses", "parks"),
        "undecided": (None, ""),
    }
    found = {where: {"message": await site.message(*place)} for where, place in places.items()}
    for where, (department, to) in {"own": ("buses", "office"), "meals": ("meals", "rooms")}.items():
        moved = await site.message(department, key="moved")
        flag = partial(
            site.parts.corrections.flag, message_id=moved, to=to, by="kim", via="command", now=site.store.clock.now()
        )
        found[where]["correction"] = (await site.store.write(flag)).correction_id
    indexed = await Indexed(site.store, site.store.clock).begin()
    await indexed.follow()
    found["nowhere"] = {"message": "0" * 12, "correction": 10**9, "delivery": 10**9, "account": 10**9, "session": 10**9}
    return found


def address(route, things):
    """Return an address with what its parameters name; None where there is nothing of that kind."""
    values = {"number": "1", "version": "none", "account": "1", "session": "1"} | things
    names = PARAMETER.findall(route.path)
    if any(name not in values for name in names):
        return None
    return BASE + PARAMETER.sub(lambda found: str(values[found[1]]), route.path)


async def ask(browser, route, path):
    """Open a page, or send its form without the session's token: a guard that lets it through says 403."""
    if route.post:
        return await browser.post(path, csrf="")
    return await browser.get(path)


def test_every_address_is_in_the_table(site):
    """No page stands outside the guard, but those that lead in."""
    served = {resource.canonical for resource in site.application.router.resources()}
    below = {path for path in served if path == BASE or path.startswith(f"{BASE}/")}
    assert below - OPEN == {BASE + route.path for route in ROUTES}
    assert len(ROUTES) > 10


def test_what_names_a_message_says_whose_it_is():
    """A page about one message, delivery or correction leaves the question who may see it to the guard."""
    for route in ROUTES:
        named = set(PARAMETER.findall(route.path)) & {"message", "delivery", "correction"}
        assert not named or (route.about is not None and {route.about.parameter} == named), route.path


def test_no_page_that_only_shows_changes_anything():
    """What changes something is a POST, and its action isn't one of those that a viewer has for reading."""
    for route in ROUTES:
        if route.post and route.action in {Action.SEE, Action.FIGURES}:
            pytest.fail(f"{route.path} changes something that may be read")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{'POST' if route.post else 'GET'} {route.path}")
async def test_nobody_comes_in_without_signing_in(site, things, route):
    """Whoever isn't signed in learns nothing, not even what there is."""
    async with site.browser() as browser:
        for where in things:
            path = address(route, things[where])
            if path:
                status, text, answer = await ask(browser, route, path)
                assert (status, text) == (303, "")
                assert answer.headers["Location"].startswith("/console/sign-in")


@pytest.mark.parametrize(("role", "scope"), VIEWERS, ids=lambda value: str(value) if isinstance(value, str) else None)
async def test_the_matrix(site, things, role, scope):
    """Each cell: allowed is answered, everything else is the very same 404 as for what doesn't exist."""
    account = await site.account(role, scope)
    viewer = Viewer(account_id=account, email="", name="", role=Role(role), scope=scope)
    token = await site.session(account)
    cells = 0
    async with site.browser(token) as browser:
        _, nothing, _ = await browser.get(f"{BASE}/no-such-page")
        for route in ROUTES:
            for where in things:
                path = address(route, things[where])
                if path is None:
                    continue
                status, text, _ = await ask(browser, route, path)
                cells += 1
                allowed = viewer.may(route.action)
                if route.about:
                    allowed = allowed and where != "nowhere" and (where == "own" or scope == EVERYTHING)
                cell = f"{role} {'all' if scope == EVERYTHING else 'own'} {route.path} {where}: {status}"
                if not allowed:
                    assert (status, text) == (404, nothing), cell
                elif route.post:
                    assert status == 403, cell
                elif where == "own" or not route.about:
                    assert status in {200, 303, 404}, cell
                assert status < 500, cell
    assert cells > 100


@pytest.mark.parametrize("role", Role)
async def test_no_list_shows_what_lies_elsewhere(site, things, role):
    """No page that somebody may open holds a word, an id or an address of what they may not see."""
    token, listed = await site.session(await site.account(role, OURS)), 0
    hidden = [canary("meals"), canary("buses", "parks"), canary("rooms")]
    hidden += [things[where]["message"] for where in ELSEWHERE]
    async with site.browser(token) as browser:
        for route in ROUTES:
            path = None if route.post else address(route, things["own"])
            if path:
                for query in ("", "?q=canary", "?state=all&department=meals&school=parks"):
                    _, text, _ = await browser.get(path + query)
                    assert not [word for word in hidden if word in text], path
                    listed += text.count(canary("buses", "lincoln")) if "inbox" in path else 0
        assert listed >= (2 if Role(role) is Role.VIEWER else 4)  # else nothing was looked through


async def test_whoever_sees_no_department_sees_no_message(site, things):
    """An empty list of departments is none, not all."""
    token = await site.session(await site.account("administrator", Scope(frozenset(), None)))
    async with site.browser(token) as browser:
        for route in ROUTES:
            path = address(route, things["own"])
            if route.about and path:
                assert (await ask(browser, route, path))[0] == 404, path


async def test_whatever_is_seen_of_a_message_is_noted(site, things):
    """Each page that is shown about a message, delivery or correction has its line in the access log, with its id."""
    account = await site.account("administrator")
    shown = 0
    async with site.browser(await site.session(account)) as browser:
        for route in ROUTES:
            path = None if route.post or not route.about else address(route, things["own"])
            if path is None:
                continue
            before = await site.store.read(lambda c: access.page(c, 1))
            status, _, _ = await browser.get(path)
            after = await site.store.read(lambda c: access.page(c, 1))
            if status == 200:
                shown += 1
                assert after != before, path
                assert after[0].account_id == account, path
                assert str(things["own"][route.about.parameter]) in after[0].about, path
    assert shown > 2
