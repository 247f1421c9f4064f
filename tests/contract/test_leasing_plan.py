"""Taking up deliveries costs the same however many messages are stored."""

from __future__ import annotations

from sqlalchemy import text

from router.store.deliveries import _SIZE


async def test_the_size_of_an_original_is_found_by_its_key(sqlite_store):
    """What an UPDATE returns on SQLite has no affinity: compared as it is, it would be looked for in all originals."""
    statement = f"EXPLAIN QUERY PLAN UPDATE deliveries SET attempts = 1 WHERE id = 1 RETURNING {_SIZE} AS size"
    steps = await sqlite_store.write(lambda c: [row[3] for row in c.execute(text(statement))])
    assert any(step.startswith("SEARCH o USING") for step in steps)
    assert not any(step.startswith("SCAN") for step in steps)
