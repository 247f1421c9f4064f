"""What the console makes of strangers' HTML, in a real browser: no script, no request, no way that leads anywhere."""

from __future__ import annotations

from contextlib import suppress
from html import escape

import pytest
from aiohttp import web

from router.console.body import FRAME_POLICY
from router.console.markup import Outlandish, harmless
from tests.acceptance.daemon import free_port
from tests.browser import vectors
from tests.browser.chromium import LedAway, chromium

SCRIPT = "told(document.title)"
# A reader who touches everything, and a page that reads again what it wrote itself.
TOUCH = """(async () => {
  const kinds = ["mouseover", "pointerenter", "focus", "focusin", "error", "load", "toggle", "animationstart", "scroll",
                 "wheel", "auxclick", "contextmenu", "cut", "beforeinput", "loadstart", "resize", "transitionend"];
  for (let again = 0; again < 2; again++) {
    for (const element of document.querySelectorAll("*")) {
      for (const kind of kinds) element.dispatchEvent(new Event(kind));
      if (element.click) element.click();
    }
    document.body.innerHTML = document.body.innerHTML;
  }
  await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
})()"""
SETTLED = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))"


class Trap:
    """A server that shows documents, and one that counts whoever asks it for anything."""

    def __init__(self):
        self.documents, self.hits = {}, []
        self._runners = []

    async def start(self):
        """Listen on two ports, which are two origins."""
        self.url = await self._listen(self._show)
        self.bait = f"{await self._listen(self._hit)}/bait"

    async def _listen(self, answer):
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", answer)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self._runners.append(runner)
        return f"http://127.0.0.1:{port}"

    async def _show(self, request):
        if request.path not in self.documents:
            raise web.HTTPNotFound
        text, policy = self.documents[request.path]
        headers = {"Content-Security-Policy": policy} if policy else {}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _hit(self, request):
        self.hits.append(request.path)
        return web.Response(text="")

    async def stop(self):
        """End both."""
        for runner in self._runners:
            await runner.cleanup()

    def bare(self, path, markup, policy=""):
        """Show this markup in a document of its own, under no policy at all unless one is given."""
        text = f"<!doctype html><meta charset=utf-8><title>{path}</title><body>{markup}"
        self.documents[path] = (text, policy)
        return f"{self.url}{path}"


@pytest.fixture
async def trap():
    made = Trap()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def page(tmp_path):
    async with chromium(tmp_path / "profile") as browser:
        opened = await browser.page()
        await opened.send("Runtime.addBinding", name="told")
        yield opened


def strayed(trap, page):
    """Return what was asked for, or gone to, that isn't ours."""
    ours = (trap.url, "about:", "data:image/", f"{trap.url}/favicon.ico")
    return [url for url in (*page.requests, *page.navigations) if url and not url.startswith(ours)]


async def test_this_browser_falls_for_what_is_shown_as_it_is(trap, page):
    """Unchanged, such mails run scripts, load things and lead away: what the other tests see is no blindness."""
    for number, vector in enumerate(vectors.WORKING):
        url = trap.bare(f"/raw/{number}", vectors.armed(vector, trap.bait, SCRIPT))
        await page.open(url)
        with suppress(LedAway):  # as some of them are to do
            await page.run(SETTLED)
    assert len(page.called) >= 3
    assert trap.hits
    assert strayed(trap, page)


@pytest.mark.case("M10")
async def test_cleaned_markup_does_nothing_even_without_a_policy_or_a_frame(trap, page):
    """Every vector, cleaned, in a page where scripts may run and anything may be loaded: touched, and read anew."""
    assert len(set(vectors.ALL)) >= 120
    for number, vector in enumerate(vectors.ALL):
        try:
            cleaned = harmless(vectors.armed(vector, trap.bait, SCRIPT), {}).html
        except Outlandish:
            continue
        await page.open(trap.bare(f"/cleaned/{number}", cleaned))
        await page.run(TOUCH)
        assert await page.run("document.querySelectorAll('[href], [action], [style*=position]').length") == 0, vector
        assert (page.called, page.dialogs, strayed(trap, page), trap.hits) == ([], [], [], []), vector


async def test_the_frame_holds_even_what_was_not_cleaned(trap, page):
    """Every vector unchanged, in the sandboxed frame under its policy: no script, nothing loaded, nobody led away."""
    outside = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; frame-src 'self'"
    for number, vector in enumerate(vectors.ALL):
        armed = vectors.armed(vector, trap.bait, SCRIPT)
        framed = trap.bare(f"/framed/{number}", armed, FRAME_POLICY)
        frame = f'<iframe sandbox="" src="{escape(framed)}"></iframe>'
        await page.open(trap.bare(f"/outside/{number}", frame, outside))
        await page.run(SETTLED)
        assert (page.called, page.dialogs, trap.hits) == ([], [], []), vector
