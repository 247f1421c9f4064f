"""`python -m benchmarks [accept] [path] [start] [accuracy]`: one JSON object on standard output, progress beside it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING

from benchmarks import accept, accuracy, path, start
from benchmarks.figures import load, machine
from benchmarks.model import bundled_model

if TYPE_CHECKING:
    from benchmarks.figures import Figure

PARTS = ("accept", "path", "start", "accuracy")


async def measure(parts: list[str]) -> list[Figure]:
    """Measure some parts, one after another."""
    figures: list[Figure] = []
    for part in parts:
        print(f"measuring {part} …", file=sys.stderr)
        if part == "accuracy":
            figures += accuracy.measure()
        else:
            figures += await {"accept": accept, "path": path, "start": start}[part].measure()
    return figures


def main() -> None:
    """Measure what was asked for and print it; a missed limit is a figure, not an error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure Signpost on this machine.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(PARTS)} (default: all)")
    parts = parser.parse_args().parts or list(PARTS)
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}: choose from {', '.join(PARTS)}")
    where, began = machine(), time.monotonic()
    bundled_model()  # trained now if it isn't in the cache, so that no start waits for it
    figures = asyncio.run(measure(parts))
    where |= {"load_after": load(), "seconds": round(time.monotonic() - began, 1)}
    print(json.dumps({"machine": where, "figures": [figure.as_json() for figure in figures]}, indent=2))


if __name__ == "__main__":
    main()
