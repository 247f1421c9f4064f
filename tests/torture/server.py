"""A PostgreSQL server of a test's own: one that it may kill, whose disk may fail, and whose files it may copy."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import asyncpg

from tests.acceptance.daemon import until

_START_S = 60
_OPTIONS = ("listen_addresses=", "shared_buffers=32MB", "max_connections=40", "autovacuum=off")


class Server:
    """A server process on a Unix socket in `folder`, its files in `data`; `env` goes to it and its children."""

    def __init__(self, postgres, folder, data, env=None):
        self._bin = Path(postgres.bin_path)
        self._as = {"user": postgres.system_user} if postgres.system_user else {}
        self.folder, self.data = Path(folder), Path(data)
        self.env = env or {}
        self._process = None
        self.url = f"postgresql://postgres@/postgres?host={folder}"

    async def make(self):
        """Make its files."""
        for folder in (self.folder, self.data):
            folder.mkdir(exist_ok=True)
            self.own(folder)
        made = await self._run("initdb", "--auth=trust", "-U", "postgres", "-E", "utf8", "-D", self.data)
        assert await made.wait() == 0

    def own(self, path):
        """Let the server's user own a file or folder."""
        if self._as:
            shutil.chown(path, self._as["user"])

    async def start(self):
        """Start it, and wait until it answers; after a `kill` its children have to be gone first."""

        async def answers():
            if self._process is None or self._process.returncode is not None:
                options = [word for option in _OPTIONS for word in ("-c", option)]
                self._process = await self._run("postgres", "-D", self.data, "-k", self.folder, *options)
            with suppress(OSError, asyncpg.PostgresError):
                await (await asyncpg.connect(self.url, timeout=5)).close()
                return True
            return False

        await until(answers, _START_S, lambda: f"it answers; it said:\n{self._log.read_text()[-3000:]}")

    async def end(self, number):
        """End it by a signal: SIGKILL, SIGQUIT ("immediate") or SIGINT ("fast")."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()

    async def close(self):
        """End it, whatever it does."""
        await self.end(signal.SIGQUIT)

    @property
    def _log(self):
        return self.folder / "server.log"

    async def _run(self, command, *arguments):
        with self._log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                self._bin / command, *arguments, env=os.environ | self.env, cwd=self.folder,
                stdout=log, stderr=log, start_new_session=True, **self._as,
            )  # fmt: skip
