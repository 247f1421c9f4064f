"""Move a district up: copy an SQLite store into an empty PostgreSQL database, and compare every value.

All of it is one transaction of the database: a copy that is cut short, or differs anywhere, leaves the target empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import JSON, Connection, String, create_engine, delete, func, insert, inspect, select, text, tuple_
from sqlalchemy.exc import DBAPIError

from router.errors import Conflict, NotFound, SignpostError, StoreBusy
from router.store import (
    console_tables,  # noqa: F401  its tables are copied, too
    figure_tables,  # noqa: F401  its tables are copied, too
    inbox_tables,
    migrate,
    model_tables,  # noqa: F401  its tables are copied, too
)
from router.store.backends import PostgresBackend, SqliteBackend
from router.store.tables import cursors, daemons, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Row, Table

    from router.interfaces import Progress

_MOST_ROWS, _MOST_BYTES = 500, 8_388_608  # in memory at once
_OWN = {"alembic_version"}  # what migrations keep for themselves


@dataclass(frozen=True, slots=True)
class Copied:
    """A table that is the same on both sides: how many rows, and the SHA-256 of all values in the order of its key."""

    rows: int
    sha256: str


async def copy(source: str, target: str, progress: Progress) -> dict[str, Copied]:
    """Copy the SQLite store of a URL into the PostgreSQL database of another; return what each table holds.

    The source is kept as it is, but for missing migrations. Raises `NotFound` if there is no such file, `StoreBusy` if
    a daemon runs on it or the database can't be reached, `Conflict` if that isn't empty, `SignpostError` for a row that
    PostgreSQL can't hold or that arrived otherwise.
    """
    old, new = SqliteBackend(source), PostgresBackend(target)
    if not old.path.exists():
        raise NotFound(f"there is no store at {old.path}")
    done: dict[str, Copied] = {}
    try:
        await _take(old)
        await new.open()
        try:
            await new.transact_alone(lambda c: done.update(_fill(c, old.path, progress)))
        finally:
            await new.close()
    finally:
        await old.close()
    return done


async def _take(old: SqliteBackend) -> None:
    """Let nobody else write to the source until it is closed, and bring it up to date."""
    try:
        await old.open()
    except StoreBusy as error:
        why = "stop it first, for what it takes in from now on would be left behind"
        raise StoreBusy(f"{error}: {why}") from error
    await old.transact_alone(migrate.upgrade)


def _fill(connection: Connection, path: Path, progress: Progress) -> dict[str, Copied]:
    migrate.upgrade(connection)  # and its lock keeps daemons from starting here before all is done
    tables = [table for table in metadata.sorted_tables if table is not daemons]  # none of those is alive
    connection.execute(delete(cursors).where(cursors.c.channel == migrate.SCHEMA))  # the source has the same
    _refuse_unless_empty(connection, tables)
    engine = create_engine(f"sqlite:///file:{path}?mode=ro&uri=true", hide_parameters=True)
    try:
        with engine.connect() as source:
            _refuse_strangers(source)
            sizes = {table: source.execute(select(func.count()).select_from(table)).scalar_one() for table in tables}
            steps = _Steps(progress, 2 * sum(sizes.values()))
            for table in tables:
                _copy_table(source, connection, table, steps)
            for table in tables:
                _set_counter(connection, table)
            return {table.name: _compare(source, connection, table, steps) for table in tables}
    finally:
        engine.dispose()


class _Steps:
    """Counts rows for the progress."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def did(self, what: str, rows: int) -> None:
        """So many rows more."""
        self._done += rows
        self._progress(what, self._done / max(1, self._total))


def _refuse_unless_empty(connection: Connection, tables: Sequence[Table]) -> None:
    full = [table.name for table in tables if connection.execute(select(text("1")).select_from(table).limit(1)).first()]
    if full:
        raise Conflict(
            f"the database isn't empty ({', '.join(sorted(full)[:3])} …), and nothing there is ever overwritten: "
            "name an empty one, which no daemon has been started on"
        )


def _refuse_strangers(source: Connection) -> None:
    """Raise if the file has tables that we wouldn't copy: a copy that leaves something behind isn't one."""
    names = {name for name in inspect(source).get_table_names() if not inbox_tables.is_ours(name)}  # made again there
    strangers = names - set(metadata.tables) - _OWN
    if strangers:
        raise SignpostError(f"the store has tables that this program doesn't know: {', '.join(sorted(strangers))}")


def _copy_table(source: Connection, target: Connection, table: Table, steps: _Steps) -> None:
    for chunk in _chunks(source, table):
        for row in chunk:
            _check(table, row)
        try:
            target.execute(insert(table), [dict(row._mapping) for row in chunk])
        except DBAPIError as error:  # its own words may hold what somebody wrote
            kind = type(error.orig.__cause__ or error.orig).__name__ if error.orig else type(error).__name__
            raise SignpostError(f"PostgreSQL doesn't take some row of {table.name}: {kind}") from None
        steps.did(f"copying {table.name}", len(chunk))


def _check(table: Table, row: Row[Any]) -> None:
    """Raise if PostgreSQL can't hold a text that SQLite could: nothing is shortened behind anybody's back."""
    for column, value in zip(table.columns, row, strict=True):
        if not isinstance(value, str) or isinstance(column.type, JSON):
            continue
        longest = column.type.length if isinstance(column.type, String) else None
        if longest is not None and len(value) > longest:
            what = f"has {len(value)} characters, and PostgreSQL holds {longest}"
        elif "\0" in value:
            what = "holds a NUL, which PostgreSQL can't"
        else:
            continue
        which = ", ".join(str(row._mapping[key]) for key in table.primary_key.columns)
        raise SignpostError(f"{table.name} ({which}): {column.name} {what}; nothing was copied")


def _set_counter(target: Connection, table: Table) -> None:
    """Let the next row get a number that isn't taken."""
    counted = next((column for column in table.primary_key.columns if column.autoincrement is True), None)
    if counted is not None:
        last = select(func.coalesce(func.max(counted), 0) + 1).scalar_subquery()
        target.execute(select(func.setval(func.pg_get_serial_sequence(table.name, counted.name), last, False)))


def _compare(source: Connection, target: Connection, table: Table, steps: _Steps) -> Copied:
    """Return the table's size and hash if both sides hold the same; raise `SignpostError` otherwise."""
    key, digest, rows = list(table.primary_key.columns), sha256(), 0
    for chunk in _chunks(source, table):
        keys = [tuple(row._mapping[column] for column in key) for row in chunk]
        found = target.execute(select(table).where(tuple_(*key).in_(keys)))
        arrived = {tuple(row._mapping[column] for column in key): tuple(row) for row in found}
        for each, row in zip(keys, chunk, strict=True):
            if arrived.get(each) != tuple(row):
                raise SignpostError(f"{table.name} ({', '.join(map(str, each))}) arrived otherwise; nothing was copied")
            _add(digest, arrived[each])
        rows += len(chunk)
        steps.did(f"comparing {table.name}", len(chunk))
    there = target.execute(select(func.count()).select_from(table)).scalar_one()
    if there != rows:
        raise SignpostError(f"{table.name} has {there} rows instead of {rows}; nothing was copied")
    return Copied(rows, digest.hexdigest())


def _add(digest: Any, values: Sequence[Any]) -> None:
    for value in values:
        data = value if isinstance(value, bytes) else repr(value).encode("utf-8", "backslashreplace")
        digest.update(len(data).to_bytes(8))
        digest.update(data)


def _chunks(source: Connection, table: Table) -> Iterator[list[Row[Any]]]:
    """Yield a table's rows in the order of its key, few at a time, and fewer where they are large."""
    rows = source.execute(select(table).order_by(*table.primary_key.columns).execution_options(yield_per=20))
    chunk: list[Row[Any]] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += sum(len(value) for value in row if isinstance(value, bytes | str))
        if len(chunk) >= _MOST_ROWS or size >= _MOST_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def as_json(copied: Mapping[str, Copied]) -> dict[str, Any]:
    """Return what was copied as JSON values."""
    return {name: {"rows": each.rows, "sha256": each.sha256} for name, each in copied.items()}
