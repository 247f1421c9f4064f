"""An hour of steady work: whether memory, descriptors and the store stay flat, and what idling costs afterwards.

It runs only if it is asked for by name.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median
from typing import TYPE_CHECKING

from benchmarks.district import District, district, folder, post
from benchmarks.figures import Figure
from benchmarks.mails import sink
from benchmarks.processes import family, usage
from benchmarks.requests import MIXED, numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MINUTES, MINUTES_QUICK = 60, 3
RATE = 5.0  # messages a second: a district of 100,000 students in a bad hour
MEMORY_LIMIT_MB, IDLE_LIMIT, GROWTH_LIMIT = 300.0, 1.0, 0.1
_IDLE_S, _ARRIVE_S, _MB = 60.0, 60.0, 1e6


@dataclass(frozen=True, slots=True)
class _Sample:
    """What the daemon and its children used at the end of a minute, and how large the store was."""

    pss_mb: float
    descriptors: int
    store_mb: float


async def measure(*, quick: bool) -> list[Figure]:
    """Return the figures; raise `Failed` if a message was lost or forwarded twice."""
    minutes = MINUTES_QUICK if quick else MINUTES
    each = int(RATE * 60)
    with folder() as where:
        async with sink() as mails, district(where, sink_port=mails.port) as ours:
            samples = []
            for minute in range(minutes):
                await post(ours.port, kind=MIXED, connections=4, seconds=60, rate=RATE, count=each, first=minute * each)
                await mails.until(numbers(minute * each, each), _ARRIVE_S)
                samples.append(_sample(ours, where))
                print(f"soak: minute {minute + 1}: {samples[-1]}", file=sys.stderr)
            idle = await _idle(ours)
        mails.account(numbers(0, minutes * each))
    return [*_flat(samples, each), _idle_figure(idle)]


def _sample(ours: District, where: Path) -> _Sample:
    store = sum(path.stat().st_size for path in where.glob("signpost.db*"))
    return _Sample(usage(ours.process.pid).pss_mb, _descriptors(ours.process.pid), round(store / _MB, 1))


def _descriptors(pid: int) -> int:
    found = 0
    for each in family(pid):
        with suppress(OSError):
            found += len(list(Path(f"/proc/{each}/fd").iterdir()))
    return found


async def _idle(ours: District) -> float:
    """Return the share of one processor that is used while nothing happens, in percent."""
    before = usage(ours.process.pid).cpu_s
    await asyncio.sleep(_IDLE_S)
    return round(100 * (usage(ours.process.pid).cpu_s - before) / _IDLE_S, 2)


def _flat(samples: Sequence[_Sample], each: int) -> list[Figure]:
    """Return the memory, and by how much of itself each grows in an hour: a line through the second half."""
    half = samples[len(samples) // 2 :]
    memory = Figure(
        name="soak.memory",
        value=round(median(sample.pss_mb for sample in half), 1),
        unit="MB",
        better="lower",
        limit=MEMORY_LIMIT_MB,
        n=len(half),
        note=f"PSS of the daemon and its children while {RATE:g} messages a second flow; the median of the second half",
        detail={"pss_mb": [round(sample.pss_mb) for sample in samples]},
    )
    stored = [sample.store_mb for sample in half]
    kilobytes = 1000 * (stored[-1] - stored[0]) / max(1, each * (len(half) - 1))
    return [
        memory,
        _growth("memory_growth", half, lambda sample: sample.pss_mb, GROWTH_LIMIT),
        _growth("descriptors_growth", half, lambda sample: sample.descriptors, GROWTH_LIMIT),
        Figure(name="soak.store", value=round(kilobytes, 2), unit="kB per message", better="lower", n=len(half),
               note="by how much the store grew in the second half", detail={"mb": stored}),
    ]  # fmt: skip


def _growth(name: str, samples: Sequence[_Sample], of: Callable[[_Sample], float], limit: float) -> Figure:
    values = [of(sample) for sample in samples]
    slope = linear_regression(range(len(values)), values).slope if len(values) > 1 else 0.0
    return Figure(
        name=f"soak.{name}",
        value=round(60 * slope / median(values), 4),
        unit="of itself in an hour",
        better="lower",
        limit=limit,
        n=len(values),
        note="the slope of a line through the second half",
        detail={"values": values},
    )


def _idle_figure(share: float) -> Figure:
    return Figure(
        name="soak.idle_cpu",
        value=share,
        unit="% of one processor",
        better="lower",
        limit=IDLE_LIMIT,
        n=1,
        note=f"over {_IDLE_S:g} s without messages, afterwards",
    )
