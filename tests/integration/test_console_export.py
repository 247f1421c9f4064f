"""The inbox as a table: the same messages as in the list, nothing a spreadsheet would run, and who took it is noted."""

from __future__ import annotations

import asyncio
import csv
import io
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from router.console import export
from router.console.export import defused
from router.console.roles import Role
from router.console.sessions import digest
from router.store import access
from router.store.console_tables import sessions
from router.store.scope import EVERYTHING, Scope
from router.store.tables import messages
from tests.acceptance.daemon import until
from tests.contract.indexed import Indexed
from tests.integration.console import canary, console_site

BUSES = Scope(frozenset({"buses"}))
PATH = "/console/inbox/export"
SUMMER = datetime(2026, 7, 1, 3, 30, tzinfo=UTC)


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log):
    """A district with some messages that are found."""
    async with console_site(sqlite_store, tmp_path, free_port, log) as opened:
        for place in (("buses", ""), ("buses", "lincoln"), ("meals", ""), ("rooms", "")):
            await opened.message(*place)
        opened.indexed = await Indexed(sqlite_store, sqlite_store.clock).begin()
        await opened.indexed.follow()
        yield opened


async def table(site, query="", role="staff", scope=EVERYTHING, email="kim@maple.example"):
    """Return status, answer and rows of a table, each a mapping by the words in its head."""
    token = await site.session(await site.account(role, scope, email))
    async with site.browser(token) as browser:
        status, text, answer = await browser.get(PATH + query)
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""))) if status == 200 else []
    return status, answer, rows, text


async def logged(site):
    """Return what the access log says of tables, oldest first."""
    rows = await site.store.read(lambda c: access.page(c, 50))
    return [(row.action, row.detail) for row in reversed(rows) if "export" in row.action]


async def change(site, **values):
    """Let the newest message say something else."""
    newest = select(messages.c.id).order_by(messages.c.received_at.desc(), messages.c.id.desc()).limit(1)
    id_ = await site.store.read(lambda c: c.execute(newest).scalar_one())
    content = {"sender": "ana@home.example", "text": "", **values.pop("content", {})}
    change_it = update(messages).where(messages.c.id == id_).values(content=content, **values)
    await site.store.write(lambda c: c.execute(change_it))
    return id_


async def test_a_table_holds_what_the_list_shows(site):
    """All that somebody may see, the newest first, as UTF-8 that Excel knows, under a name with the day."""
    status, answer, rows, text = await table(site)
    assert status == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="messages-20')
    assert text.startswith('\ufeff"Reference","Received"')
    assert text.endswith('"\r\n')
    assert text.count("\r\n") == len(rows) + 1 == 5
    by_subject = {row["Subject"]: row for row in rows}
    row = by_subject[canary("buses", "lincoln")]
    assert (row["Department"], row["School"], row["State"]) == ("Buses", "Lincoln Elementary", "routed")
    assert (row["Address"], row["How it was routed"], row["Came as"]) == ("ana@home.example", "by the model", "mail")
    assert [each["Received"] for each in rows] == sorted((each["Received"] for each in rows), reverse=True)


async def test_a_table_ends_where_the_scope_and_the_filters_end(site):
    """Somebody's own departments and what they chose; words, too; and each table is in the log with what was asked."""
    _, _, rows, text = await table(site, scope=BUSES)
    assert {row["Department"] for row in rows} == {"Buses"}
    assert "canary-meals" not in text
    _, _, rows, _ = await table(site, "?department=meals", scope=BUSES, email="lee@maple.example")
    assert len(rows) == 2  # a department that isn't theirs is no choice of theirs
    _, _, rows, _ = await table(site, "?school=lincoln&q=canary", email="jo@maple.example")
    assert [row["Subject"] for row in rows] == [canary("buses", "lincoln")]
    assert await logged(site) == [
        ("export_messages", "all"), ("exported_messages", "2 messages"),
        ("export_messages", "all"), ("exported_messages", "2 messages"),
        ("export_messages", "school=lincoln q=canary"), ("exported_messages", "1 messages"),
    ]  # fmt: skip


@pytest.mark.parametrize("role", Role)
async def test_who_may_take_a_table(site, role):
    """Whoever works with messages; who only looks sees no button, and there is no such page for them."""
    status, _, rows, _ = await table(site, role=role)
    assert (status, len(rows)) == ((404, 0) if role is Role.VIEWER else (200, 4))
    async with site.browser(await site.session(await site.account(role, email="button@maple.example"))) as browser:
        _, text, _ = await browser.get("/console/inbox?department=buses")
    assert ('href="/console/inbox/export?department=buses"' in text) == (role is not Role.VIEWER)


async def test_no_field_is_a_formula(site):
    """What a stranger wrote is text in a spreadsheet, in one line, whatever it begins with."""
    told = {"sender_name": '=HYPERLINK("https://x.example","Ana")', "subject": "+1\r\n=2,3;\u202e@x\x00\t"}
    await change(site, content=told)
    _, _, rows, text = await table(site)
    row = next(each for each in rows if "HYPERLINK" in each["From"])
    assert row["From"] == """'=HYPERLINK("https://x.example","Ana")"""
    assert row["Subject"] == "'+1 =2,3;@x"
    assert "\x00" not in text


@pytest.mark.parametrize(
    ("written", "field"),
    [("=1+1", "'=1+1"), ("+1 555", "'+1 555"), ("-x", "'-x"), ("@a", "'@a"), ("\t=1", "'=1"), ("\rx", "x"),
     ("  =1", "'=1"), ("\u200b=1", "'=1"), ("\uff1d1", "'\uff1d1"), ("a=b", "a=b"), ("", ""), ("'=1", "'=1"),
     ('x","=1', 'x","=1'), ("a\nb", "a b")],
)  # fmt: skip
def test_what_a_field_becomes(written, field):
    """Signs that begin a formula get an apostrophe before them, also behind what isn't seen."""
    assert defused(written) == field


async def test_times_are_the_districts(site):
    """As a clock in the district showed them, with the name of its time."""
    id_ = await change(site, received_at=SUMMER)
    _, _, rows, _ = await table(site)
    row = next(each for each in rows if each["Reference"] == id_)
    assert (row["Received"], row["Time zone"]) == ("2026-06-30 22:30:00", "CDT")


async def test_a_long_table_is_made_of_pages_and_ends_when_the_session_does(site, monkeypatch):
    """No message twice or missing, however few are read at once; and half a table never looks like a whole one."""
    monkeypatch.setattr(export, "ROWS", 3)
    for number in range(7):
        await site.message("office", key=f"more{number}")
    await site.indexed.follow()
    _, _, rows, _ = await table(site)
    assert len({row["Reference"] for row in rows}) == len(rows) == 11

    token = await site.session(await site.account(email="gone@maple.example"))
    over = update(sessions).where(sessions.c.digest == digest(token)).values(ends_at=SUMMER)
    real, pages = export.inbox.page, []

    def page(connection, **asked):
        pages.append(asked["cursor"])
        return real(connection, **asked)

    async def end_after_the_first(console, visit, asked):
        async for lines in pages_of(console, visit, asked):
            yield lines
            await site.store.write(lambda c: c.execute(over))

    pages_of = export._pages
    monkeypatch.setattr(export, "_pages", end_after_the_first)
    monkeypatch.setattr(export.inbox, "page", page)
    async with site.browser(token) as browser:
        with pytest.raises(Exception, match=r"(?i)payload|disconnected|reset|transfer"):
            await browser.get(PATH)
    assert len(pages) == 1
    noted = ("exported_messages", "3 messages, then it broke off")
    await until(lambda: _last_is(site, noted), 30, "the end is noted")


async def test_two_tables_are_made_at_once(site, monkeypatch):
    """Who asks for a third, or for a second of their own, reads when to try again; the two are whole."""
    pages_of, may_go_on = export._pages, asyncio.Event()

    async def wait(console, visit, asked):
        await may_go_on.wait()
        async for lines in pages_of(console, visit, asked):
            yield lines

    monkeypatch.setattr(export, "_pages", wait)
    tokens = [await site.session(await site.account(email=f"{name}@maple.example")) for name in ("ada", "bo", "cy")]
    async with AsyncExitStack() as stack:
        browsers = [await stack.enter_async_context(site.browser(token)) for token in tokens]
        answers = []
        for each in browsers[:2]:
            answers.append(await stack.enter_async_context(each.client.get(PATH, headers=each.headers)))
            assert (await each.get(PATH))[0] == 503
        status, text, _ = await browsers[2].get(PATH)
        assert (status, "try again in a minute" in text) == (503, True)
        may_go_on.set()
        assert [(await answer.read()).count(b"\r\n") for answer in answers] == [5, 5]
        await until(lambda: _answers(browsers[2]), 30, "the third is made")


async def _answers(browser):
    return (await browser.get(PATH))[0] == 200


async def test_who_does_not_read_keeps_nobody_waiting(site, monkeypatch):
    """A table that nobody reads is given up, and that is noted."""
    monkeypatch.setattr(export, "_STALLED_S", 0.2)
    monkeypatch.setattr(export, "_HEAD", tuple("x" * 9_000_000 for _ in range(4)))  # more than buffers take
    token, noted = await site.session(await site.account()), ("exported_messages", "0 messages, then it broke off")
    async with site.browser(token) as browser, browser.client.get(PATH, headers=browser.headers):
        await until(lambda: _last_is(site, noted), 60, "it is given up")


async def _last_is(site, noted):
    return (await logged(site))[-1] == noted
