"""The installed command as a process: run to its end, or as a daemon that is stopped or killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.fixtures import (  # noqa: F401  pytest finds fixtures by their names here
    collector,
    daemon,
    daemons,
    ledger,
    model_cache,
    relay,
)
from tests.unit.router.commandline import make_store, write_district, write_rows

COMMAND = Path(sys.executable).with_name("signpost")
PATIENCE_S = 600.0  # the bundled model is trained meanwhile; nothing waits so long when all is well


class Installed:
    """The command in a working directory of its own."""

    def __init__(self, folder, port, cache):
        self.folder = folder
        self.port = port
        self.env = {**os.environ, "SIGNPOST_CACHE": str(cache), "SIGNPOST_CONFIG": str(folder / "district.yaml")}

    async def start(self, *arguments):
        """Start the command."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            str(COMMAND), *arguments, cwd=self.folder, env=self.env, stdin=pipe, stdout=pipe, stderr=pipe
        )

    async def run(self, *arguments, given=b""):
        """Run the command to its end; return its exit status and what it printed on both streams."""
        process = await self.start(*arguments)
        async with asyncio.timeout(PATIENCE_S):
            out, err = await process.communicate(given)
        return process.returncode, out.decode(), err.decode()

    async def ask(self, *arguments):
        """Run a command that must succeed and return its JSON."""
        status, out, err = await self.run(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    @asynccontextmanager
    async def daemon(self, *arguments, ready="ready"):
        """Run `signpost run` until the block ends, however it ends."""
        running = Running(await self.start(*(arguments or ("run",))))
        try:
            await running.until(ready)
            yield running
        finally:
            await running.end(signal.SIGKILL)

    async def arrived(self, box, count=1, within="var/out"):
        """Return the mails in a department's Maildir once there are so many."""
        found = []

        def are_there():
            found[:] = sorted((self.folder / within).glob(f"{box}/new/*"))
            return len(found) >= count

        await until(are_there, PATIENCE_S, f"{count} mails in {box}")
        return found


class Running:
    """A daemon; what it prints is kept."""

    def __init__(self, process):
        self.process = process
        self.lines = []
        self._more = asyncio.Event()
        self._tasks = [asyncio.create_task(self._read(stream)) for stream in (process.stdout, process.stderr)]

    async def _read(self, stream):
        async for line in stream:
            self.lines.append(line.decode().rstrip())
            self._more.set()
        self._more.set()

    async def until(self, text):
        """Return when a line that holds the text was printed."""
        async with asyncio.timeout(PATIENCE_S):
            while not any(text in line for line in self.lines):
                assert not all(task.done() for task in self._tasks), self.lines
                await self._more.wait()
                self._more.clear()

    async def end(self, number):
        """Send a signal, unless it has ended; return its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            await self.process.wait()
            await asyncio.gather(*self._tasks)
        return self.process.returncode


@pytest.fixture
def bare(tmp_path, free_port, cache):
    """The command with a small district's configuration and no store."""
    write_district(tmp_path, free_port)
    return Installed(tmp_path, free_port, cache)


@pytest.fixture
async def installed(bare):
    """The command with a champion that learnt the district's three labels in a moment."""
    await make_store(bare.folder)
    rows = write_rows(bare.folder / "rows.jsonl")
    status, _out, err = await bare.run("train", "--no-corpus", "--data", str(rows))
    assert status == 0, err
    return bare
