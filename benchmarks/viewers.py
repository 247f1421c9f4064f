"""People who have the console's list open, as a process of its own: their browsers ask for news, they look again.

`python -m benchmarks.viewers --port N TOKENS` prints a line when all have the list open, and runs until it is ended.
It gives way to all others: browsers run on other machines.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import re
import sys
import time
from pathlib import Path
from random import Random

NEWS_S, LOOK_S = 4.0, 30.0  # each asks for news so often, as `retry` says, and looks at the list so often
_NEWS = re.compile(rb'<p [^>]*id="news"[^>]*>')
_ATTRIBUTE = re.compile(r'data-(after|address)="([^"]*)"')
_ID = re.compile(rb"^id: (\S+)", re.MULTILINE)
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Viewer:
    """One browser, on a connection that is kept."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._news, self._last = "", ""
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def look(self) -> None:
        """Open the list."""
        page = await self._get("/console/inbox")
        found = _NEWS.search(page)
        if found is None:
            raise RuntimeError("the list tells of no news")
        told = dict(_ATTRIBUTE.findall(html.unescape(found[0].decode())))
        self._news, self._last = f"{told['address']}&after={told['after']}", ""

    async def hear(self) -> None:
        """Ask for news, as an EventSource does again and again."""
        found = _ID.search(await self._get(self._news, self._last))
        self._last = found[1].decode() if found else ""

    async def _get(self, address: str, last: str = "") -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        reader, writer = self._streams
        known = f"Last-Event-ID: {last}\r\n" if last else ""
        head = f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: signpost-session={self._token}\r\n{known}\r\n"
        writer.write(head.encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(answer)
        if not answer.startswith(b"HTTP/1.1 200") or length is None:
            raise RuntimeError(f"{address} was answered with {answer[:60]!r}")
        body = await reader.readexactly(int(length[1]))
        if b"\r\nconnection: close" in answer.lower():
            writer.close()
            self._streams = None
        return body

    async def live(self, random: Random) -> None:
        """Watch for ever."""
        await asyncio.sleep(random.uniform(0, NEWS_S))
        look_at = time.monotonic() + random.uniform(0, LOOK_S)
        while True:
            await self.hear()
            if time.monotonic() >= look_at:
                await self.look()
                look_at += LOOK_S
            await asyncio.sleep(NEWS_S)


async def _watch(port: int, tokens: list[str]) -> None:
    random, viewers = Random(3), [Viewer(port, token) for token in tokens]
    for viewer in viewers:
        await viewer.look()
    async with asyncio.TaskGroup() as group:
        for viewer in viewers:
            group.create_task(viewer.live(random))
        print(len(viewers), flush=True)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("tokens", help="a file with a session's token in each line")
    given = parser.parse_args()
    os.nice(10)
    tokens = Path(given.tokens).read_text().split()
    try:
        asyncio.run(_watch(given.port, tokens))
    except* (RuntimeError, OSError, asyncio.IncompleteReadError) as failed:
        print(f"viewers gave up: {failed.exceptions[0]}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    _main()
