"""The console's pages over HTTP on a large store, and what two hundred viewers cost a message on its way."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import TYPE_CHECKING

import aiohttp

from benchmarks import console_store, path
from benchmarks.district import district, folder, post
from benchmarks.figures import Figure, percentile, summary_ms
from benchmarks.mails import sink
from benchmarks.processes import Failed
from benchmarks.requests import FORM, numbers
from router.console.sessions import digest, fresh_token
from router.store import accounts, sessions
from router.store.engine import open_store
from router.store.scope import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy import Connection

    from benchmarks.district import District
    from benchmarks.mails import Mails

ROWS, ROWS_QUICK = 100_000, 5_000
LIMIT_MS, TIMES = 50.0, 1.5
VIEWERS, _NEWS_S, _LOOK_S = 200, 4.0, 30.0  # each asks for news so often, and looks at the list so often
_ROUNDS = 60
_PAGES = {
    "start": "/console/",
    "inbox": "/console/inbox",
    "inbox_department": "/console/inbox?stands=urgent&how=model",
    "search": "/console/inbox?q=word77",
    "search_common": "/console/inbox?q=school",
    "triage": "/console/triage",
    "dashboard": "/console/dashboard",
    "corrections": "/console/learning/corrections",
    "access_log": "/console/access-log",
}


async def measure(*, quick: bool) -> list[Figure]:
    """Return the figures; raise `Failed` if a page fails or a message is lost."""
    rows = ROWS_QUICK if quick else ROWS
    with folder() as where:
        tokens = await _filled(where, rows)
        async with sink() as mails, district(where, sink_port=mails.port, console=True) as ours:
            pages = await _pages(ours, mails, tokens[0])
            alone = await path.singles(ours, mails, 0)
            async with _viewers(ours, tokens):
                watched = await path.singles(ours, mails, 1)
        return [_page_figure(pages, rows), _watched_figure(alone, watched)]


async def _filled(where: Path, rows: int) -> list[str]:
    """Make a store with a past, and sessions; return the tokens of their cookies."""
    store, tokens = open_store(f"sqlite:///{where / 'signpost.db'}"), [fresh_token() for _ in range(VIEWERS)]
    await store.open()
    try:
        await console_store.fill(store, rows)
        await console_store.index(store)
        now = store.clock.now()

        def begin(connection: Connection) -> None:
            number = accounts.add(connection, "sam@maple.example", role="administrator", scope=EVERYTHING, now=now)
            ends_at = now.replace(year=now.year + 1)
            for token in tokens:
                sessions.begin(
                    connection, number, digest(token), now=now, ends_at=ends_at, way="local", address="", browser=""
                )

        await store.write(begin)
    finally:
        await store.close()
    return tokens


def _browser(token: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"Cookie": f"signpost-session={token}", "Accept": "text/html"})


async def _get(browser: aiohttp.ClientSession, url: str) -> float:
    """Open a page and return the seconds until all of it is there; raise `Failed` if it isn't shown."""
    began = time.monotonic()
    async with browser.get(url, allow_redirects=False) as answer:
        await answer.read()
        if answer.status != 200:
            raise Failed(f"{url} answered {answer.status}")
    return time.monotonic() - began


async def _pages(ours: District, mails: Mails, token: str) -> dict[str, float]:
    """Return each page's 95th percentile in ms, a message that came by the form among them."""
    await post(ours.port, kind=FORM, connections=1, count=1, seconds=30)
    await mails.until(numbers(0, 1), 60)
    root, found = f"http://127.0.0.1:{ours.port}", {}
    async with _browser(token) as browser:
        async with browser.get(f"{root}/console/inbox") as answer:
            first = (await answer.text()).partition("/console/messages/")[2][:12]
        for name, address in (*_PAGES.items(), ("message", f"/console/messages/{first}")):
            took = [await _get(browser, root + address) for _ in range(_ROUNDS)]
            found[name] = round(1000 * percentile(took, 0.95), 1)
    print(f"console: {found}", file=sys.stderr)
    return found


@asynccontextmanager
async def _viewers(ours: District, tokens: list[str]) -> AsyncIterator[None]:
    """Let many people have the list open while the block runs."""
    root, random = f"http://127.0.0.1:{ours.port}/console/inbox", Random(3)

    async def view(token: str) -> None:
        browser = await stack.enter_async_context(_browser(token))
        await asyncio.sleep(random.uniform(0, _NEWS_S))
        look_at = time.monotonic() + random.uniform(0, _LOOK_S)
        while True:
            await _get(browser, f"{root}/news?since=1")
            if time.monotonic() >= look_at:
                await _get(browser, root)
                look_at += _LOOK_S
            await asyncio.sleep(_NEWS_S)

    async with AsyncExitStack() as stack:
        tasks = [asyncio.create_task(view(token)) for token in tokens]
        try:
            await asyncio.sleep(_NEWS_S)
            yield
        finally:
            failed = [task for task in tasks if task.done()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    if failed:
        raise Failed(f"{len(failed)} viewers of {VIEWERS} gave up: {failed[0].exception()}")


def _page_figure(pages: dict[str, float], rows: int) -> Figure:
    worst = max(pages, key=pages.__getitem__)
    return Figure(
        name="console.page",
        value=pages[worst],
        unit="ms",
        better="lower",
        limit=LIMIT_MS,
        n=_ROUNDS,
        note=f"the slowest page ({worst}) over HTTP with {rows:,} messages on SQLite, 95th percentile",
        detail={"p95_ms": pages},
    )


def _watched_figure(alone: list[float], watched: list[float]) -> Figure:
    one, other = summary_ms(alone), summary_ms(watched)
    return Figure(
        name="console.viewers",
        value=round(other["p99"] / one["p99"], 2),
        unit="times",
        better="lower",
        limit=TIMES,
        n=len(watched),
        note=f"p99 from a form to its mail while {VIEWERS} people have the list open, beside that without them; each "
        f"asks for news every {_NEWS_S:g} s and looks at the list every {_LOOK_S:g} s",
        detail={"alone_ms": one, "watched_ms": other},
    )
