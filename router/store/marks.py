"""Marks: when something was last done, so that several daemons, or one that restarts, don't do it twice."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.store.tables import marks

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

_ABSURD = timedelta(days=1)  # a clock that is ahead by more was wrong


def claim(connection: Connection, name: str, now: datetime, every: timedelta) -> bool:
    """Set the mark and return True if it is not there or at least `every` old; else return False.

    A mark that is more than `every` ahead counts as old (a clock was wrong); one that is less ahead is another
    daemon's, whose clock differs a little.
    """
    return _set(connection, name, now, or_(marks.c.at <= now - every, marks.c.at > now + every))


def claim_since(connection: Connection, name: str, now: datetime, since: datetime) -> bool:
    """Set the mark and return True unless it was set at `since` or later; one of days ahead counts as old."""
    return _set(connection, name, now, or_(marks.c.at < since, marks.c.at > now + _ABSURD))


def _set(connection: Connection, name: str, now: datetime, due: Any) -> bool:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    first = dialect.insert(marks).values(name=name, at=now).on_conflict_do_nothing().returning(marks.c.name)
    if connection.execute(first).first() is not None:
        return True
    return connection.execute(update(marks).where(marks.c.name == name, due).values(at=now)).rowcount == 1


def get(connection: Connection, name: str) -> datetime | None:
    """Return when the mark was set last, or None."""
    return connection.execute(select(marks.c.at).where(marks.c.name == name)).scalar()


def beginning_with(connection: Connection, start: str) -> dict[str, datetime]:
    """Return the marks whose names begin so, and when they were set."""
    rows = connection.execute(select(marks.c.name, marks.c.at).where(marks.c.name.startswith(start, autoescape=True)))
    return {row.name: row.at for row in rows}


def clear(connection: Connection, name: str) -> None:
    """Forget a mark."""
    connection.execute(delete(marks).where(marks.c.name == name))


def take(connection: Connection, name: str) -> bool:
    """Forget a mark; return whether it was there: one daemon of several hears yes."""
    return connection.execute(delete(marks).where(marks.c.name == name)).rowcount == 1
