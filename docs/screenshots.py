"""Take the pictures of the documentation: `python docs/screenshots.py [FOLDER]` (default: docs/images).

It runs the demo in a folder of its own, sends it the sample messages, and has Chromium look at the pages.
"""  # noqa: INP001  a program beside the pages it serves, not a package

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from aiohttp import ClientError, ClientSession

from router.demo.feed import feed
from router.settings import Address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WIDTH = 1200
_HEIGHTS = {"contact": 1640, "messages": 1000, "mail": 960, "misroute": 900}
_SEED = 7  # which messages stand at the top of the list
_PATIENCE_S = 180.0
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """The running demo: where its pages and its listener are, and the folder it writes into."""

    url: str
    smtp: Address
    folder: Path


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
            await _until_ready(demo)
            yield demo
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _until_ready(demo: Demo) -> None:
    """Return when the pages answer; a first model may have to be trained before."""
    async with asyncio.timeout(_PATIENCE_S), ClientSession() as session:
        while True:
            try:
                async with session.get(f"{demo.url}/readyz") as answer:
                    if answer.ok:
                        return
            except ClientError:
                pass
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


def _mail(demo: Demo, *reasons: str) -> tuple[str, str]:
    """Return the demo's page of a forwarded mail with the first of these reasons there is, and its misroute link."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted((demo.folder / "var/demo/departments").glob("*/new/*"), key=lambda path: path.stat().st_mtime):
        with path.open("rb") as file:
            headers = BytesHeaderParser().parse(file)
        if headers["Reply-To"] and not headers["X-Signpost-Urgent"]:
            page = f"{demo.url}/demo/mail/{path.parts[-3]}/{path.name}"
            found[str(headers["X-Signpost-Reason"])] = page, str(headers["X-Signpost-Misroute"])
    return next(found[reason] for reason in reasons if reason in found)


def _chromium() -> str:
    for name in _CHROMIUM:
        if found := shutil.which(name):
            return found
    sys.exit("Chromium isn't installed:  apt-get install chromium")


async def _shoot(chromium: str, url: str, picture: Path, profile: Path) -> None:
    height = _HEIGHTS[picture.stem]
    options = ["--headless", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{height}"]
    if os.geteuid() == 0:
        options.append("--no-sandbox")  # Chromium refuses to run as root otherwise; it sees only our own pages
    process = await asyncio.create_subprocess_exec(
        chromium,
        *options,
        f"--user-data-dir={profile}",
        f"--screenshot={picture}",
        url,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        sys.exit(f"Chromium took no picture of {url}")


async def main(images: Path) -> None:
    """Take every picture; `images` is an absolute path of a folder that is there."""
    chromium = _chromium()
    with tempfile.TemporaryDirectory() as name:
        async with running_demo(Path(name)) as demo:
            await feed(demo.url, demo.smtp, 0.2, Random(_SEED))
            await _until_delivered(demo)
            routed, _ = _mail(demo, "model", "abstained")
            _, misroute = _mail(demo, "abstained", "model")
            looks = {
                "contact": f"{demo.url}/",
                "messages": f"{demo.url}/demo?paused=yes",
                "mail": routed,
                "misroute": misroute,
            }
            for picture, url in looks.items():
                await _shoot(chromium, url, images / f"{picture}.png", Path(name) / "profile")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).with_name("images")).absolute()
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
