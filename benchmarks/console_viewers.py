"""What two hundred people with the console's list open cost those who write: rounds with them and without, in turns."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import asynccontextmanager
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks import path
from benchmarks.console_pages import prepared
from benchmarks.console_past import SCHOOLS
from benchmarks.district import district, folder
from benchmarks.figures import Figure, load, summary_ms
from benchmarks.mails import sink
from benchmarks.processes import Failed, line_of, running, usage
from benchmarks.viewers import LOOK_S, NEWS_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from benchmarks.district import District

ROWS, ROWS_QUICK = 100_000, 5_000
VIEWERS, TIMES = 200, 1.5
_PAIRS, _PAIRS_QUICK = 5, 2
_PEOPLE = ("all", "half", "desk", "school", "both")


async def measure(*, quick: bool) -> list[Figure]:
    """Return the figure; raise `Failed` if a viewer isn't answered or a message is lost."""
    rows, pairs = (ROWS_QUICK, _PAIRS_QUICK) if quick else (ROWS, _PAIRS)
    with folder() as where:
        return [await measured(where, f"sqlite:///{where}/signpost.db", rows, pairs)]


async def measured(where: Path, url: str, rows: int, pairs: int) -> Figure:
    """Fill a store if it is empty, and send messages, one after another, while people watch and while nobody does."""
    tokens, _ = await prepared(url, rows, _PEOPLE, VIEWERS // len(_PEOPLE))
    (where / "tokens").write_text("\n".join(each for these in tokens.values() for each in these))
    alone, watched = [], []
    async with sink() as mails, district(where, sink_port=mails.port, store=url, console=True, schools=SCHOOLS,
                                         learning={"retrain_after": 0}) as ours:  # fmt: skip
        await path.singles(ours, mails, 2 * pairs)  # until all is warm
        for pair in range(pairs):
            alone.append(await _round(ours, lambda pair=pair: path.singles(ours, mails, 2 * pair)))
            async with _viewers(ours, where / "tokens"):
                watched.append(await _round(ours, lambda pair=pair: path.singles(ours, mails, 2 * pair + 1)))
            print(f"console_viewers: alone {alone[-1]}, watched {watched[-1]}", file=sys.stderr)
    return _figure(alone, watched)


async def _round(ours: District, send: Any) -> dict[str, float]:
    """Return the latencies of a round in ms, and the share of a processor that the daemon used."""
    before, began = usage(ours.process.pid).cpu_s, time.monotonic()
    latencies = await send()
    share = (usage(ours.process.pid).cpu_s - before) / (time.monotonic() - began)
    return summary_ms(latencies) | {"cpu": round(share, 3)}


@asynccontextmanager
async def _viewers(ours: District, tokens: Path) -> AsyncIterator[None]:
    async with running("benchmarks.viewers", "--port", str(ours.port), str(tokens)) as process:
        await line_of(process, within_s=120)
        await asyncio.sleep(NEWS_S)
        yield
        if process.returncode is not None:
            raise Failed("a viewer gave up")


def _figure(alone: Sequence[dict[str, float]], watched: Sequence[dict[str, float]]) -> Figure:
    middle = [{name: median(each[name] for each in rounds) for name in rounds[0]} for rounds in (alone, watched)]
    ratios = {name: round(middle[1][name] / middle[0][name], 2) for name in ("p50", "p90", "p99")}
    return Figure(
        name="console.viewers",
        value=ratios["p99"],
        unit="times",
        better="lower",
        limit=TIMES,
        n=len(alone) * path.SINGLES,
        note=f"p99 from a form to its mail while {VIEWERS} people have the list open, beside that without them, "
        f"medians of {len(alone)} rounds each, in turns; each asks for news every {NEWS_S:g} s and looks at the list "
        f"every {LOOK_S:g} s",
        detail={"ratios": ratios, "alone_ms": list(alone), "watched_ms": list(watched), "load": load()},
    )


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--url", default="", help="of a database; otherwise an SQLite file is made and removed")
    parser.add_argument("--pairs", type=int, default=_PAIRS)
    given = parser.parse_args()
    with folder() as where:
        url = given.url or f"sqlite:///{where}/signpost.db"
        print(json.dumps(asyncio.run(measured(where, url, given.rows, given.pairs)).as_json(), indent=1))


if __name__ == "__main__":
    _main()
