"""The inbox over HTTP: what is listed, what narrows it down, and how a browser hears of more."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack
from datetime import timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, insert, select, update

from router.store import access, corrections, deliveries
from router.store.console_tables import sessions
from router.store.inbox_tables import inbox_follow
from router.store.scope import EVERYTHING, Scope
from router.store.tables import decisions
from tests.contract.indexed import Indexed
from tests.integration.console import canary, console_site

BUSES = Scope(frozenset({"buses"}))
NEWS = re.compile(r'data-after="([^"]*)" data-address="([^"]*)"')
EVENT = re.compile(r"retry: \d+\nid: ([^\n]+)\n")
COUNT = re.compile(r'<span class="state">(\d+) message')


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log):
    """A district with a message for each of three departments, and one of a school."""
    async with console_site(sqlite_store, tmp_path, free_port, log) as opened:
        for place in (("buses", ""), ("buses", "lincoln"), ("meals", ""), ("rooms", "")):
            await opened.message(*place)
        opened.indexed = await Indexed(sqlite_store, sqlite_store.clock).begin()
        await opened.indexed.follow()
        yield opened


async def listed(site, query="", scope=EVERYTHING, email="kim@maple.example"):
    """Return status and text of the inbox, as somebody sees it."""
    token = await site.session(await site.account(scope=scope, email=email))
    async with site.browser(token) as browser:
        status, text, _ = await browser.get(f"/console/inbox{query}")
    return status, text


async def test_the_list_shows_what_somebody_may_see(site):
    """All departments for one, their own for another, each with a link to the message."""
    status, everything = await listed(site)
    assert status == 200
    assert all(canary(*place) in everything for place in (("buses",), ("meals",), ("rooms",), ("buses", "lincoln")))
    assert everything.count('href="/console/messages/') == 4
    _, own = await listed(site, scope=BUSES, email="lee@maple.example")
    assert canary("buses") in own
    assert "canary-meals" not in own
    assert COUNT.search(own)[1] == "2"
    assert 'value="meals"' not in own  # nor is it offered to be chosen


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("?department=buses", 2),
        ("?school=lincoln", 1),
        ("?how=model", 4),
        ("?how=rule", 0),
        ("?stands=held", 0),
        ("?stands=urgent", 0),
        ("?channel=contact", 0),
        ("?q=canary+meals", 1),
        ("?q=ana@home.example", 4),
        ("?q=%22%22%22%27%3B", 0),
        ("?since=2001-01-01&until=2001-01-02", 0),
        ("?since=nonsense&sure=x&department=nowhere&how=x", 4),
    ],
)
async def test_filters_and_words_narrow_the_list(site, query, count):
    """Each field narrows it down; what no field offers leaves it as it is."""
    status, text = await listed(site, query)
    assert status == 200
    assert int(COUNT.search(text)[1]) == count


async def test_nobody_finds_what_they_may_not_see(site):
    """By words, by the department's name, or by a reference."""
    other = await site.message("meals", key="other")
    await site.indexed.follow()
    for number, query in enumerate(("?q=canary+meals", "?department=meals", f"?q={other}")):
        status, text = await listed(site, query, BUSES, f"{number}@maple.example")
        assert status == 200
        assert "canary-meals" not in text


async def test_a_page_that_is_not_one_is_refused(site):
    """With a sentence, and not as our own failure."""
    status, text = await listed(site, "?at=zzz")
    assert status == 400
    assert "begin again" in text


@pytest.mark.parametrize("query", ["?since=0204-01-01", "?since=2300-01-01", "?until=9999-12-31"])
async def test_a_year_that_is_being_typed_is_no_failure(site, query):
    """It leaves the list as it is."""
    status, text = await listed(site, query)
    assert (status, COUNT.search(text)[1]) == (200, "4")


async def test_asking_for_news_uses_no_session(site):
    """A browser does that by itself: a desk that nobody sits at is signed out all the same."""
    account = await site.account()
    token = await site.session(account)
    long_ago = site.store.clock.now() - timedelta(hours=3)
    await site.store.write(lambda c: c.execute(update(sessions).values(seen_at=long_ago)))
    async with site.browser(token) as browser:
        for path, moves in (("/console/inbox/news", False), ("/console/inbox", True)):
            assert (await browser.get(path))[0] == 200
            seen_at = await site.store.read(lambda c: c.execute(select(sessions.c.seen_at)).scalar_one())
            assert (seen_at > long_ago) == moves


async def test_who_got_a_copy_finds_it_may_look_and_comment_and_no_more(site):
    """The message is another department's: they don't send it on."""
    message_id = await site.message("buses", key="two matters")
    also = {"ranking": [["buses", 0.6]], "score": 1.0, "model": "m1", "confidence": 0.6, "also": ["meals"]}
    this = decisions.c.message_id == message_id
    await site.store.write(lambda c: c.execute(update(decisions).where(this).values(prediction=also)))
    await site.indexed.follow()
    token = await site.session(await site.account(scope=Scope(frozenset({"meals"}))))
    async with site.browser(token) as browser:
        _, text, _ = await browser.get("/console/inbox")
        assert (message_id in text, "copy: Meals" in text, COUNT.search(text)[1]) == (True, True, "2")
        assert (await browser.get(f"/console/messages/{message_id}"))[0] == 200
        assert (await browser.post(f"/console/messages/{message_id}/comment", text="Seen."))[0] == 303
        assert (await browser.post(f"/console/messages/{message_id}/send-on", to="rooms"))[0] == 404
        assert (await browser.post(f"/console/messages/{message_id}/ours"))[0] == 404


async def test_a_browser_hears_of_what_came_since(site):
    """As many as came and may be seen, once; who sees another department hears nothing."""
    cases = ((EVERYTHING, "", "data: 2\n"), (BUSES, "", "data: 1\n"), (Scope(frozenset({"office"})), "", ""))
    cases += ((EVERYTHING, "?department=meals", "data: 1\n"), (EVERYTHING, "?how=rule", ""))
    async with AsyncExitStack() as stack:
        watching = []
        for number, (scope, query, _) in enumerate(cases):
            token = await site.session(await site.account(scope=scope, email=f"{number}@maple.example"))
            browser = await stack.enter_async_context(site.browser(token))
            _, text, _ = await browser.get(f"/console/inbox{query}")
            watching.append((browser, *NEWS.search(text).groups()))
        await site.message("buses", key="new")
        await site.message("meals", key="new")
        await site.indexed.follow()
        for (browser, after, address), (_, _, data) in zip(watching, cases, strict=True):
            status, text, answer = await browser.get(f"{unescape(address)}&after={after}")
            assert status == 200
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            assert EVENT.sub("", text) == f"{data}\n"
            last = EVENT.search(text)[1]
            _, again, _ = await browser.get(f"/console/inbox/news?after={after}", headers={"Last-Event-ID": last})
            assert "data" not in again


async def test_news_tell_nobody_how_much_others_are_written_to(site):
    """What the browser keeps of the whole district's number is sealed: another each time, not to be read or made."""
    token = await site.session(await site.account(scope=BUSES))
    async with site.browser(token) as browser:
        seals = [NEWS.search((await browser.get("/console/inbox"))[1])[1] for _ in range(2)]
        assert len({*seals}) == 2
        assert len({len(seal) for seal in seals}) == 1
        for made_up in ("5", "0", seals[0][:-4] + "AAAA", "x" * 5000, ""):
            status, text, _ = await browser.get(f"/console/inbox/news?after={made_up}")
            assert (status, "data" in text) == (200, False)
        _, text, _ = await browser.get("/console/inbox?q=canary")
        assert NEWS.search(text)[1] == ""  # of what is looked for by words nothing is told


async def test_it_is_said_what_is_not_listed_yet(site):
    """As long as older messages aren't found, the page says so, and from which day on they are; then no more."""
    note = "isn’t listed yet"
    assert note not in (await listed(site))[1]
    noted = insert(inbox_follow).values(name="earlier", value=3)
    await site.store.write(lambda c: [c.execute(delete(inbox_follow)), c.execute(noted)])
    decided_at = await site.store.read(lambda c: c.execute(select(decisions.c.decided_at).limit(1)).scalar_one())
    day = f"{decided_at.astimezone(ZoneInfo('America/Chicago')):%d %b %Y}"
    assert f"What came before {day} {note}" in (await listed(site, email="lee@maple.example"))[1]


# --- "This is ours" ---------------------------------------------------------------------------------------------------


async def test_this_is_ours(site):
    """Who belongs to the department that got it confirms with one button, in the access log; nobody else may."""
    message_id = await site.message("buses", key="sent on")
    now, flag = site.store.clock.now(), site.parts.corrections.flag
    [delivery] = await site.store.read(lambda c: deliveries.of_message(c, message_id))
    moved = await site.store.write(
        lambda c: flag(c, message_id, "meals", by="link", via="link", now=now, delivery=delivery)
    )
    one = f"/console/messages/{message_id}"
    people = (("staff", "buses", 404), ("viewer", "meals", 404), ("staff", "meals", 303))
    for number, (role, department, status) in enumerate(people):
        scope = Scope(frozenset({department}))
        token = await site.session(await site.account(role, scope, email=f"{number}@maple.example"))
        async with site.browser(token) as browser:
            _, page, _ = await browser.get(one)
            assert ("This is ours" in page) == (status == 303)
            hidden = dict(re.findall(r'name="(decision|state)" value="(\w+)"', page))
            assert (await browser.post(f"{one}/ours", csrf="forged", **hidden))[0] == (403 if status == 303 else 404)
            assert (await browser.get(f"{one}/ours"))[0] in {404, 405}
            assert (await browser.post(f"{one}/ours", **hidden))[0] == status
            if status == 303:
                assert "This is ours" not in (await browser.get(one))[1]
    said = await site.store.read(lambda c: corrections.get(c, moved.correction_id))
    assert (said.state.value, said.confirmed_by, said.confirmed_via) == ("confirmed", "2@maple.example", "console")
    entries = await site.store.read(lambda c: access.page(c, 20, about=f"message {message_id}"))
    assert [entry.who for entry in entries if entry.action == "ours"] == ["2@maple.example"]
