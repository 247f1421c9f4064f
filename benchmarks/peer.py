"""The peer of the accept figure: a bare aiohttp application with one route that stores a message and says 202.

It does what can't be left out: aiohttp parses the body, form or JSON, as a server that takes a message in has to; one
row per request, the body and when it came, committed in groups to SQLite (WAL, FULL) before the answer.
`python -m benchmarks.peer FILE` prints its port and runs until SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from aiohttp import web

_INSERT = "INSERT INTO messages (received_at, body) VALUES (?, ?)"


class Inserter:
    """Commits everything that waits while one commit runs with the next one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1)
        self._waiting: list[tuple[bytes, asyncio.Future[int]]] = []
        self._wake = asyncio.Event()
        self._connection: sqlite3.Connection | None = None

    async def insert(self, body: bytes) -> int:
        """Return the row's number after it is on disk."""
        stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((body, stored))
        self._wake.set()
        return await stored

    async def run(self) -> None:
        """Commit group after group, until cancelled."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._connect)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group, self._waiting = self._waiting, []
                numbers = await loop.run_in_executor(self._thread, self._commit, [body for body, _ in group])
                for (_, stored), number in zip(group, numbers, strict=True):
                    stored.set_result(number)

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute("CREATE TABLE messages (id INTEGER PRIMARY KEY, received_at REAL, body BLOB)")

    def _commit(self, bodies: list[bytes]) -> list[int]:
        assert self._connection is not None
        now = time.time()
        self._connection.execute("BEGIN IMMEDIATE")
        numbers = [self._connection.execute(_INSERT, (now, body)).lastrowid or 0 for body in bodies]
        self._connection.execute("COMMIT")
        return numbers


async def serve(path: str) -> None:
    """Serve until SIGTERM."""
    inserter, stopped = Inserter(path), asyncio.Event()

    async def accept(request: web.Request) -> web.Response:
        fields = await (request.json() if request.content_type == "application/json" else request.post())
        if not fields.get("message"):
            raise web.HTTPUnprocessableEntity
        return web.json_response({"reference": await inserter.insert(await request.read())}, status=202)

    application = web.Application()
    application.router.add_post("/forms/contact", accept)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    committing = asyncio.create_task(inserter.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print(runner.addresses[0][1], flush=True)
    await stopped.wait()
    await runner.cleanup()
    committing.cancel()
    with suppress(asyncio.CancelledError):
        await committing


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
