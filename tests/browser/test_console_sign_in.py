"""The console's first pages in a real browser: signed in by the keyboard, at 320 px, light and dark, without faults."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.browser.chromium import chromium
from tests.integration.console import EMAIL, PASSWORD, console_site

AXE = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"
PICTURES = os.environ.get("SIGNPOST_PICTURES", "")  # a folder, for who wants to look
RULES = """axe.run(document, {resultTypes: ["violations"]}).then(
  (found) => JSON.stringify(found.violations.map((each) => [each.id, each.impact, each.nodes.map((n) => n.target)])))"""


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log):
    """A district with an administrator, some colleagues, and a second way in."""
    sign_in = {"maple": {"name": "Maple ID", "issuer": "https://id.maple.example", "client_id": "x"}}

    def coloured(file):
        file["organization"]["colour"] = "#7a1f3d"

    async with console_site(sqlite_store, tmp_path, free_port, log, change=coloured, sign_in=sign_in) as opened:
        await opened.account("administrator", password=True)
        for number, role in enumerate(("viewer", "staff", "triage")):
            await opened.account(role, email=f"colleague.with.a.long.name{number}@maple.example")
        await opened.message("buses", "lincoln")
        yield opened


async def wait_for(page, condition):
    """Wait until something is so in the page."""
    await page.run(
        f"new Promise(done => {{ const look = () => ({condition}) ? done() : setTimeout(look, 20); look() }})"
    )


async def sign_in(page, site):
    """Sign in as a person without a mouse."""
    await page.open(f"{site.url}/console/users")
    await wait_for(page, "document.activeElement.id === 'email'")  # by itself, soon after all of it is there
    await page.send("Input.insertText", text=EMAIL)
    await page.press("Tab")
    await page.send("Input.insertText", text=PASSWORD)
    page.expect()
    await page.send(
        "Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
    )
    await page.loaded()
    await wait_for(page, "location.pathname === '/console/users'")


async def faults(page):
    """Return what axe-core finds that is serious."""
    if not await asyncio.to_thread(AXE.exists):
        pytest.skip("axe-core isn't installed: npm ci in tests/browser")
    await page.run(await asyncio.to_thread(AXE.read_text))
    found = json.loads(await page.run(RULES))
    return [fault for fault in found if fault[1] in {"serious", "critical"}]


async def picture(page, name):
    """Keep a picture, for who wants to look."""
    if PICTURES:
        await page.picture(Path(PICTURES) / f"{name}.png")


async def test_one_signs_in_by_the_keyboard_and_out_again(site, tmp_path):
    """Address, Tab, password, Enter: one is where one wanted to go; nothing was loaded from elsewhere."""
    async with chromium(tmp_path / "profile") as browser:
        page = await browser.page()
        await sign_in(page, site)
        assert [url for url in page.requests if not url.startswith(site.url)] == []
        assert await page.run("document.cookie") == ""  # scripts don't get it
        page.expect()
        await page.run("document.querySelector('form[action$=sign-out] button').click()")
        await page.loaded()
        await wait_for(page, "location.pathname === '/console/sign-in'")


@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (320, False)])
async def test_every_page_is_readable_and_usable(site, tmp_path, width, dark):
    """No serious fault by axe-core, and nothing to scroll sideways for, wide, dark and at 320 px."""
    async with chromium(tmp_path / "profile") as browser:
        page = await browser.page(width=width, dark=dark)
        shown = ["/console/", "/console/users", "/console/users/2", "/console/sessions", "/console/access-log"]
        await page.open(f"{site.url}/console/sign-in")
        await looked_at(page, f"sign-in-{width}{'-dark' * dark}")
        await sign_in(page, site)
        for path in shown:
            await page.open(site.url + path)
            name = path.removeprefix("/console/").replace("/", "-") or "start"
            await looked_at(page, f"{name}-{width}{'-dark' * dark}")


async def looked_at(page, name):
    """Check one page."""
    await picture(page, name)
    assert await page.run("document.documentElement.scrollWidth <= innerWidth"), name
    assert await faults(page) == [], name
