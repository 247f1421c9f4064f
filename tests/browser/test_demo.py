"""The demo as a newcomer meets it: from its page into the console, where a fed message is sent on and one is sorted."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from random import Random

import aiohttp
import pytest

from router.demo.feed import feed, samples
from router.demo.people import DOOR
from router.settings import Address
from tests.acceptance.conftest import PATIENCE_S, Installed
from tests.acceptance.daemon import until
from tests.acceptance.fixtures import model_cache  # noqa: F401  pytest finds fixtures by their names here
from tests.browser.chromium import LedAway, chromium
from tests.browser.test_console_sign_in import looked_at

BUS = "Afternoon bus to Birch Lane"


@pytest.fixture
def own_cache(model_cache):  # noqa: F811
    """Where the demo finds its model: it is trained before, if there is none."""
    return model_cache.get("SIGNPOST_CACHE", "")


@dataclass
class Demo:
    """The running demo and a client of it."""

    url: str
    smtp: Address
    client: aiohttp.ClientSession

    async def fed(self):
        """Send it the samples as `--feed` does, without its pauses, and wait until each has been decided and sent."""
        assert await feed(self.url, self.smtp, 0.0, Random(0)) == len(samples())
        under_way = ('signpost_messages{state="undecided"}', 'signpost_deliveries{state="waiting"}')

        async def settled():
            async with self.client.get(f"{self.url}/metrics") as answer:
                figures = dict(line.rsplit(" ", 1) for line in (await answer.text()).splitlines() if line[:1] != "#")
            return not any(float(figures[name]) for name in under_way)

        await until(settled, PATIENCE_S, "the samples are with their departments")


@asynccontextmanager
async def running(folder, port, cache):
    """Run `signpost demo` in a folder until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        smtp_port = probe.getsockname()[1]
    ports = ["--port", str(port), "--smtp-port", str(smtp_port)]
    async with Installed(folder, port, cache).daemon("demo", *ports, ready="Ctrl-C stops the demo") as process:
        assert any(line.endswith(f"http://127.0.0.1:{port}{DOOR}") for line in process.lines)
        async with aiohttp.ClientSession() as client:
            yield Demo(f"http://127.0.0.1:{port}", Address("127.0.0.1", smtp_port), client)


async def click(page, selector, leads_to):
    """Click on the first of these, and wait until all of the page is there that it leads to."""
    await page.run(f"document.querySelector({selector!r}).click()")
    await arrived(page, leads_to)


async def arrived(page, path, query=""):
    """Wait until all of a page is there."""
    there = f"document.readyState === 'complete' && location.pathname.startsWith({path!r}) && "

    async def look():
        with suppress(LedAway):
            return await page.run(f"{there} location.search.startsWith({query!r})")

    await until(look, PATIENCE_S, path)


async def text(page, selector):
    """Return what somebody reads there."""
    return await page.run(f"document.querySelector({selector!r}).innerText")


async def test_a_newcomer_sees_messages_sends_one_on_and_sorts_another(tmp_path, free_port, own_cache):
    """Two clicks from the demo's page to the messages; then one click, and one key."""
    async with running(tmp_path, free_port, own_cache) as demo, chromium(tmp_path / "profile") as browser:
        await demo.fed()
        page = await browser.page()
        await page.open(f"{demo.url}/demo?paused=yes")
        await click(page, 'a[href="/demo/console"]', DOOR)
        await click(page, "button[value=tom]", "/console/inbox")

        async def listed():
            await page.open(f"{demo.url}/console/inbox")
            return BUS in await text(page, "table")

        await until(listed, PATIENCE_S, "the message can be found")
        assert "Locked out" not in await text(page, "table")  # Tom sees Transportation's alone
        await page.run(f"[...document.querySelectorAll('.what a')].find((a) => a.innerText === '{BUS}').click()")
        await arrived(page, "/console/messages/")
        await click(page, "button[name=to][value=safety]", "/console/sent-on/")
        assert "Safety and Security" in await text(page, "main")

        await click(page, "form[action$=sign-out] button", DOOR)
        await click(page, "button[value=grace]", "/console/triage")
        waiting = int((await text(page, ".heading .state")).split()[0])
        assert waiting > 5
        await page.press("1")
        await arrived(page, "/console/triage", "?done=")
        assert await text(page, ".heading .state") == f"{waiting - 1} waiting"
        assert [url for url in page.requests if not url.startswith((demo.url, "data:"))] == []


async def test_the_choice_of_people_is_readable(tmp_path, free_port, own_cache):
    """No serious fault by axe-core, and nothing to scroll sideways for: wide, dark, on a telephone."""
    async with running(tmp_path, free_port, own_cache) as demo, chromium(tmp_path / "profile") as browser:
        for width, dark in ((1200, False), (1200, True), (320, False)):
            page = await browser.page(width=width, dark=dark)
            await page.open(f"{demo.url}/demo/console")
            await looked_at(page, f"demo-console-{width}{'-dark' * dark}")
