"""A light HTTP/1.1 client that posts messages over keep-alive connections: closed loop, or at a constant rate.

`python -m benchmarks.load --port P …` prints one JSON object. At a rate, latency counts from the scheduled time, so
that a server that stalls isn't spared the requests that should have been sent meanwhile (coordinated omission).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from benchmarks.figures import summary_ms
from benchmarks.requests import FORM, JSON, MIXED, Requests

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TAIL_S = 30.0  # for the answers that are still due at the end


@dataclass(slots=True)
class Results:
    """What came of the requests."""

    latencies_s: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    first_at: float = 0.0
    last_at: float = 0.0

    def note(self, status: int, since: float) -> None:
        """Count one answer."""
        self.last_at = time.monotonic()
        self.statuses[status] += 1
        self.latencies_s.append(self.last_at - since)

    def as_json(self, sent: int) -> dict[str, Any]:
        """Return counts, rate per second, and latencies in ms; times are CLOCK_MONOTONIC."""
        good = sum(count for status, count in self.statuses.items() if 200 <= status < 400)
        took = self.last_at - self.first_at
        return {
            "sent": sent,
            "good": good,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "per_s": round(good / took, 1) if took > 0 else 0.0,
            "first_at": self.first_at,
            "last_at": self.last_at,
            "latency_ms": summary_ms(self.latencies_s) if self.latencies_s else {},
        }


class Connection(asyncio.Protocol):
    """One keep-alive connection with one request at a time; `then` is called with itself when it is free again."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = b""
        self._since = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be ready."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes, since: float) -> None:
        """Write a request whose latency counts from `since`."""
        assert self._transport is not None
        self._since = since
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take the answer, as far as it is complete."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._buffer, 0, head + 2)
        if len(self._buffer) < head + 4 + (int(length[1]) if length else 0):
            return
        status, self._buffer = int(self._buffer[9:12]), b""
        self._run.answered(self, status, self._since)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the run: a server that hangs up spoils the measurement."""
        self._run.lost(error)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Run:
    """One measurement: `seconds` or `count` requests, closed loop or at a rate per second."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._requests = Requests(options.kind)
        self._next = options.first
        self._free: list[Connection] = []
        self._due: deque[float] = deque()
        self._under_way = 0
        self._deadline = 0.0
        self._done = asyncio.Event()
        self._hung_up = 0
        self._closing = False
        self.results = Results()

    async def perform(self) -> dict[str, Any]:
        """Connect, post, hang up; return the results."""
        loop = asyncio.get_running_loop()
        connections: list[Connection] = []
        for _ in range(self._options.connections):
            _transport, made = await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._options.port)
            connections.append(made)
        self.results.first_at = time.monotonic()
        self._deadline = self.results.first_at + self._options.seconds
        if self._options.rate:
            await self._at_rate(connections)
        else:
            for connection in connections:
                self._post(connection, time.monotonic())
        async with asyncio.timeout(self._options.seconds + _TAIL_S):
            await self._done.wait()
        self._closing = True
        for connection in connections:
            connection.close()
        return {**self.results.as_json(self._next - self._options.first), "hung_up": self._hung_up}

    async def _at_rate(self, connections: list[Connection]) -> None:
        self._free = connections[:]
        every = 1 / self._options.rate
        for number in range(min(self._options.count, round(self._options.seconds * self._options.rate))):
            at = self.results.first_at + number * every
            if (wait := at - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            self._due.append(at)
            self._serve_due()
        self._deadline = 0.0  # nothing more is scheduled
        self._end_if_idle()

    def _serve_due(self) -> None:
        while self._due and self._free:
            self._post(self._free.pop(), self._due.popleft())

    def _post(self, connection: Connection, since: float) -> None:
        connection.send(self._requests.of(self._next), since)
        self._next += 1
        self._under_way += 1

    def answered(self, connection: Connection, status: int, since: float) -> None:
        """Count an answer, and go on with that connection."""
        self._under_way -= 1
        self.results.note(status, since)
        if self._options.rate:
            self._free.append(connection)
            self._serve_due()
        elif time.monotonic() < self._deadline and self._next - self._options.first < self._options.count:
            self._post(connection, time.monotonic())
            return
        self._end_if_idle()

    def lost(self, _error: Exception | None) -> None:
        """A connection is gone."""
        if not self._closing:
            self._hung_up += 1
            self._done.set()

    def _end_if_idle(self) -> None:
        scheduled = self._options.rate and self._deadline > 0
        if not self._under_way and not self._due and not scheduled:
            self._done.set()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--kind", choices=(FORM, JSON, MIXED), default=FORM)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--rate", type=float, default=0.0, help="requests per second; 0: as many as are answered")
    parser.add_argument("--first", type=int, default=0, help="number of the first token")
    return parser.parse_args()


async def main() -> None:
    """Run one measurement and print its results."""
    print(json.dumps(await Run(_options()).perform()))


if __name__ == "__main__":
    asyncio.run(main())
