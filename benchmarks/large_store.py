"""A store with a million messages beside one with a thousand: the whole path's rate, and how long `status` takes.

The million are copies of messages that the daemon routed, made inside the database: two minutes, some 4 GB.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from contextlib import closing
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.district import district, folder, post
from benchmarks.figures import Figure
from benchmarks.mails import sink
from benchmarks.processes import usage
from benchmarks.requests import MIXED, numbers
from router.interfaces import SystemClock
from router.store.engine import open_store
from router.store.ledger import status
from router.store.tables import decisions, deliveries, messages, originals

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sqlalchemy import Table

FEW, MANY, MANY_QUICK = 1_000, 1_000_000, 100_000
SHARE, STATUS_LIMIT_MS = 0.9, 50.0
_SENT, _CONNECTIONS = 3_000, 16
_ARRIVE_S = 180.0
_LOOKS = 20
_AT_ONCE = 100_000  # copies in one transaction: bounds the write-ahead log


async def measure(*, quick: bool) -> list[Figure]:
    """Return the figures; raise `Failed` if a message was lost or forwarded twice."""
    many = MANY_QUICK if quick else MANY
    with folder() as where:
        few = await _measured(where, first=0, stored=FEW)
        began = time.monotonic()
        await asyncio.to_thread(fill, where / "signpost.db", many)
        print(f"large_store: filled in {time.monotonic() - began:.0f} s", file=sys.stderr)
        lots = await _measured(where, first=FEW + _SENT, stored=0)
        size = (where / "signpost.db").stat().st_size / 1e9
    print(f"large_store: {lots['per_s']}/s, {few['per_s']}/s with few; status {lots['status_ms']} ms", file=sys.stderr)
    beside = {"with": lots, "with_few": few, "stored": many, "gigabytes": round(size, 2)}
    return [
        Figure(
            name="large_store.path",
            value=round(few["cpu_ms"] / lots["cpu_ms"], 3),
            unit="share",
            limit=SHARE,
            n=_SENT,
            note="processor time per message of the whole path on a store that holds a thousand messages, as a share "
            "of that on one that holds a million; the rates are in the detail",
            detail=beside,
        ),
        Figure(
            name="large_store.status",
            value=lots["status_ms"],
            unit="ms",
            better="lower",
            limit=STATUS_LIMIT_MS,
            n=_LOOKS,
            note="all counts of `signpost status`, read from the store; the median",
            detail={"with_few_ms": few["status_ms"]},
        ),
    ]


async def _measured(where: Path, *, first: int, stored: int) -> dict[str, Any]:
    """Route `stored` messages unmeasured, then measure; tokens count up from `first`."""
    async with sink() as mails, district(where, sink_port=mails.port) as ours:
        warm = max(stored, 200)
        await post(ours.port, kind=MIXED, connections=4, count=warm, seconds=100, first=first)
        await mails.until(numbers(first, warm), _ARRIVE_S)
        first += warm
        before = usage(ours.process.pid).cpu_s
        results = await post(ours.port, kind=MIXED, connections=_CONNECTIONS, count=_SENT, seconds=100, first=first)
        await mails.until(numbers(first, _SENT), _ARRIVE_S)
        cpu_s = usage(ours.process.pid).cpu_s - before
        took = max(mails.arrived[each][0] for each in numbers(first, _SENT)) - results["first_at"]
        looked = await _status_ms(where / "signpost.db")
    mails.account(numbers(first - warm, warm + _SENT))
    return {
        "per_s": round(_SENT / took, 1),
        "accepted_per_s": results["per_s"],
        "cpu_ms": round(1000 * cpu_s / _SENT, 2),
        "status_ms": looked,
    }


async def _status_ms(path: Path) -> float:
    store = open_store(f"sqlite:///{path}", read_only=True)
    await store.open()
    try:
        took = []
        for _ in range(_LOOKS):
            began = time.perf_counter()
            await store.read(lambda c: status(c, SystemClock().now()))
            took.append(time.perf_counter() - began)
    finally:
        await store.close()
    return round(1000 * median(took), 2)


def fill(path: Path, count: int) -> None:
    """Let a store hold `count` messages: copies of the first hundred that were routed, a minute apart, years ago."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (there,) = connection.execute("SELECT count(*) FROM messages").fetchone()
        (decided,) = connection.execute("SELECT max(id) FROM decisions").fetchone()
        (sent,) = connection.execute("SELECT max(id) FROM deliveries").fetchone()
        connection.execute(
            "CREATE TEMP TABLE pattern AS SELECT row_number() OVER (ORDER BY m.id) - 1 AS place, m.id AS message, "
            "m.decision_id AS decision, min(d.id) AS delivery FROM messages m JOIN deliveries d ON d.message_id = m.id "
            "WHERE m.state = 'routed' AND d.state = 'delivered' GROUP BY m.id LIMIT 100"
        )
        (patterns,) = connection.execute("SELECT count(*) FROM pattern").fetchone()
        for begin in range(there, count, _AT_ONCE):
            bounds = {"first": begin, "last": min(begin + _AT_ONCE, count) - 1}
            with connection:
                connection.execute("BEGIN")
                for statement in _copies(decided + 1, sent + 1, patterns):
                    connection.execute(statement, bounds)


def _copies(first_decision: int, first_delivery: int, patterns: int) -> list[str]:
    """Return what copies messages with all that belongs to them; `n` counts the copies."""
    own = {"id": "printf('c%011d', n)", "sha256": "hex(randomblob(32))", "external_id": "printf('<c%d@x.example>', n)"}
    own |= {"source_key": "printf('copy-%d', n)", "sender": "printf('family-c%d@families.example', n)"}
    own |= {"decision_id": f"{first_decision} + n", "received_at": "strftime('%Y-%m-%d %H:%M:%f', 1500000000 + 60 * n, "
            "'unixepoch') || '000'"}  # fmt: skip
    of = {"message_id": own["id"], "decision_id": own["decision_id"]}
    return [
        _copy(messages, own, "message", patterns),
        _copy(originals, {"message_id": own["id"]}, "message", patterns, key="message_id"),
        _copy(decisions, {"id": own["decision_id"], "message_id": own["id"]}, "decision", patterns),
        _copy(deliveries, {"id": f"{first_delivery} + n", **of}, "delivery", patterns),
    ]


def _copy(table: Table, own: Mapping[str, str], pattern: str, patterns: int, key: str = "id") -> str:
    names = ", ".join(f'"{column.name}"' for column in table.columns)
    values = ", ".join(own.get(column.name, f'p."{column.name}"') for column in table.columns)
    series = "WITH RECURSIVE s(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM s WHERE n < :last)"
    source = f"s JOIN pattern ON place = n % {patterns} JOIN {table.name} p ON p.{key} = pattern.{pattern}"
    return f"INSERT INTO {table.name} ({names}) {series} SELECT {values} FROM {source}"
