"""Marks: when something was last done, so that several daemons, or one that restarts, don't do it twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, insert, select, update

from router.store.tables import marks

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import Connection


def claim(connection: Connection, name: str, now: datetime, every: timedelta) -> bool:
    """Set the mark and return True if it is not there or at least `every` old; else return False."""
    at = connection.execute(select(marks.c.at).where(marks.c.name == name).with_for_update()).scalar()
    if at is None:
        connection.execute(insert(marks), {"name": name, "at": now})
        return True
    if at <= now < at + every:
        return False
    connection.execute(update(marks).where(marks.c.name == name).values(at=now))
    return True


def get(connection: Connection, name: str) -> datetime | None:
    """Return when the mark was set last, or None."""
    return connection.execute(select(marks.c.at).where(marks.c.name == name)).scalar()


def clear(connection: Connection, name: str) -> None:
    """Forget a mark."""
    connection.execute(delete(marks).where(marks.c.name == name))
