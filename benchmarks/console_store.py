"""What the console asks of a large store: lists, filters, searches and counts, the worst cases on purpose.

`python -m benchmarks.console_store --rows 1000000 [--url postgresql://…]` measures more rows, or another database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import console_past
from benchmarks.console_past import DEPARTMENTS, RARE, SCHOOLS, SURNAMES
from benchmarks.district import folder
from benchmarks.figures import Figure
from benchmarks.postgres import databases
from router.store import inbox, inbox_news
from router.store.engine import open_store
from router.store.inbox import Filters
from router.store.scope import EVERYTHING, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from router.store.engine import Store

ROWS, ROWS_QUICK = 100_000, 10_000
LIMIT_MS, LIMIT_LARGE_MS = 50.0, 100.0  # of a page, with 100,000 messages and with a million
_LARGE = 500_000
_ROUNDS = 15
_RARE_SCOPE = Scope(departments=frozenset({RARE}))
_SOME_SCOPE = Scope(departments=frozenset(DEPARTMENTS[:3]), schools=frozenset({SCHOOLS[1]}))
_ASKED: dict[str, tuple[Scope, Filters]] = {
    "all": (EVERYTHING, Filters()),
    "rare_scope": (_RARE_SCOPE, Filters()),
    "some_scope": (_SOME_SCOPE, Filters()),
    "no_hits": (EVERYTHING, Filters(department=RARE, reason="correction")),
    "never_together": (EVERYTHING, Filters(department=RARE, school=SCHOOLS[1], urgent=True)),
    "unsure": (EVERYTHING, Filters(below=0.3, urgent=True)),
    "common_word": (EVERYTHING, Filters(text="the ")),
    "common_word_begun": (EVERYTHING, Filters(text="th")),
    "no_word": (EVERYTHING, Filters(text="zxqv")),
    "common_word_rare_scope": (_RARE_SCOPE, Filters(text="the ")),
    "phrase": (EVERYTHING, Filters(text='"school bus"')),
    "no_phrase_of_common_words": (EVERYTHING, Filters(text='"the the bus"')),
    "rare_word_some_scope": (_SOME_SCOPE, Filters(text=f"{SURNAMES[77]} ")),
    "all_but_a_common_word": (EVERYTHING, Filters(text="-the")),
}


async def measure(*, quick: bool) -> list[Figure]:
    """Return the figures of both databases."""
    rows = ROWS_QUICK if quick else ROWS
    with folder() as where, databases(where, "console") as (postgresql,):
        return [_figure(await asked_of(url, rows), rows) for url in (f"sqlite:///{where}/signpost.db", postgresql)]


def _figure(found: dict[str, Any], rows: int) -> Figure:
    took: dict[str, float] = found["p95_ms"]
    worst = max(took, key=took.__getitem__)
    return Figure(
        name=f"console_store.{found['dialect']}",
        value=took[worst],
        unit="ms",
        better="lower",
        limit=LIMIT_LARGE_MS if rows >= _LARGE else LIMIT_MS,
        n=_ROUNDS,
        note=f"the slowest list, search or count with {rows:,} messages ({worst}), 95th percentile",
        detail=found,
    )


async def asked_of(url: str, rows: int) -> dict[str, Any]:
    """Fill an empty store and return what each question takes, and what making the rows, index and sums took."""
    store = open_store(url)
    await store.open()
    try:
        made = await console_past.make(store, rows)
        p95 = {}
        for name, (scope, filters) in _ASKED.items():
            p95[name] = await _p95(store, partial(inbox.page, scope=scope, filters=filters))
            p95[f"{name}.count"] = await _p95(store, partial(inbox.count, scope=scope, filters=filters))
        last = await store.read(inbox_news.version)
        p95["news"] = await _p95(store, lambda c: inbox_news.news(c, _SOME_SCOPE, last - 20))
    finally:
        await store.close()
    return {"rows": rows, "dialect": store.dialect, "made": asdict(made), "p95_ms": p95}


async def _p95(store: Store, work: Callable[[Connection], Any]) -> float:
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await store.read(work)
        took.append(time.perf_counter() - began)
    return round(1000 * sorted(took)[int(0.95 * len(took))], 2)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--url", default="", help="of an empty database; otherwise an SQLite file is made and removed")
    given = parser.parse_args()
    with folder() as where:
        url = given.url or f"sqlite:///{where}/signpost.db"
        print(json.dumps(asyncio.run(asked_of(url, given.rows)), indent=1))


if __name__ == "__main__":
    _main()
