"""What is stored isn't kept in memory as well."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from router.store import artifacts, models
from router.store.models import CHALLENGER, ModelRow

if TYPE_CHECKING:
    from router.store.engine import Store

SIZE = 48_000_000


def own_bytes() -> int:
    """Return how much memory is this process's alone (proc(5), smaps_rollup)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Anonymous:"))


async def test_a_stored_model_leaves_the_memory(sqlite_store: Store) -> None:
    """SQLite's driver keeps what a statement was given last: of a model no more than a piece."""
    before = own_bytes()
    await sqlite_store.write(lambda c: models.add(c, row(sqlite_store), Random(1).randbytes(SIZE)))
    assert own_bytes() - before < SIZE * 2 // 3  # SQLite's own cache of pages is 16 MB
    assert await sqlite_store.read(lambda c: artifacts.read(c, "a" * 12)) == Random(1).randbytes(SIZE)


def row(store: Store) -> ModelRow:
    """Return a version."""
    return ModelRow(
        version="a" * 12, type="linear", state=CHALLENGER, created_at=store.clock.now(), fingerprint="f", sha256="s"
    )
