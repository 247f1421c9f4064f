"""The inbox in a real browser: readable at any width, gone through by keys, and told of what comes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from random import Random

import pytest

from tests.browser.chromium import chromium
from tests.browser.test_console_sign_in import looked_at, sign_in, wait_for
from tests.contract.figured import fill
from tests.contract.indexed import Indexed
from tests.integration.console import canary, console_site

PATIENCE_S = 60
SHOWN = """new Promise((done) => {
  const look = () => document.getElementById("news").hidden ? requestAnimationFrame(look) : done(true);
  look();
})"""


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log):
    """A district with a past that can be found."""
    await fill(sqlite_store, Random(4), now=datetime.now(UTC))
    async with console_site(sqlite_store, tmp_path, free_port, log) as opened:
        await opened.account("administrator", password=True)
        opened.indexed = await Indexed(sqlite_store, sqlite_store.clock).begin()
        await opened.indexed.follow()
        yield opened


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (320, False)])
async def test_the_list_is_readable(site, tmp_path, width, dark):
    """No serious fault by axe-core, with and without the filters, and nothing from elsewhere."""
    async with chromium(tmp_path / "profile") as browser:
        page = await browser.page(width=width, dark=dark)
        await sign_in(page, site)
        for name, query in (("inbox", ""), ("inbox-narrowed", "?stands=urgent&q=a"), ("inbox-empty", "?q=nowhere")):
            await page.open(f"{site.url}/console/inbox{query}")
            await looked_at(page, f"{name}-{width}{'-dark' * dark}")
        assert [url for url in page.requests if not url.startswith((site.url, "data:"))] == []  # a date's icon


async def test_keys_go_through_the_list_and_news_appear(site, tmp_path):
    """The key j goes to the first message and to the next, k back; what comes meanwhile is told without a reload."""
    async with chromium(tmp_path / "profile") as browser:
        page = await browser.page()
        await sign_in(page, site)
        await page.open(f"{site.url}/console/inbox")
        places = "[...document.querySelectorAll('.lines .what a')].indexOf(document.activeElement)"
        found = []
        for key in "jjk/":
            await page.press(key)
            found.append(await page.run(places))
        assert found == [0, 1, 0, -1]
        assert await page.run("document.activeElement.id") == "q"
        assert await page.run("document.getElementById('news').hidden")
        await site.message("buses", key="new")
        await site.indexed.follow()
        async with asyncio.timeout(PATIENCE_S):
            await page.run(SHOWN)
        assert "1 new" in await page.run("document.getElementById('news').textContent")
        assert (await page.run("document.title")).startswith("(1) Inbox")
        await page.open(f"{site.url}/console/inbox?q={canary('buses')}")
        assert canary("buses") in await page.run("document.querySelector('.lines .what').textContent")


async def test_who_comes_back_goes_on_where_they_were(site, tmp_path):
    """From the third message back to the list by the browser's own way: the next key goes to the fourth."""
    async with chromium(tmp_path / "profile") as browser:
        page = await browser.page()
        await sign_in(page, site)
        await page.open(f"{site.url}/console/inbox")
        for key in "jjj":
            await page.press(key)
        page.expect()
        await page.run("document.activeElement.click()")
        await page.loaded()
        await wait_for(page, "location.pathname.startsWith('/console/messages/')")
        await page.run("history.back()")
        places = "[...document.querySelectorAll('.lines .what a')].indexOf(document.activeElement)"
        await wait_for(page, f"location.pathname === '/console/inbox' && {places} === 2")
        await page.press("j")
        assert await page.run(places) == 3
