"""Indexes that a migration adds to tables in use: PostgreSQL builds them after it, while others go on writing.

Built inside the migration's transaction an index keeps every writer of its table waiting until all migrations are done.
So they are only noted there, in that transaction, and built afterwards (`CREATE INDEX CONCURRENTLY`), one daemon at a
time. What isn't built yet stays noted: a start that is cut short, or that something holds up for too long, such as a
backup that is being made, leaves it to the next one. Until then everything works, only slower.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import asyncpg  # type: ignore[import-untyped]

from router.store import cursors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    Noted = dict[str, Any]

NOTED = "indexes"  # in Alembic's configuration: the list that `add` notes them in, None to build them at once
_CHANNEL, _KEY = ":schema", "index "  # where each is noted, by its name; no channel can be named so
_LOCK = 0x519705B  # the advisory lock of whoever builds them: a number that nothing else has
_PATIENCE = "60s"  # for others' transactions that are older than the index: it must wait for their end
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


def add(name: str, table: str, columns: Sequence[str], where: str = "") -> None:
    """Add an index in a migration; call it there in place of Alembic's `create_index`, if the table isn't new."""
    import sqlalchemy as sa  # noqa: PLC0415 -- as below
    from alembic import context, op  # noqa: PLC0415 -- 0.3 s, and there only while a migration runs

    noted = context.config.attributes.get(NOTED)
    if noted is not None:
        noted.append({"name": name, "table": table, "columns": list(columns), "where": where})
        return
    condition = sa.text(where) if where else None
    op.create_index(name, table, list(columns), sqlite_where=condition, postgresql_where=condition)


def note(connection: Connection, noted: Sequence[Noted]) -> None:
    """Keep what is to be built when this transaction is committed."""
    for each in noted:
        cursors.put(connection, _CHANNEL, _KEY + each["name"], each)


async def build(line: Any) -> bool:
    """Build what was noted, on a connection of the driver's that is in no transaction; return whether all is there.

    What can't be built now, or is being built by another daemon, is left.
    """
    if not await _waiting(line):
        return True
    if not await line.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # nobody waits: the builder would for us
        return False
    try:
        await line.execute(f"SET lock_timeout = '{_PATIENCE}'")
        for noted in await _waiting(line):
            await _build_one(line, noted)
    except _FAILURES:
        return False
    finally:
        with suppress(*_FAILURES):
            await line.execute("RESET lock_timeout")
            await line.execute("SELECT pg_advisory_unlock($1)", _LOCK)
    return True


async def _waiting(line: Any) -> list[Noted]:
    rows = "SELECT value::text FROM cursors WHERE channel = $1 AND starts_with(key, $2) ORDER BY key"
    return [json.loads(row["value"]) for row in await line.fetch(rows, _CHANNEL, _KEY)]


async def _build_one(line: Any, noted: Noted) -> None:
    """Build an index, unless it is there; one that was begun and not finished is of no use and is dropped first."""
    name = f'"{noted["name"]}"'
    is_valid = await line.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", name)
    if is_valid is False:
        await line.execute(f"DROP INDEX CONCURRENTLY {name}")
    if not is_valid:
        columns = ", ".join(f'"{column}"' for column in noted["columns"])
        where = f" WHERE {noted['where']}" if noted["where"] else ""
        await line.execute(f'CREATE INDEX CONCURRENTLY {name} ON "{noted["table"]}" ({columns}){where}')
    await line.execute("DELETE FROM cursors WHERE channel = $1 AND key = $2", _CHANNEL, _KEY + noted["name"])
