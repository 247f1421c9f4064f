"""`python -m benchmarks [PART]…`: one JSON object on standard output, progress beside it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks import (
    accept,
    accuracy,
    console_pages,
    console_store,
    console_viewers,
    deluge,
    drift,
    embed,
    failpoints,
    gate,
    hostile,
    intents,
    large,
    large_store,
    mailbox,
    outage,
    path,
    scale_out,
    soak,
    speed,
    start,
    thresholds,
    urgent,
)
from benchmarks.figures import load, machine
from benchmarks.learning import measure as learning
from benchmarks.model import bundled_model
from benchmarks.processes import Failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.figures import Figure


async def _accuracy() -> list[Figure]:
    return accuracy.measure()


async def _failpoints() -> list[Figure]:
    return failpoints.measure()


def _at_once(measure: Callable[..., list[Figure]]) -> Callable[..., Awaitable[list[Figure]]]:
    """Return a measurement that knows `quick` in the form in which the others are asked."""

    async def run(*, quick: bool) -> list[Figure]:
        return measure(quick=quick)

    return run


def _whole(measure: Callable[[], Awaitable[list[Figure]]]) -> Callable[..., Awaitable[list[Figure]]]:
    """Return a measurement that is the same in a quick run."""

    async def run(*, quick: bool) -> list[Figure]:  # noqa: ARG001  every measurement is asked alike
        return await measure()

    return run


_MEASURES: dict[str, Callable[..., Awaitable[list[Figure]]]] = {
    "accept": _whole(accept.measure),
    "path": _whole(path.measure),
    "mailbox": _whole(mailbox.measure),
    "large": _whole(large.measure),
    "large_store": large_store.measure,
    "console_pages": console_pages.measure,
    "console_store": console_store.measure,
    "console_viewers": console_viewers.measure,
    "hostile": _whole(hostile.measure),
    "deluge": deluge.measure,
    "scale_out": _whole(scale_out.measure),
    "outage": _whole(outage.measure),
    "start": _whole(start.measure),
    "failpoints": _whole(_failpoints),
    "accuracy": _whole(_accuracy),
    "urgent": _at_once(urgent.measure),
    "thresholds": _at_once(thresholds.measure),
    "speed": _at_once(speed.measure),
    "intents": _at_once(intents.intents),
    "embed": _at_once(embed.measure),
    "transfer": _at_once(intents.transfer),
    "gate": _at_once(gate.measure),
    "drift": _at_once(drift.measure),
    "learning": learning.measure,
    "scale": speed.million,
    "soak": soak.measure,
}
_LONG = ("deluge", "soak")
"""What is measured only if it is asked for: a quarter of an hour, and an hour."""
_QUICK = ("start", "accuracy", "speed", "intents")
"""What a quick run measures: two minutes instead of twenty."""


def main() -> int:
    """Measure what was asked for, print it, and return the exit status.

    A missed limit is a figure, not an error; 1 means that a part couldn't be measured, or that a message was lost.
    """
    parts, quick = _asked()
    where, began = machine(), time.monotonic()
    figures: list[Figure] = []
    failures: list[str] = []
    for part in parts:
        print(f"measuring {part} …", file=sys.stderr)
        bundled_model()  # trained now if it isn't in the cache, so that no start waits for it
        try:
            figures += asyncio.run(_run(_MEASURES[part], quick=quick))
        except Failed as failure:
            failures.append(f"{part}: {failure}")
            print(failures[-1], file=sys.stderr)
    where |= {"load_after": load(), "seconds": round(time.monotonic() - began, 1)}
    report = {"machine": where, "figures": [figure.as_json() for figure in figures], "failures": failures}
    print(json.dumps(report, indent=2))
    return 1 if failures else 0


async def _run(measure: Callable[..., Awaitable[list[Figure]]], *, quick: bool) -> list[Figure]:
    return await measure(quick=quick)


def _asked() -> tuple[list[str], bool]:
    """Return what to measure, and whether quickly."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Signpost on this machine.")
    parser.add_argument(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"what to measure: {', '.join(_MEASURES)} (default: all but {', '.join(_LONG)})",
    )
    parser.add_argument(
        "--quick", action="store_true", help=f"measure less of a part (without a part: {', '.join(_QUICK)})"
    )
    asked = parser.parse_args()
    parts: list[str] = asked.parts or [part for part in (_QUICK if asked.quick else _MEASURES) if part not in _LONG]
    if unknown := [part for part in parts if part not in _MEASURES]:
        parser.error(f"there is no part {unknown[0]!r}: choose from {', '.join(_MEASURES)}")
    return parts, bool(asked.quick)


if __name__ == "__main__":
    sys.exit(main())
