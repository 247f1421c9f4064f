"""Several daemons on one PostgreSQL against a mail server that takes its time: what the second and third add."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from benchmarks.district import District, district, folder, post
from benchmarks.figures import Figure
from benchmarks.mails import Mails, sink
from benchmarks.postgres import databases
from benchmarks.processes import usage
from benchmarks.requests import FORM, numbers

if TYPE_CHECKING:
    from pathlib import Path

DAEMONS, TIMES_ONE = 3, 1.5
LATENCY_S = 0.2
MESSAGES, WARM_UP = 600, 60
_CONNECTIONS, _ARRIVE_S = 8, 240.0


async def measure() -> list[Figure]:
    """Return how many times as much several daemons forward as one; raise `Failed` if anything is lost or doubled."""
    with folder() as where, databases(where, "one", "several") as (one, several):
        alone, cpu_alone = await _rate(where / "one", one, 1)
        together, cpu_together = await _rate(where / "several", several, DAEMONS)
    print(f"scale out: {DAEMONS} daemons {together}/s, one {alone}/s", file=sys.stderr)
    return [
        Figure(
            name="scale_out.times_one",
            value=round(together / alone, 2),
            unit="times",
            limit=TIMES_ONE,
            n=MESSAGES,
            note=f"{DAEMONS} daemons beside one, PostgreSQL, the mail server answers after {1000 * LATENCY_S:g} ms",
            detail={
                "daemons_per_s": together,
                "one_per_s": alone,
                "cpu_ms_per_message": {"daemons": cpu_together, "one": cpu_alone},
            },
        )
    ]


async def _rate(where: Path, store: str, count: int) -> tuple[float, float]:
    """Return how many messages a second so many daemons forwarded, and their processor time for each in ms."""
    async with AsyncExitStack() as running:
        mails = await running.enter_async_context(sink(LATENCY_S))
        daemons = []
        for number in range(count):
            own = where / str(number)
            own.mkdir(parents=True)
            daemons.append(await running.enter_async_context(district(own, sink_port=mails.port, store=store)))
        await _send(daemons, mails, 0, WARM_UP)
        before = _cpu_s(daemons)
        began = await _send(daemons, mails, 1_000, MESSAGES)
        cpu_s = _cpu_s(daemons) - before
    mails.account([*numbers(0, WARM_UP), *numbers(1_000, MESSAGES)])
    took = max(mails.arrived[each][0] for each in numbers(1_000, MESSAGES)) - began
    return round(MESSAGES / took, 1), round(1000 * cpu_s / MESSAGES, 2)


async def _send(daemons: list[District], mails: Mails, first: int, count: int) -> float:
    """Post to all of the daemons, wait until every mail has arrived, and return when the first post began."""
    share = count // len(daemons)
    posts = [
        post(each.port, kind=FORM, connections=_CONNECTIONS, count=share, seconds=100, first=first + place * share)
        for place, each in enumerate(daemons)
    ]
    results = await asyncio.gather(*posts)
    await mails.until(numbers(first, count), _ARRIVE_S)
    began: float = min(result["first_at"] for result in results)
    return began


def _cpu_s(daemons: list[District]) -> float:
    return sum(usage(each.process.pid).cpu_s for each in daemons)
