"""A mailbox in which 100,000 mails wait: how long a new message takes all the same, and whether memory stays flat."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.district import District, district, folder
from benchmarks.figures import Figure, summary_ms
from benchmarks.letters import letter
from benchmarks.mailbox import mailbox
from benchmarks.mails import Mails, sink
from benchmarks.processes import Failed, usage
from benchmarks.requests import FORM, Requests, numbers, token
from tests.integration.dovecot import Dovecot

if TYPE_CHECKING:
    from collections.abc import Sequence

MANY, MANY_QUICK = 100_000, 3_000
LATEST_MS, GROWTH = 2_000.0, 1.1
_FIRST_FORM = 1_000_000
_PER_MAIL_S, _EVERY_S = 0.05, 4.0


@dataclass(slots=True)
class _Seen:
    """What was seen while mails waited: seconds that each form took, and the daemon's memory in MB."""

    latencies: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


async def measure(*, quick: bool) -> list[Figure]:
    """Return the figures; raise `Failed` if a message was lost or forwarded twice."""
    count = MANY_QUICK if quick else MANY
    with folder() as where, Dovecot.make() as server:
        server.deliver_all(letter(number) for number in range(count))
        async with sink() as mails:
            sources = mailbox(where, server.port)
            async with district(where, sink_port=mails.port, sources=sources) as ours:
                began = time.monotonic()
                seen = await _watched(ours, mails, count)
                took = time.monotonic() - began
        mails.account([*numbers(0, count), *numbers(_FIRST_FORM, len(seen.latencies))])
    return _figures(seen, count, took)


async def _watched(ours: District, mails: Mails, count: int) -> _Seen:
    """Post a form every few seconds, and look at the memory, until all mails have arrived."""
    requests, seen = Requests(FORM, seed=5), _Seen()
    everything = asyncio.create_task(mails.until(numbers(0, count), 60 + _PER_MAIL_S * count))
    try:
        while not everything.done():
            number = _FIRST_FORM + len(seen.latencies)
            seen.latencies.append(await _one(ours, mails, requests.of(number), token(number)))
            seen.memory.append(usage(ours.process.pid).pss_mb)
            await asyncio.wait([everything], timeout=_EVERY_S)
        await everything
    finally:
        everything.cancel()
    return seen


async def _one(ours: District, mails: Mails, request: bytes, name: str) -> float:
    """Return the seconds from a form's first byte to its mail."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", ours.port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    if not head.startswith(b"HTTP/1.1 303"):
        raise Failed(f"a message was refused: {head[:60]!r}")
    await mails.until([name], 60)
    return mails.arrived[name][0] - began


def _figures(seen: _Seen, count: int, took: float) -> list[Figure]:
    found, growth = summary_ms(seen.latencies), _growth(seen.memory)
    slowest = round(1000 * max(seen.latencies), 1)
    note = f"{count:,} mails wait in a mailbox on Dovecot; meanwhile a form every {_EVERY_S:g} s"
    detail: dict[str, Any] = {"latency_ms": found, "mails_per_s": round(count / took, 1)}
    print(f"deluge: {detail['mails_per_s']}/s, forms {found}, memory {growth:.2f}", file=sys.stderr)
    return [
        Figure(
            name="deluge.slowest_form",
            value=slowest,
            unit="ms",
            better="lower",
            limit=LATEST_MS,
            n=len(seen.latencies),
            note=f"{note}: from its first byte to its mail",
            detail=detail,
        ),
        Figure(
            name="deluge.memory",
            value=growth,
            unit="times",
            better="lower",
            limit=GROWTH,
            n=len(seen.memory),
            note=f"{note}: PSS in the last quarter beside the second one (medians)",
            detail={"pss_mb": [round(each) for each in seen.memory[:: max(1, len(seen.memory) // 24)]]},
        ),
    ]


def _growth(memory: Sequence[float]) -> float:
    quarter = max(1, len(memory) // 4)
    return round(median(memory[-quarter:]) / median(memory[quarter : 2 * quarter] or memory[:1]), 3)
