"""Starting and idling: time to /readyz, memory and processor time of the daemon and its children."""

from __future__ import annotations

import asyncio
import sys
from statistics import median

from benchmarks.district import District, district, folder, post
from benchmarks.figures import Figure
from benchmarks.mails import sink
from benchmarks.model import bundled_model
from benchmarks.processes import Usage, usage
from benchmarks.requests import MIXED, numbers

STARTS = 5
START_LIMIT_S, MEMORY_LIMIT_MB = 4.0, 300.0
IDLE_S, SETTLE_S = 20.0, 2.0
_MESSAGES = 50


async def measure() -> list[Figure]:
    """Return the figures of starting and idling."""
    first = [await _start() for _ in range(STARTS)]
    print(f"start: {median(first):.2f} s with an empty store", file=sys.stderr)
    with folder() as where:
        async with sink() as mails:
            async with district(where, sink_port=mails.port) as ours:
                await post(ours.port, kind=MIXED, connections=1, count=_MESSAGES, seconds=30)
                await mails.until(numbers(0, _MESSAGES), 60)
                before, after = await _idle(ours)
            async with district(where, sink_port=mails.port) as again:
                restart_s = again.start_s
    return [_start_figure(first, restart_s), *_idle_figures(before, after)]


async def _start() -> float:
    bundled_model()  # in the cache even if a source file, and so the model's key, has just changed
    with folder() as where:
        async with district(where) as ours:
            return ours.start_s


async def _idle(ours: District) -> tuple[Usage, Usage]:
    """Return what is used at the beginning and the end of a while without messages."""
    await asyncio.sleep(SETTLE_S)
    before = usage(ours.process.pid)
    await asyncio.sleep(IDLE_S)
    return before, usage(ours.process.pid)


def _start_figure(first: list[float], restart_s: float) -> Figure:
    return Figure(
        name="start.ready",
        value=round(median(first), 3),
        unit="s",
        better="lower",
        limit=START_LIMIT_S,
        n=len(first),
        note="median from process start to the first 200 of /readyz: empty store, bundled model in the cache",
        detail={"starts_s": [round(each, 3) for each in first], "restart_s": round(restart_s, 3)},
    )


def _idle_figures(before: Usage, after: Usage) -> list[Figure]:
    share = (after.cpu_s - before.cpu_s) / IDLE_S
    print(f"idle: {after.pss_mb} MB, {share:.2%} of a processor", file=sys.stderr)
    return [
        Figure(
            name="idle.memory",
            value=after.pss_mb,
            unit="MB",
            better="lower",
            limit=MEMORY_LIMIT_MB,
            n=after.processes,
            note=f"PSS of the daemon and its children together, {IDLE_S + SETTLE_S:g} s after {_MESSAGES} messages",
            detail={"rss_mb": after.rss_mb, "processes": after.processes},
        ),
        Figure(
            name="idle.cpu",
            value=round(100 * share, 3),
            unit="% of one processor",
            better="lower",
            n=1,
            note=f"over {IDLE_S:g} s, daemon and children together",
        ),
    ]
