"""The peer of the accept figure: a bare aiohttp application with one route that stores a message and says 202.

It does what can't be left out: aiohttp parses the body, form or JSON, as a server that takes a message in has to; one
row per request, the body and when it came, committed in groups before the answer: to SQLite (WAL, FULL), or to
PostgreSQL by asyncpg. `python -m benchmarks.peer FILE|URL` prints its port and runs until SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import asyncpg  # type: ignore[import-untyped]
from aiohttp import web

_INSERT = "INSERT INTO messages (received_at, body) VALUES (?, ?)"


class Sqlite:
    """One table in an SQLite file, written by a thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1)
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Make the table."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connect)

    async def commit(self, bodies: list[bytes]) -> list[int]:
        """Insert bodies and return the rows' numbers after they are on disk."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, bodies)

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


class Postgres:
    """One table in a PostgreSQL database, written over one connection."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: asyncpg.Connection | None = None
        self._last = 0

    async def open(self) -> None:
        """Make the table."""
        self._connection = await asyncpg.connect(self._url)
        await self._connection.execute("CREATE TABLE peer (id BIGINT PRIMARY KEY, received_at FLOAT8, body BYTEA)")

    async def commit(self, bodies: list[bytes]) -> list[int]:
        """Insert bodies and return the rows' numbers after they are on disk (`executemany` is one transaction)."""
        assert self._connection is not None
        now = time.time()
        rows = [(self._last + number, now, body) for number, body in enumerate(bodies, 1)]
        self._last += len(bodies)
        await self._connection.executemany("INSERT INTO peer VALUES ($1, $2, $3)", rows)
        return [row[0] for row in rows]


class Inserter:
    """Commits everything that waits while one commit runs with the next one."""

    def __init__(self, database: Sqlite | Postgres) -> None:
        self._database = database
        self._waiting: list[tuple[bytes, asyncio.Future[int]]] = []
        self._wake = asyncio.Event()

    async def insert(self, body: bytes) -> int:
        """Return the row's number after it is on disk."""
        stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((body, stored))
        self._wake.set()
        return await stored

    async def run(self) -> None:
        """Commit group after group, until cancelled."""
        await self._database.open()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group, self._waiting = self._waiting, []
                numbers = await self._database.commit([body for body, _ in group])
                for (_, stored), number in zip(group, numbers, strict=True):
                    stored.set_result(number)


async def serve(where: str) -> None:
    """Serve until SIGTERM."""
    database = Postgres(where) if where.startswith("postgresql:") else Sqlite(where)
    inserter, stopped = Inserter(database), asyncio.Event()

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
