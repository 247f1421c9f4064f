"""Marks: when something was last done, so that several daemons, or one that restarts, don't do it twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.store.tables import marks

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import Connection


def claim(connection: Connection, name: str, now: datetime, every: timedelta) -> bool:
    """Set the mark and return True if it is not there or at least `every` old; else return False.

    A mark that is more than `every` ahead counts as old (a clock was wrong); one that is less ahead is another
    daemon's, whose clock differs a little.
    """
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    first = dialect.insert(marks).values(name=name, at=now).on_conflict_do_nothing().returning(marks.c.name)
    if connection.execute(first).first() is not None:
        return True
    due = or_(marks.c.at <= now - every, marks.c.at > now + every)
    return connection.execute(update(marks).where(marks.c.name == name, due).values(at=now)).rowcount == 1


def get(connection: Connection, name: str) -> datetime | None:
    """Return when the mark was set last, or None."""
    return connection.execute(select(marks.c.at).where(marks.c.name == name)).scalar()


def clear(connection: Connection, name: str) -> None:
    """Forget a mark."""
    connection.execute(delete(marks).where(marks.c.name == name))
