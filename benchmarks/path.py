"""The whole path, form to mail at the sink: messages a second, none lost and none twice; and how long one takes."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.district import District, district, folder, post
from benchmarks.figures import Figure, percentile, summary_ms
from benchmarks.mails import Mails, sink
from benchmarks.processes import Failed, line_of, running, usage
from benchmarks.requests import FORM, MIXED, Requests, numbers, token

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUSTAINED, CONNECTIONS = 5_000, 16
SINGLES, WARM_UP = 200, 200
RATE_LIMIT, SHARE_OF_LOOP = 500.0, 0.7
P50_LIMIT_MS, P99_LIMIT_MS = 150.0, 500.0
_FIRST_SINGLE, _FIRST_SUSTAINED = 100_000, 200_000
_ARRIVE_S = 120.0
_REASON = re.compile(r'^signpost_decisions_total\{.*reason="(\w+)".*\} (\S+)$', re.MULTILINE)


async def measure() -> list[Figure]:
    """Return the figures of the whole path; raise `Failed` if a message was lost or forwarded twice."""
    with folder() as where:
        async with sink() as mails, district(where, sink_port=mails.port) as ours:
            await post(ours.port, kind=MIXED, connections=4, count=WARM_UP, seconds=60)
            await mails.until(numbers(0, WARM_UP), _ARRIVE_S)
            latencies = await singles(ours, mails)
            results = await _sustained(ours, mails)
            reasons = await _reasons(ours)
        peer = await _peer(where)
        # Only now, with daemon and sink ended, can no second copy come any more.
        sent = [*numbers(0, WARM_UP), *numbers(_FIRST_SINGLE, SINGLES), *numbers(_FIRST_SUSTAINED, SUSTAINED)]
        mails.account(sent)
    return [*_latency_figures(latencies), *_rate_figures(mails, results, reasons, peer)]


async def _peer(where: Path) -> dict[str, Any]:
    """Let a bare relay loop send as many mails to a sink of the same kind."""
    async with sink() as mails:
        arguments = (str(where / "relay.db"), str(mails.port), str(SUSTAINED))
        async with running("benchmarks.relay_peer", *arguments) as process:
            result: dict[str, Any] = json.loads(await line_of(process, within_s=_ARRIVE_S))
    return result


async def singles(ours: District, mails: Mails, turn: int = 0) -> list[float]:
    """Send messages one after another to the idle daemon; return the seconds from the first byte to the mail.

    Each `turn` has tokens of its own.
    """
    begin = _FIRST_SINGLE + turn * SINGLES
    requests, random, latencies = Requests(FORM, seed=1), Random(2), []
    reader, writer = await asyncio.open_connection("127.0.0.1", ours.port)
    for number in range(begin, begin + SINGLES):
        await asyncio.sleep(random.uniform(0.02, 0.08))  # until the daemon is idle again
        began = time.monotonic()
        writer.write(requests.of(number))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 303"):
            raise Failed(f"a message was refused: {head[:60]!r}")
        await mails.until([token(number)], _ARRIVE_S)
        latencies.append(mails.arrived[token(number)][0] - began)
    writer.close()
    return latencies


async def _sustained(ours: District, mails: Mails) -> dict[str, Any]:
    """Send as fast as they are accepted; return the load generator's results once every mail has arrived.

    `cpu_ms` in them is the processor time per message of the daemon and its children.
    """
    before = usage(ours.process.pid).cpu_s
    results = await post(
        ours.port, kind=MIXED, connections=CONNECTIONS, count=SUSTAINED, seconds=100, first=_FIRST_SUSTAINED
    )
    await mails.until(numbers(_FIRST_SUSTAINED, SUSTAINED), _ARRIVE_S)
    cpu_s = usage(ours.process.pid).cpu_s - before
    return {**results, "cpu_ms": round(1000 * cpu_s / SUSTAINED, 2)}


async def _reasons(ours: District) -> dict[str, int]:
    """Return how many messages were decided for which reason."""
    _status, body = await ours.get("/metrics")
    found: dict[str, int] = {}
    for reason, count in _REASON.findall(body):
        found[reason] = found.get(reason, 0) + int(float(count))
    return found


def _latency_figures(latencies: Sequence[float]) -> list[Figure]:
    found = summary_ms(latencies)
    print(f"path from idle: p50 {found['p50']} ms, p99 {found['p99']} ms", file=sys.stderr)
    return [
        Figure(
            name=f"path.{name}_from_idle",
            value=found[name],
            unit="ms",
            better="lower",
            limit=limit,
            n=len(latencies),
            note="single messages one after another, from the first byte of the POST to the mail's last dot",
            detail={"latency_ms": found},
        )
        for name, limit in (("p50", P50_LIMIT_MS), ("p99", P99_LIMIT_MS))
    ]


def _rate_figures(mails: Mails, results: dict[str, Any], reasons: dict[str, int], peer: dict[str, Any]) -> list[Figure]:
    times = sorted(mails.arrived[each][0] for each in numbers(_FIRST_SUSTAINED, SUSTAINED))
    took = times[-1] - results["first_at"]
    middle = percentile(times, 0.9) - percentile(times, 0.1)
    rate = round(SUSTAINED / took, 1)
    beside = round(peer["mails"] / peer["seconds"], 1)
    print(f"path: {rate}/s, a relay loop {beside}/s, none of {sum(reasons.values())} lost or twice", file=sys.stderr)
    sustained = Figure(
        name="path.sustained",
        value=rate,
        unit="messages/s",
        limit=RATE_LIMIT,
        n=SUSTAINED,
        note="from the first byte of the first POST to the last mail; every token arrived exactly once",
        detail={
            "seconds": round(took, 2),
            "middle_80_percent_per_s": round(0.8 * SUSTAINED / middle, 1),
            "accepted_per_s": results["per_s"],
            "cpu_ms_per_message": results["cpu_ms"],
            "decided_by": reasons,
            "alerts": mails.alerts,
        },
    )
    share = Figure(
        name="path.beside_relay_loop",
        value=round(rate / beside, 3),
        unit="share",
        limit=SHARE_OF_LOOP,
        n=SUSTAINED,
        note="the rate above as a share of a bare loop's: read a row, send it over one connection, mark it, commit",
        detail={"loop_per_s": beside, "loop_cpu_ms_per_mail": round(1000 * peer["cpu_s"] / peer["mails"], 2)},
    )
    return [sustained, share]
