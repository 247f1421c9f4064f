"""Take the pictures of the documentation: `python docs/screenshots.py [FOLDER]` (default: docs/images).

It runs the demo in a folder of its own, sends it the sample messages, flags a few as their departments would, and has
Chromium look at the pages. Look at what comes out before you keep it.
"""  # noqa: INP001  a program beside the pages it serves, not a package

from __future__ import annotations

import asyncio
import base64
import socket
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession

from router.demo.feed import feed, samples
from router.settings import Address
from tests.browser.chromium import chromium

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

WIDTH, PHONE = 1200, 320
_QUALITY = 80  # of WebP
_SEED = 7  # which messages stand at the top of the list
_PATIENCE_S = 240.0
# What somebody says of a sample: its subject, and where they think that it belongs.
_FLAGS = (
    ("Two things", "food-services", ""),
    ("Cars at the crosswalk", "transportation", "The crossing guards are yours, aren't they?"),
    ("Field trip fee paid twice", "curriculum", ""),
)
_READ = "Interpreter for the conference"  # the message whose page is shown
_DOUBT = "Change of plans"  # one that the model isn't sure of


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """The running demo: where its pages and its listener are, and the folder it writes into."""

    url: str
    smtp: Address
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One picture: of which page, how wide and how high, as whom of the demo's people ("": nobody).

    In the triage queue others are left for later until one of this subject appears.
    """

    path: str
    height: int
    width: int = WIDTH
    who: str = ""
    later_until: str = ""


@asynccontextmanager
async def running_demo(folder: Path) -> AsyncIterator[Demo]:
    """Run the demo in a folder until the block ends."""
    port, smtp_port = _free_port(), _free_port()
    signpost = str(Path(sys.executable).with_name("signpost"))
    with (folder / "demo.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            signpost, "demo", "--port", str(port), "--smtp-port", str(smtp_port), cwd=folder, stdout=log, stderr=log
        )
        try:
            demo = Demo(url=f"http://127.0.0.1:{port}", smtp=Address("127.0.0.1", smtp_port), folder=folder)
            await _until_ready(demo, process)
            yield demo
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _until_ready(demo: Demo, process: asyncio.subprocess.Process) -> None:
    """Return when the pages answer; a first model may have to be trained before."""
    async with asyncio.timeout(_PATIENCE_S), ClientSession() as session:
        while True:
            try:
                async with session.get(f"{demo.url}/readyz") as answer:
                    if answer.ok:
                        return
            except ClientError:
                pass
            if process.returncode is not None:
                sys.exit((demo.folder / "demo.log").read_text())
            await asyncio.sleep(0.2)


async def _until_delivered(demo: Demo) -> None:
    """Return when nothing is under way any more."""
    async with asyncio.timeout(_PATIENCE_S), ClientSession() as session:
        while True:
            async with session.get(f"{demo.url}/metrics") as answer:
                figures = dict(line.rsplit(" ", 1) for line in (await answer.text()).splitlines() if line[:1] != "#")
            under_way = ('signpost_messages{state="undecided"}', 'signpost_deliveries{state="waiting"}')
            if not any(float(figures[name]) for name in under_way):
                return
            await asyncio.sleep(0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A forwarded mail: the demo's page of it, its misroute link, and some of its headers."""

    page: str
    misroute: str
    message_id: str
    reason: str
    subject: str


def _mails(demo: Demo) -> list[Mail]:
    """Return the forwarded mails that people can answer, alerts left out, the oldest first."""
    found = []
    for path in sorted((demo.folder / "var/demo/departments").glob("*/new/*"), key=lambda path: path.stat().st_mtime):
        with path.open("rb") as file:
            headers = BytesHeaderParser(policy=policy.default).parse(file)
        if headers["Reply-To"] and not headers["X-Signpost-Urgent"]:
            mail = Mail(
                page=f"/demo/mail/{path.parts[-3]}/{path.name}",
                misroute=str(headers["X-Signpost-Misroute"]),
                message_id=str(headers["X-Signpost-Message"]),
                reason=str(headers["X-Signpost-Reason"]),
                subject=str(headers["Subject"]),
            )
            found.append(mail)
    return found


def _first(mails: list[Mail], fits: Callable[[Mail], bool]) -> Mail:
    return next((mail for mail in mails if fits(mail)), mails[0])


async def _flag(mails: list[Mail]) -> None:
    """Say of some messages that they belong elsewhere, by the link in the mail, as a department does."""
    async with ClientSession() as session:
        for subject, department, note in _FLAGS:
            link = next((mail.misroute for mail in mails if subject in mail.subject), "")
            form = {"department": department, "note": note}
            if link:
                async with session.post(link, data=form, allow_redirects=False) as answer:
                    answer.raise_for_status()


def _looks(mails: list[Mail], url: str) -> dict[str, Look]:
    """Return the pictures by their names."""
    routed = _first(mails, lambda mail: mail.reason == "model")
    doubtful = _first(mails, lambda mail: _DOUBT in mail.subject)
    read = _first(mails, lambda mail: _READ in mail.subject)
    return {
        "contact": Look(path="/", height=1640),
        "contact-es": Look(path="/?lang=es", height=1640),
        "contact-phone": Look(path="/", width=PHONE, height=1400),
        "contact-phone-es": Look(path="/?lang=es", width=PHONE, height=1400),
        "messages": Look(path="/demo?paused=yes", height=900),
        "mail": Look(path=routed.page, height=960),
        "misroute": Look(path=doubtful.misroute.removeprefix(url), height=900),
        "demo-console": Look(path="/demo/console", height=560),
        "console-sign-in": Look(path="/console/sign-in?password=yes", height=620),
        "console-inbox": Look(path="/console/inbox", height=900, who="grace"),
        "console-message": Look(path=f"/console/messages/{read.message_id}", height=1020, who="grace"),
        "console-triage": Look(path="/console/triage", height=960, who="grace", later_until=_DOUBT),
        "console-learning": Look(path="/console/learning/corrections", height=900, who="grace"),
        "console-models": Look(path="/console/learning/models", height=980, who="ada"),
        "console-dashboard": Look(path="/console/dashboard?days=7", height=1300, who="vera"),
        "console-channels": Look(path="/console/channels", height=640, who="ada"),
    }


async def _enter(page: Any, demo: Demo, who: str) -> None:
    """Sign in to the console as one of the demo's people."""
    await page.open(f"{demo.url}/demo/console")
    page.expect()
    await page.run(f"document.querySelector('button[value={who}]').click()")
    await page.loaded()


async def _until_counted(page: Any, demo: Demo) -> None:
    """Return when the dashboard knows of every sample: the present day is counted once a minute."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            await page.open(f"{demo.url}/console/dashboard")
            if await page.run("document.querySelector('.figure').textContent.trim()") == str(len(samples())):
                return
            await asyncio.sleep(2)


async def _shoot(browser: Any, demo: Demo, look: Look, picture: Path) -> None:
    page = await browser.page(width=look.width, height=look.height)
    await page.send("Emulation.setScrollbarsHidden", hidden=True)
    if look.who:
        await _enter(page, demo, look.who)
    if "/dashboard" in look.path:
        await _until_counted(page, demo)
    await page.open(f"{demo.url}{look.path}")
    while look.later_until and await page.run("document.getElementById('subject').innerText") != look.later_until:
        await page.open(await page.run("document.querySelector('a[data-key=l]').href"))
    shot = await page.send("Page.captureScreenshot", format="webp", quality=_QUALITY)
    await asyncio.to_thread(picture.write_bytes, base64.b64decode(shot["data"]))


async def main(images: Path) -> None:
    """Take every picture; `images` is an absolute path of a folder that is there."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with running_demo(folder) as demo:
            await feed(demo.url, demo.smtp, 0.2, Random(_SEED))
            await _until_delivered(demo)
            await _flag(await asyncio.to_thread(_mails, demo))
            await _until_delivered(demo)
            mails = await asyncio.to_thread(_mails, demo)
            async with chromium(folder / "profile") as browser:
                for picture, look in _looks(mails, demo.url).items():
                    await _shoot(browser, demo, look, images / f"{picture}.webp")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("images")).absolute()
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
