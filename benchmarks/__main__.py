"""`python -m benchmarks [PART]…`: one JSON object on standard output, progress beside it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks import accept, accuracy, large, mailbox, outage, path, start
from benchmarks.figures import load, machine
from benchmarks.model import bundled_model
from benchmarks.processes import Failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.figures import Figure


async def _accuracy() -> list[Figure]:
    return accuracy.measure()


_MEASURES: dict[str, Callable[[], Awaitable[list[Figure]]]] = {
    "accept": accept.measure,
    "path": path.measure,
    "mailbox": mailbox.measure,
    "large": large.measure,
    "outage": outage.measure,
    "start": start.measure,
    "accuracy": _accuracy,
}


def main() -> int:
    """Measure what was asked for, print it, and return the exit status.

    A missed limit is a figure, not an error; 1 means that a part couldn't be measured, or that a message was lost.
    """
    parts = _parts()
    where, began = machine(), time.monotonic()
    figures: list[Figure] = []
    failures: list[str] = []
    for part in parts:
        print(f"measuring {part} …", file=sys.stderr)
        bundled_model()  # trained now if it isn't in the cache, so that no start waits for it
        try:
            figures += asyncio.run(_run(_MEASURES[part]))
        except Failed as failure:
            failures.append(f"{part}: {failure}")
            print(failures[-1], file=sys.stderr)
    where |= {"load_after": load(), "seconds": round(time.monotonic() - began, 1)}
    report = {"machine": where, "figures": [figure.as_json() for figure in figures], "failures": failures}
    print(json.dumps(report, indent=2))
    return 1 if failures else 0


async def _run(measure: Callable[[], Awaitable[list[Figure]]]) -> list[Figure]:
    return await measure()


def _parts() -> list[str]:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Signpost on this machine.")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(_MEASURES)} (default: all)"
    )
    parts: list[str] = parser.parse_args().parts or list(_MEASURES)
    if unknown := [part for part in parts if part not in _MEASURES]:
        parser.error(f"there is no part {unknown[0]!r}: choose from {', '.join(_MEASURES)}")
    return parts


if __name__ == "__main__":
    sys.exit(main())
