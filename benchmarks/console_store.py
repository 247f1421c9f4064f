"""What the console asks of a large store: lists, filters, searches and counts, the worst cases on purpose.

`python -m benchmarks.console_store --rows 1000000 [--url postgresql://…]` measures more rows, or another database.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, text

from benchmarks.district import folder
from benchmarks.figures import Figure
from benchmarks.postgres import databases
from router.indexing import LEASE, Indexing
from router.ownership import Ownership
from router.store import daemons, inbox
from router.store.engine import open_store
from router.store.inbox import Filters
from router.store.scope import EVERYTHING, Scope
from router.store.tables import decisions, messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from router.store.engine import Store

ROWS, ROWS_QUICK = 100_000, 10_000
LIMIT_MS, LIMIT_LARGE_MS = 50.0, 100.0  # of a page, with 100,000 messages and with a million
_LARGE = 500_000
_ROUNDS, _AT_ONCE = 15, 2_000
_BEGAN = datetime(2025, 1, 6, tzinfo=UTC)
_DEPARTMENTS = [f"department-{number}" for number in range(16)]
_RARE = "archive"  # one message of a thousand
_REASONS = ("model", "model", "model", "rule", "thread", "abstained")
_RARE_SCOPE = Scope(departments=frozenset({_RARE}))
_SOME_SCOPE = Scope(departments=frozenset(_DEPARTMENTS[:3]), schools=frozenset({"school-1"}))
_ASKED: dict[str, tuple[Scope, Filters]] = {
    "all": (EVERYTHING, Filters()),
    "rare_scope": (_RARE_SCOPE, Filters()),
    "some_scope": (_SOME_SCOPE, Filters()),
    "no_hits": (EVERYTHING, Filters(department=_DEPARTMENTS[0], reason="disputed")),
    "never_together": (EVERYTHING, Filters(department=_RARE, school="school-1")),
    "unsure": (EVERYTHING, Filters(below=0.3, urgent=True)),
    "word_in_all": (EVERYTHING, Filters(text="school ")),
    "word_in_all_begun": (EVERYTHING, Filters(text="schoo")),
    "word_in_none": (EVERYTHING, Filters(text="zebra")),
    "word_in_all_rare_scope": (_RARE_SCOPE, Filters(text="school ")),
    "phrase_in_all": (EVERYTHING, Filters(text='"the school"')),
    "phrase_in_none_of_common_words": (EVERYTHING, Filters(text='"school the"')),
    "rare_word_some_scope": (_SOME_SCOPE, Filters(text="word77 ")),
    "all_but_a_word_in_all": (EVERYTHING, Filters(text="-school")),
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
    """Fill an empty store, index it and return what each question takes, and what indexing one message took."""
    store = open_store(url)
    await store.open()
    try:
        await fill(store, rows)
        index_ms = await index(store) / rows * 1000
        if store.dialect == "postgresql":
            await store.write(lambda c: c.execute(text("ANALYZE")))  # as autovacuum does within a minute
        p95 = {}
        for name, (scope, filters) in _ASKED.items():
            p95[name] = await _p95(store, partial(inbox.page, scope=scope, filters=filters))
            p95[f"{name}.count"] = await _p95(store, partial(inbox.count, scope=scope, filters=filters))
        p95["news"] = await _p95(store, lambda c: inbox.news(c, rows - 20))
    finally:
        await store.close()
    return {"rows": rows, "dialect": store.dialect, "index_ms_per_message": round(index_ms, 3), "p95_ms": p95}


async def _p95(store: Store, work: Callable[[Connection], Any]) -> float:
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        await store.read(work)
        took.append(time.perf_counter() - began)
    return round(1000 * sorted(took)[int(0.95 * len(took))], 2)


async def index(store: Store) -> float:
    """Let them be found; return the seconds it took."""
    now = store.clock.now() if store.dialect == "sqlite" else None
    await store.write(lambda c: daemons.register(c, "benchmark", now, alone=False))
    indexing = Indexing(store, Ownership(store, LEASE, "benchmark", lambda: True), lambda: True, part=1.0)
    began, done = time.perf_counter(), 0
    while step := await indexing.look():
        done += step
    print(f"console_store: {done} indexed in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return time.perf_counter() - began


async def fill(store: Store, rows: int) -> None:
    """Write so many messages with decisions, without originals."""
    random = Random(7)
    for first in range(0, rows, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, rows))
        told = [_message(random, number) for number in numbers]
        judged = [_decision(random, number) for number in numbers]

        def work(connection: Connection, told: Any = told, judged: Any = judged) -> None:
            connection.execute(insert(messages), told)
            connection.execute(insert(decisions), judged)

        await store.write(work)


def _message(random: Random, number: int) -> dict[str, Any]:
    words = " ".join(f"word{int(random.paretovariate(0.6)) % 20_000}" for _ in range(40))
    content = {"subject": f"About number {number}", "text": f"Dear all, the school {words}", "language": "en"}
    content["sender"] = f"family-{number % 30_000}@families.example"
    own = {"id": f"B{number:011d}", "source_key": f"k{number}", "sha256": f"{number:064d}"}
    fixed: dict[str, Any] = {
        "channel": "mail" if number % 3 else "form",
        "medium": "email",
        "facts": {},
        "state": "routed",
    }
    return own | fixed | {"received_at": _at(number), "decision_id": number + 1, "content": content}


def _decision(random: Random, number: int) -> dict[str, Any]:
    rare = number % 1000 == 0
    return {
        "id": number + 1,
        "message_id": f"B{number:011d}",
        "department": _RARE if rare else random.choice(_DEPARTMENTS),
        "reason": random.choice(_REASONS),
        "confidence": random.random(),
        "urgent": "a weapon" if random.random() < 0.01 else "",
        "school": "" if rare else random.choice(("", "school-1", "school-2")),
        "suggestions": [],
        "decided_at": _at(number),
    }


def _at(number: int) -> datetime:
    return _BEGAN + timedelta(seconds=30 * number)


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
