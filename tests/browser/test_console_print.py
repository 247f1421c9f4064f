"""The console on paper: all that is known of a message, nothing to press, nothing cut off."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from tests.browser.chromium import chromium
from tests.browser.test_console_message import opened, unsure
from tests.contract.figured import fill
from tests.contract.indexed import Indexed
from tests.integration.console import console_site

PICTURES = os.environ.get("SIGNPOST_PICTURES", "")  # a folder, for who wants to look
WIDTH = 640  # what is between the margins of a sheet, in CSS pixels
LINES = 200
PRESSED = "button, input, select, textarea, iframe, nav, .button, kbd"
SEEN = """((kinds) => [...document.querySelectorAll(kinds)].filter(
  (each) => each.checkVisibility() && each.getBoundingClientRect().width > 1))"""
CUT = """[...document.querySelectorAll("main, main *")].filter((each) => {
  const style = getComputedStyle(each), hidden = [style.overflowX, style.overflowY].some((how) => how !== "visible");
  const larger = each.scrollHeight > each.clientHeight + 1 || each.scrollWidth > each.clientWidth + 1;
  return each.checkVisibility() && hidden && larger && style.display !== "inline";
}).map((each) => each.outerHTML.slice(0, 80))"""


@pytest.fixture
async def site(sqlite_store, tmp_path, free_port, log):
    """A district with a past, and a long message that nobody was sure of."""
    await fill(sqlite_store, Random(4), now=datetime.now(UTC))
    async with console_site(sqlite_store, tmp_path, free_port, log) as made:
        made.person = await made.account("administrator")
        made.token = await made.session(made.person)
        made.long = await unsure(made, "k1", subject="Donaudampfschiff" * 9, text="Our bus was late.\n" * LINES)
        indexed = await Indexed(sqlite_store, sqlite_store.clock).begin()
        await indexed.follow()
        yield made


@pytest.mark.parametrize("page_of", ["inbox", "inbox?stands=urgent", "message", "dashboard", "triage"])
async def test_a_page_on_paper(site, tmp_path, page_of):
    """Black on white, as wide as the sheet, without buttons, fields or places to go, and as long as it needs to be."""
    path = f"messages/{site.long}" if page_of == "message" else page_of
    async with chromium(tmp_path / "profile") as browser:
        page = await opened(browser, site, width=WIDTH)
        await page.open(f"{site.url}/console/{path}")
        await page.send("Emulation.setEmulatedMedia", media="print", features=[])
        assert await page.run(f"{SEEN}('{PRESSED}').map((each) => each.outerHTML)") == []
        assert await page.run(CUT) == []
        assert await page.run("document.documentElement.scrollWidth") <= WIDTH
        colours = await page.run(f"{SEEN}('a, .flag, .state').map((each) => getComputedStyle(each).color)")
        assert set(colours) <= {"rgb(0, 0, 0)"}
        if page_of == "message":
            assert (await page.run("document.querySelector('.said').innerText")).count("bus was late") == LINES
            assert "Received as" in await page.run("document.querySelector('.journey').innerText")
        if "?" in page_of:
            assert "status: urgent" in await page.run("document.querySelector('.printed').innerText")
        made = base64.b64decode((await page.send("Page.printToPDF"))["data"])
        assert made.startswith(b"%PDF-")
        if PICTURES:
            name = path.translate(str.maketrans("/?=", "---"))
            (Path(PICTURES) / f"{name}.pdf").write_bytes(made)
