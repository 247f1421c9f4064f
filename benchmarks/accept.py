"""Accepting: how many posts a second are on disk at 32 connections, beside a bare peer; and how long one waits."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.district import District, district, folder, post
from benchmarks.figures import Figure
from benchmarks.mails import sink
from benchmarks.postgres import databases
from benchmarks.processes import line_of, running, usage
from benchmarks.requests import FORM, JSON, MIXED

CONNECTIONS = 32
SHARE_OF_PEER, SHARE_ON_POSTGRESQL = 0.85, 0.8
ROUNDS, ROUND_S, WARM_UP_S = 5, 4.0, 1.0
RATE, RATE_S, RATE_LIMIT_MS = 100.0, 30.0, 250.0


@dataclass(slots=True)
class Server:
    """One of the two that are compared, and what its turns gave."""

    port: int
    pid: int
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    def note(self, results: dict[str, Any], cpu_s: float) -> None:
        """Note one turn; `cpu_s` is the processor time the server took for it."""
        self.rates.append(results["per_s"])
        self.cpu_us.append(1e6 * cpu_s / results["sent"])
        self.p99_ms.append(results["latency_ms"]["p99"])

    def as_json(self) -> dict[str, Any]:
        """Return every turn's rate, and the medians of the rest: processor time per post, and p99."""
        return {
            "per_s": self.rates,
            "cpu_us_per_post": round(median(self.cpu_us), 1),
            "p99_ms": round(median(self.p99_ms), 2),
        }


async def measure() -> list[Figure]:
    """Return the figures of accepting."""
    return [*await _beside_peer(), await _on_postgresql(), await _while_routing()]


async def _beside_peer() -> list[Figure]:
    with folder() as where:
        async with district(where, paused=True) as ours, running("benchmarks.peer", str(where / "peer.db")) as peer:
            port = int(await line_of(peer, within_s=30))
            return [
                await _rounds(kind, (Server(ours.port, ours.process.pid), Server(port, peer.pid)), SHARE_OF_PEER)
                for kind in (FORM, JSON)
            ]


async def _on_postgresql() -> Figure:
    """Do the same with forms on PostgreSQL: ours and the peer each have a database of one server."""
    with folder() as where, databases(where, "ours", "peer") as urls:
        async with district(where, paused=True, store=urls[0]) as ours, running("benchmarks.peer", urls[1]) as peer:
            port = int(await line_of(peer, within_s=30))
            servers = Server(ours.port, ours.process.pid), Server(port, peer.pid)
            return await _rounds(FORM, servers, SHARE_ON_POSTGRESQL, "accept.postgresql")


async def _rounds(kind: str, servers: tuple[Server, Server], share: float, name: str = "") -> Figure:
    """Post to ours and to the peer in turns, so that what else the machine does hits both."""
    for server in servers:
        await post(server.port, kind=kind, connections=CONNECTIONS, seconds=WARM_UP_S)
    for number in range(ROUNDS):
        for server in servers:
            before = usage(server.pid).cpu_s
            results = await post(server.port, kind=kind, connections=CONNECTIONS, seconds=ROUND_S, first=_first(number))
            server.note(results, usage(server.pid).cpu_s - before)
        print(f"accept {kind}: ours {servers[0].rates[-1]:.0f}/s, peer {servers[1].rates[-1]:.0f}/s", file=sys.stderr)
    ours, peer = servers
    return Figure(
        name=name or f"accept.{kind}",
        value=round(median(ours.rates), 1),
        unit="posts/s on disk",
        limit=round(share * median(peer.rates), 1),
        peer=round(median(peer.rates), 1),
        n=ROUNDS,
        note=f"medians of {ROUNDS} turns of {ROUND_S:g} s at {CONNECTIONS} connections, later stages paused",
        detail={"ours": ours.as_json(), "peer": peer.as_json()},
    )


def _first(number: int) -> int:
    """Return a first token that no other turn reaches."""
    return (number + 1) * 1_000_000


async def _while_routing() -> Figure:
    """Post at a constant rate while every stage works."""
    with folder() as where:
        async with sink() as mails, district(where, sink_port=mails.port) as ours:
            results = await _at_rate(ours)
    p99 = results["latency_ms"]["p99"]
    print(f"accept at {RATE:g}/s with everything running: p99 {p99} ms", file=sys.stderr)
    return Figure(
        name="accept.p99_while_routing",
        value=p99,
        unit="ms",
        better="lower",
        limit=RATE_LIMIT_MS,
        n=results["sent"],
        note=f"{RATE:g} posts/s for {RATE_S:g} s, form and JSON in turn, every stage working, from the scheduled time",
        detail={"latency_ms": results["latency_ms"]},
    )


async def _at_rate(ours: District) -> dict[str, Any]:
    await post(ours.port, kind=MIXED, connections=CONNECTIONS, seconds=WARM_UP_S, rate=RATE)
    return await post(ours.port, kind=MIXED, connections=CONNECTIONS, seconds=RATE_S, rate=RATE, first=_first(0))
