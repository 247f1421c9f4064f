"""What was said again and again: words by their digest, each time as a mark that lasts for a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from router.store.marks import claim
from router.store.tables import marks

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

_PREFIX = "echo:"


def forget(connection: Connection, now: datetime, span: timedelta) -> None:
    """Forget what was said longer ago than the span, or as far ahead (a clock was wrong)."""
    old = (marks.c.at <= now - span) | (marks.c.at > now + span)
    connection.execute(delete(marks).where(marks.c.name.startswith(_PREFIX, autoescape=True), old))


def note(connection: Connection, words: str, message_id: str, now: datetime, *, span: timedelta, most: int) -> bool:
    """Note that a message says these words; return False if `most` others said them before, as far as is known.

    The same message counts once, however often it is decided.
    """
    name = f"{_PREFIX}{words}:"
    known = set(
        connection.execute(select(marks.c.name).where(marks.c.name.startswith(name, autoescape=True))).scalars()
    )
    if name + message_id in known:
        return True
    return len(known) < most and claim(connection, name + message_id, now, span)
