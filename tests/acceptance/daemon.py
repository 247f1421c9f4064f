"""A Signpost daemon as its operator runs it: a process with its own configuration, ports and folder."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import aiohttp
from ruamel.yaml import YAML

START_S = 240  # on a machine that does much else; the bundled model was trained before (see fixtures.py)
STOP_S = 30  # what the daemon promises
_POLL_S = 0.05
_PORTS = range(20_000, 32_000)  # below those the system gives to outgoing connections: nobody takes a stopped server's


def free_port():
    """Return a loopback port that nobody listens on, and that no outgoing connection will be given."""
    choose = random.SystemRandom()
    while True:
        port = choose.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def until(condition, timeout_s, what):
    """Poll until `condition()` is true and return what it returned; fail with `what` after `timeout_s` seconds."""
    ends = monotonic() + timeout_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if monotonic() > ends:
            raise AssertionError(f"not within {timeout_s} s: {what() if callable(what) else what}")
        await asyncio.sleep(_POLL_S)


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str


class Daemon:
    """`signpost run` in a process group of its own; `async with` ends it whatever happens."""

    def __init__(self, folder, configuration, env=None):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.configuration = configuration
        self.config = self.folder / "signpost.yaml"
        self.log = self.folder / "daemon.log"
        self.launcher = ()  # a command that starts the one given to it, such as tests/deploy/confined.py
        self._env = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | (env or {})
        self._env.pop("SIGNPOST_CONFIG", None)
        self._process = None
        self._groups = []
        self.write_configuration()

    def write_configuration(self):
        """Write what `configuration` holds now; the next start reads it."""
        yaml = YAML()
        yaml.default_flow_style = False
        with self.config.open("w", encoding="utf-8") as file:
            yaml.dump(self.configuration, file)

    @property
    def url(self):
        """Where its pages are."""
        return f"http://{self.configuration['http']['listen']}"

    @property
    def running(self):
        """Whether the process lives."""
        return self._process is not None and self._process.returncode is None

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_error):
        await self.close()

    def set_env(self, **variables):
        """Give the next start these environment variables; None takes one away."""
        self._env |= {name: value for name, value in variables.items() if value is not None}
        for name in (name for name, value in variables.items() if value is None):
            self._env.pop(name, None)

    async def start(self, *options, ready=True):
        """Start the process, and wait until it says that it is ready."""
        assert not self.running
        with self.log.open("ab") as log:
            self._process = await self._run("run", *options, stdout=log, stderr=log, start_new_session=True)
        self._groups.append(self._process.pid)
        if ready:
            await until(self._is_ready, START_S, lambda: f"ready; it said:\n{self.output()}")

    async def _is_ready(self):
        assert self.running, f"the daemon ended with {self._process.returncode}; it said:\n{self.output()}"
        try:
            async with aiohttp.ClientSession() as client, client.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    @property
    def state(self):
        """What the system says of the process: R (runs), S (sleeps), T (stopped) or another letter."""
        return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(") ")[2][0]

    def signal(self, number):
        """Send the process a signal."""
        self._process.send_signal(number)

    async def ended(self, timeout_s=STOP_S):
        """Wait for the end of the process and return its exit status."""
        async with asyncio.timeout(timeout_s):
            return await self._process.wait()

    async def kill(self):
        """End it as `kill -9` does, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        assert await self.ended() == -signal.SIGKILL

    async def stop(self):
        """End it gracefully: exit status 0, in time."""
        self.signal(signal.SIGTERM)
        assert await self.ended() == 0, self.output()

    async def close(self):
        """End everything this object started, at once."""
        if self.running:
            self.signal(signal.SIGKILL)
        if self._process is not None:
            await self.ended()
        for group in self._groups:
            if living(group):
                os.killpg(group, signal.SIGKILL)

    def children_left(self):
        """Return the processes that daemons which have ended left behind."""
        present = self._process.pid if self.running else None
        return [pid for group in self._groups if group != present for pid in living(group)]

    def output(self):
        """Return everything it has printed, logs included."""
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def events(self, name):
        """Return its log lines about one kind of event."""
        found = []
        for line in self.output().splitlines():
            with suppress(ValueError):  # a remark, or the last half line of a daemon that was killed
                facts = json.loads(line)
                found += [facts] if facts.get("event") == name else []
        return found

    # --- commands -----------------------------------------------------------------------------------------------------

    async def _run(self, *arguments, **how):
        command = [*self.launcher, sys.executable, "-P", "-m", "router", "--config", str(self.config)]
        command += map(str, arguments)
        return await asyncio.create_subprocess_exec(*command, cwd=self.folder, env=self._env, **how)

    async def command(self, *arguments, timeout_s=START_S):
        """Run a command with the same configuration and return how it ended."""
        process = await self._run(*arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(timeout_s):
                out, err = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return Outcome(process.returncode, out.decode(), err.decode())

    async def ask(self, *arguments):
        """Run a command that must succeed, with --json, and return its answer."""
        done = await self.command(*arguments, "--json")
        assert done.status == 0, f"{arguments}: {done.status}\n{done.out}\n{done.err}"
        return json.loads(done.out)

    async def status(self):
        """Return the ledger, after checking that it adds up."""
        ledger = await self.ask("status")
        stands = ledger["messages"]
        assert stands["received"] == sum(stands[state] for state in ("routed", "held", "filed", "undecided"))
        return ledger

    async def settled(self, timeout_s=60):
        """Wait until nothing is undecided or waiting, and return the ledger."""

        async def idle():
            ledger = await self.status()
            waits = ledger["messages"]["undecided"] + ledger["deliveries"]["waiting"]
            return None if waits else ledger

        return await until(idle, timeout_s, "nothing waits any more")


def living(group):
    """Return the process ids of a process group, without zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _parent, of_group = (entry / "stat").read_text().rpartition(") ")[2].split()[:3]
            except OSError:
                continue  # it ended meanwhile
            if of_group == str(group) and state != "Z":
                found.append(int(entry.name))
    return found
