"""The families' page in a real browser: at 320 px and at 400 % zoom, light and dark, without a script, in a frame."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from router.web.server import CONTENT_SECURITY_POLICY
from router.whereabouts import Whereabouts
from tests.browser.chromium import chromium
from tests.unit.channels.family import serving
from tests.unit.channels.test_form_families import NOON, TOPICS

AXE = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"
PICTURES = os.environ.get("SIGNPOST_PICTURES", "")  # a folder, for who wants to look
RULES = """axe.run(document, {resultTypes: ["violations"]}).then(
  (found) => JSON.stringify(found.violations.map((each) => [each.id, each.impact, each.nodes.map((n) => n.target)])))"""
LONG = {"name": "Ein ungewöhnlich langes Thema ohne Ende", "department": "transportation", "answer": "A" * 200}


@asynccontextmanager
async def site(**settings):
    """Serve the page as the daemon does, with its policy; yield it and the address."""

    async def secure(_request, response):
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)

    async with serving(**({"topics": [*TOPICS, LONG]} | settings), prepare=secure) as family:
        family.known["R1"] = Whereabouts(reference="R1", received_at=NOON, decided_at=NOON)
        yield family, str(family.http.make_url("")).rstrip("/")


@pytest.fixture
async def browser(tmp_path):
    """A browser with a profile of its own."""
    async with chromium(tmp_path / "profile") as started:
        yield started


async def faults(page):
    """Return what axe-core finds."""
    if not await asyncio.to_thread(AXE.exists):
        pytest.skip("axe-core isn't installed: npm ci in tests/browser")
    await page.run(await asyncio.to_thread(AXE.read_text) + ";0")
    return json.loads(await page.run(RULES))


async def keep(page, name):
    """Keep a picture where somebody asked for it."""
    if PICTURES:
        await page.picture(Path(PICTURES) / f"families-{name}.png")


async def receipt_of(family, **more):
    """Post a message; return the address of its receipt."""
    return (await family.post(**more)).headers["Location"]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, 1280])
async def test_no_page_has_a_barrier_or_scrolls_sideways(browser, width, dark):
    """The form, a search, faults in the form, a receipt, an unknown reference: in both languages."""
    async with site(colour="#7a1f3d") as (family, url):
        receipt = await receipt_of(family)
        page = await browser.page(width=width, dark=dark)
        for name, path in {
            "form": "/",
            "es": "/?lang=es",
            "found": "/?q=bus",
            "nothing": "/?q=zebra&lang=es",
            "receipt": receipt,
            "unknown": "/forms/contact?receipt=x",
        }.items():
            await page.open(url + path)
            await page.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            await keep(page, f"{name}-{width}{'-dark' if dark else ''}")
            assert await page.run("document.documentElement.scrollWidth <= window.innerWidth"), name
            assert await faults(page) == [], name
        assert not [each for each in page.requests if not each.startswith((url, "data:"))]


async def test_it_is_filled_in_by_keyboard_and_without_a_script(browser):
    """The first stop leads to the form; Enter sends it; what is missing is told; scripts are switched off."""
    async with site() as (family, url):
        page = await browser.page(width=320)
        await page.send("Emulation.setScriptExecutionDisabled", value=True)
        await page.open(f"{url}/")
        await page.press("Tab")
        assert await page.run("document.activeElement.className") == "skip"
        await page.run("document.getElementById('email').focus()")
        await page.send("Input.insertText", text="ana@example.org")
        await enter(page)
        assert await page.run("document.activeElement.id") == "errors"
        assert await page.run("document.getElementById('email').value") == "ana@example.org"
        await page.run("document.getElementById('message').focus()")
        await page.send("Input.insertText", text="The bus was late.")
        await page.run("document.getElementById('email').focus()")
        await enter(page)
        assert "We have your message" in await page.run("document.querySelector('h1').textContent")
        assert await page.run("document.querySelector('[aria-current=step]').textContent.includes('on its way')")
    assert len(family.taken) == 1


async def enter(page):
    """Press Enter, and wait for the page that comes."""
    page.expect()
    await page.send(
        "Input.dispatchKeyEvent", type="keyDown", key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
    )
    await page.loaded()


async def test_on_another_site_it_grows_with_its_content(browser):
    """A small script there puts the page into a frame and gives it its height."""

    async def around(_request):
        text = f'<!doctype html><title>School</title><body><script src="{url}/static/embed.js" data-lang="es"></script>'
        return web.Response(text=text, content_type="text/html")

    school = web.Application()
    school.router.add_get("/", around)
    async with TestServer(school) as server:
        other = f"http://localhost:{server.port}"
        async with site(embed_on=[other]) as (_, url):
            page = await browser.page()
            await page.open(other)
            await page.run("""new Promise((done) => { const look = () =>
                parseFloat(document.querySelector("iframe").style.height) > 300 ? done() : setTimeout(look, 20);
                look() })""")
            address = await page.run("document.querySelector('iframe').src")
            await keep(page, "framed")
    assert address == f"{url}/forms/contact?embed=1&lang=es"


async def test_no_other_site_shows_it(browser):
    """A site that isn't named gets an empty frame."""

    async def around(_request):
        text = f'<!doctype html><title>x</title><iframe src="{url}/forms/contact"></iframe>'
        return web.Response(text=text, content_type="text/html")

    stranger = web.Application()
    stranger.router.add_get("/", around)
    async with TestServer(stranger) as server, site(embed_on=["https://www.maplevalley.example"]) as (_, url):
        page = await browser.page()
        await page.open(f"http://localhost:{server.port}/")
        assert not [each for each in page.requests if each.endswith("families.css")]
