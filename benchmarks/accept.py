"""Accepting: how many posts a second are on disk at 32 connections, beside a bare peer; and how long one waits."""

from __future__ import annotations

import sys
from statistics import median
from typing import Any

from benchmarks.district import District, district, folder, post
from benchmarks.figures import Figure
from benchmarks.mails import sink
from benchmarks.processes import line_of, running
from benchmarks.requests import FORM, JSON, MIXED

CONNECTIONS = 32
SHARE_OF_PEER = 0.6
ROUNDS, ROUND_S, WARM_UP_S = 5, 4.0, 1.0
RATE, RATE_S, RATE_LIMIT_MS = 100.0, 30.0, 250.0


async def measure() -> list[Figure]:
    """Return the figures of accepting."""
    return [*await _beside_peer(), await _while_routing()]


async def _beside_peer() -> list[Figure]:
    with folder() as where:
        async with district(where, paused=True) as ours, running("benchmarks.peer", str(where / "peer.db")) as peer:
            ports = (ours.port, int(await line_of(peer, within_s=30)))
            return [await _rounds(kind, ports) for kind in (FORM, JSON)]


async def _rounds(kind: str, ports: tuple[int, int]) -> Figure:
    """Post to ours and to the peer in turns, so that what else the machine does hits both."""
    for port in ports:
        await post(port, kind=kind, connections=CONNECTIONS, seconds=WARM_UP_S)
    rates: tuple[list[float], list[float]] = ([], [])
    latencies: list[dict[str, float]] = []
    for number in range(ROUNDS):
        for mine, port in zip(rates, ports, strict=True):
            results = await post(port, kind=kind, connections=CONNECTIONS, seconds=ROUND_S, first=_first(number))
            mine.append(results["per_s"])
            latencies += [results["latency_ms"]] if mine is rates[0] else []
        print(f"accept {kind}: ours {rates[0][-1]:.0f}/s, peer {rates[1][-1]:.0f}/s", file=sys.stderr)
    ours, peer = median(rates[0]), median(rates[1])
    return Figure(
        name=f"accept.{kind}",
        value=round(ours, 1),
        unit="posts/s on disk",
        limit=round(SHARE_OF_PEER * peer, 1),
        peer=round(peer, 1),
        n=ROUNDS,
        note=f"medians of {ROUNDS} turns of {ROUND_S:g} s at {CONNECTIONS} connections, later stages paused",
        detail={"ours": rates[0], "peers": rates[1], "latency_ms": latencies[len(latencies) // 2]},
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
