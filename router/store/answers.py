"""Who was answered automatically in the last day: one answer each, and no more in an hour than the caps allow."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import case, delete, func, insert, or_, select

from router.store.tables import answers

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

ONCE_IN = timedelta(hours=24)
_HOUR = timedelta(hours=1)
_LOCK = 0x5197058  # the advisory lock of those who answer: any number that nothing else here uses


def lock(connection: Connection) -> None:
    """Keep other daemons from answering until the commit, so that each counts what the others did.

    To be called last in a unit of work: who holds it waits for nobody else then. SQLite has one writer.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def claim(
    connection: Connection, key: str, domain: str, now: datetime, *, most_per_hour: int, most_per_domain: int
) -> str:
    """Note that this one is answered now and return "", or return why not. Needs `lock`.

    `key` names who is answered (about what, where that counts); `domain` is whose mail server bears it. What is older
    than a day is forgotten; what is more than a day ahead (a clock was wrong) counts for nothing.
    """
    connection.execute(delete(answers).where(or_(answers.c.at <= now - ONCE_IN, answers.c.at > now + ONCE_IN)))
    if connection.execute(select(answers.c.key).where(answers.c.key == key)).first() is not None:
        return "answered within a day"
    lately = select(func.count(), func.sum(case((answers.c.domain == domain, 1), else_=0)))
    in_all, there = connection.execute(lately.where(answers.c.at > now - _HOUR)).one()
    if in_all >= most_per_hour:
        return "enough answers this hour"
    if (there or 0) >= most_per_domain:
        return "enough answers to this domain this hour"
    connection.execute(insert(answers).values(key=key, domain=domain, at=now))
    return ""
