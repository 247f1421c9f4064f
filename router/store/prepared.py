"""Statements compiled once, for the two or three places where a row costs more to describe than to store."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json
from sqlalchemy import JSON, LargeBinary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Column, Connection, Dialect, Insert
    from sqlalchemy.types import TypeEngine

_MOST_ROWS = 32  # of a statement: a prepared one is kept for each number of rows and table (sqlite3 keeps 128)


class PreparedInsert:
    """An INSERT as SQLite writes it, for rows as tuples: half the processor time of `Connection.execute`.

    The text and the conversion of values are SQLAlchemy's own (but for JSON, which pydantic's encoder writes in a sixth
    of the time). Several rows share a statement: the driver lets go of the interpreter's lock for each statement it
    runs, and has to wait for it again.
    """

    def __init__(self, statement: Insert, columns: Sequence[Column[Any]], dialect: Dialect) -> None:
        names = [column.name for column in columns]
        compiled = statement.compile(dialect=dialect, column_keys=names)
        assert compiled.positiontup == names  # the driver takes values by position
        self._text = str(compiled)
        self._width = len(columns)
        self._convert = [(place, into) for place, into in enumerate(_converters(columns, dialect)) if into is not None]
        self._one = f"({', '.join('?' * self._width)})"
        self._of = cache(lambda count: self._text.replace(self._one, ", ".join([self._one] * count)))

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Insert rows, values in the order of the columns; return how many were."""
        values = [value for row in rows for value in row]
        for place, into in self._convert:
            values[place :: self._width] = [into(value) for value in values[place :: self._width]]
        done, most = 0, _MOST_ROWS * self._width
        for start in range(0, len(values), most):
            some = tuple(values[start : start + most])
            done += connection.exec_driver_sql(self._of(len(some) // self._width), some).rowcount
        return done


class PreparedPair:
    """An INSERT of rows into one table of PostgreSQL, and of what belongs to each into a second, as one statement.

    A row whose key is taken isn't stored, in neither table. Values go as one array for each column, so that the text,
    and what the server has planned, are the same for any number of rows. One question instead of three, for the server
    is a network away; and of `id IN (…)`, planned while the table was small, each would read all of it.
    """

    def __init__(self, columns: Sequence[Column[Any]], belonging: Sequence[Column[Any]], dialect: Dialect) -> None:
        """Take columns of the first table, its key first, and the second one's: its reference to that key and more."""
        first, second, (key, *own) = columns[0].table, belonging[0].table, belonging
        taken = [*columns, *own]
        arrays = (f"CAST(${number} AS {_array_of(column, dialect)}[])" for number, column in enumerate(taken, 1))
        names, more = ", ".join(column.name for column in columns), ", ".join(column.name for column in own)
        values = ", ".join(
            f"{column.name}::json" if isinstance(column.type, JSON) else column.name for column in columns
        )
        self._text = (
            f"WITH given AS (SELECT * FROM unnest({', '.join(arrays)}) AS given ({names}, {more})), "  # noqa: S608
            f"fresh AS (INSERT INTO {first} ({names}) SELECT {values} FROM given ON CONFLICT DO NOTHING "
            f"RETURNING {columns[0].name} AS stored) INSERT INTO {second} ({key.name}, {more}) "
            f"SELECT stored, {more} FROM fresh JOIN given ON {columns[0].name} = stored RETURNING {key.name}"
        )
        self._convert = _converters(taken, dialect)

    def run(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Insert rows, values in the order of the columns; return the keys of those that were."""
        arrays = tuple(
            list(values) if into is None else [into(value) for value in values]
            for values, into in zip(zip(*rows, strict=True), self._convert, strict=True)
        )
        return list(connection.exec_driver_sql(self._text, arrays).scalars())


def _array_of(column: Column[Any], dialect: Dialect) -> str:
    return "TEXT" if isinstance(column.type, JSON) else column.type.compile(dialect)


def _converters(columns: Sequence[Column[Any]], dialect: Dialect) -> list[Callable[[Any], Any] | None]:
    """Return what makes values fit for the driver; both take bytes as they are."""
    return [_converter(column.type, dialect) for column in columns]


def _converter(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    if isinstance(kind, LargeBinary):
        return None
    return as_json if isinstance(kind, JSON) else kind.dialect_impl(dialect).bind_processor(dialect)


def as_json(value: Any) -> str:
    """Return JSON in a sixth of the time that the standard library takes."""
    try:
        return to_json(value).decode()
    except ValueError:  # a lone surrogate, which the standard library escapes
        return json.dumps(value)


def of_json(text: str | bytes) -> Any:
    """Return what JSON says, in half the time."""
    try:
        return from_json(text)
    except ValueError:  # a lone surrogate, escaped
        return json.loads(text)
