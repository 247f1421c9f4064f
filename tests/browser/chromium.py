"""A headless Chromium, spoken to over the DevTools protocol: pages, pictures of them, and what they tried to load."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import signal
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from tests.acceptance.daemon import until

START_S = 90  # on a machine that does much else
PATIENCE_S = 60


class LedAway(Exception):
    """The page in which a script ran is gone: something led to another one."""


class Chromium:
    """One browser with its connection; `async with chromium(folder)` makes and ends it."""

    def __init__(self, socket):
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers = {}
        self.pages = {}
        self._reading = asyncio.get_running_loop().create_task(self._read())

    async def _read(self):
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                answer = self._answers.pop(said["id"], None)
                if answer and not answer.done():
                    answer.set_result(said)
            elif page := self.pages.get(said.get("sessionId")):
                page.hear(said["method"], said.get("params", {}))

    async def send(self, method, session=None, **params):
        """Send one command and return its result."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params} | _session(session))
        async with asyncio.timeout(PATIENCE_S):
            answer = await self._answers[number]
        if "navigated" in answer.get("error", {}).get("message", ""):
            raise LedAway
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    async def page(self, *, width=1200, height=900, dark=False):
        """Open an empty page in a profile of its own, so that it shares no cookie with another."""
        context = (await self.send("Target.createBrowserContext"))["browserContextId"]
        target = await self.send("Target.createTarget", url="about:blank", browserContextId=context)
        session = (await self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True))["sessionId"]
        page = self.pages[session] = Page(self, session)
        for domain in ("Page", "Runtime", "Network"):
            await page.send(f"{domain}.enable")
        await page.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        scheme = "dark" if dark else "light"
        await page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        return page

    async def aclose(self):
        """Let go of the connection."""
        self._reading.cancel()
        await self._socket.close()


class Page:
    """One tab. `requests`, `navigations` and `dialogs` are what it has tried so far, `called` what scripts told us."""

    def __init__(self, browser, session):
        self._browser = browser
        self._session = session
        self._loaded = asyncio.Event()
        self.requests, self.navigations, self.dialogs, self.called = [], [], [], []

    def hear(self, method, params):
        """Note an event."""
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method in ("Page.frameNavigated", "Page.frameRequestedNavigation"):
            self.navigations.append(params.get("url") or params["frame"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["message"])
        elif method == "Runtime.bindingCalled":
            self.called.append(params["payload"])
        elif method == "Page.loadEventFired":
            self._loaded.set()

    async def send(self, method, **params):
        """Send a command of this page."""
        return await self._browser.send(method, self._session, **params)

    async def open(self, url):
        """Go to an address and wait until all of it is there."""
        self._loaded.clear()
        failed = (await self.send("Page.navigate", url=url)).get("errorText")
        assert not failed, f"{url}: {failed}"
        await self.loaded()

    async def loaded(self):
        """Wait until what was begun is there."""
        async with asyncio.timeout(PATIENCE_S):
            await self._loaded.wait()

    def expect(self):
        """Say that the page is about to be left: `loaded` waits for the next one."""
        self._loaded.clear()

    async def run(self, script):
        """Run a script in the page, wait for its promise, and return its value."""
        done = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    async def press(self, key):
        """Press a key as a person does."""
        for kind in ("keyDown", "keyUp"):
            await self.send("Input.dispatchKeyEvent", type=kind, key=key, text=key if kind == "keyDown" else "")

    async def picture(self, path):
        """Write a picture of the whole page."""
        size = (await self.send("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 6000), "scale": 1}
        shot = await self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        await asyncio.to_thread(Path(path).write_bytes, base64.b64decode(shot["data"]))


@asynccontextmanager
async def chromium(folder):
    """Run a browser whose profile is in a folder; it ends with the block, and no process is left."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "there is no chromium; deploy/test-packages.sh installs it"
    arguments = (  # noqa: SIM905 -- words
        "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --remote-debugging-port=0 "
        "--disable-background-networking --disable-component-update --no-proxy-server"
    ).split()
    process = await asyncio.create_subprocess_exec(
        *(program, *arguments, f"--user-data-dir={folder}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with aiohttp.ClientSession() as client:
            address = await _address(Path(folder) / "DevToolsActivePort", process)
            browser = Chromium(await client.ws_connect(address, max_msg_size=0))
            try:
                yield browser
            finally:
                await browser.aclose()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _address(file, process):
    def lines():
        assert process.returncode is None, "chromium ended"
        return found if file.exists() and len(found := file.read_text().split()) == 2 else None

    port, path = await until(lines, START_S, "chromium says where it listens")
    return f"ws://127.0.0.1:{port}{path}"


def _session(session):
    return {"sessionId": session} if session else {}
