"""What arrived at the sink, as its lines tell: which token, when, how often."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from benchmarks.district import ALERTS
from benchmarks.processes import Failed, line_of, running

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Sequence


class Mails:
    """The mails so far. `arrived` has the times (CLOCK_MONOTONIC) of every token; alerts to operations are apart."""

    def __init__(self, process: Process, port: int) -> None:
        self.port = port
        self.arrived: defaultdict[str, list[float]] = defaultdict(list)
        self.alerts = 0
        self._process = process
        self._news = asyncio.Event()

    async def read(self) -> None:
        """Read the sink's lines until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            at, recipient, token = line.decode().split()
            if recipient == ALERTS:
                self.alerts += 1
            else:
                self.arrived[token].append(float(at))
            self._news.set()

    async def until(self, tokens: Sequence[str], within_s: float) -> None:
        """Return once every token has arrived; raise `Failed` with how many are missing."""
        missing = set(tokens)
        try:
            async with asyncio.timeout(within_s):
                while missing := {token for token in missing if token not in self.arrived}:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            raise Failed(f"{len(missing)} of {len(tokens)} mails hadn't arrived after {within_s:g} s") from error

    def account(self, sent: Sequence[str]) -> None:
        """Raise `Failed` unless every token arrived exactly once. Ask when no second copy can come any more."""
        lost = [each for each in sent if each not in self.arrived]
        twice = [each for each in sent if len(self.arrived[each]) > 1]
        strange = self.arrived.keys() - set(sent)
        if lost or twice or strange:
            raise Failed(f"{len(lost)} messages lost, {len(twice)} forwarded twice, {len(strange)} never sent")


@asynccontextmanager
async def sink(latency_s: float = 0.0) -> AsyncIterator[Mails]:
    """Run the SMTP sink as a process; every mail it got has been read when the block has ended."""
    async with running("benchmarks.sink", "--latency", str(latency_s)) as process:
        mails = Mails(process, int(await line_of(process, within_s=30)))
        reading = asyncio.create_task(mails.read())
        try:
            yield mails
        finally:
            process.terminate()
            await reading
            await process.wait()
