"""The access log: who saw or did what, append-only, each row's digest covering the one before. Units of work.

The database refuses to change, replace or delete a row (triggers of migrations 0013 and 0021). Whoever can remove those
can't hide it from `verify`: they would have to write every later row anew, and then the last digest isn't the one that
somebody wrote down. Old rows go by `shorten`: a row says so, and keeps the digest that the first one left is to cover.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select

from router.store import ending
from router.store.console_tables import access_log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row

_LOCK = 0x519705A  # an advisory lock: one row after the other, whichever daemon writes it
_FIRST = "0" * 64  # what the first row's digest covers
_ITSELF, _SHORTENED = "access log", "log_shortened"  # the triggers know these two
_MOST_AT_ONCE = 5_000  # rows that go in one commit: others wait for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What somebody did: `about` names an object by kind and id ("message 3K7Q…"), never by its content."""

    at: datetime
    who: str
    action: str
    account_id: int | None = None
    about: str = ""
    detail: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at the whole log found: how many rows, the last digest, the first row that doesn't fit (None)."""

    rows: int
    digest: str
    broken_at: int | None


def note(connection: Connection, entry: Entry) -> None:
    """Append a row in the same commit, at its end: there the log's lock is the last that is taken."""
    ending.leave(connection, _append, entry)


def shorten(connection: Connection, before: datetime, at: datetime) -> int:
    """Have the oldest rows go that are all older than `before`, at the end of this commit; return how many.

    Not more than a few thousand at once. What is left begins where the newest row about that says.
    """
    first = connection.execute(select(func.min(access_log.c.id))).scalar()
    young = select(access_log.c.id).where(access_log.c.at >= before).order_by(access_log.c.id).limit(1)
    end = connection.execute(young).scalar()
    if first is None or end is None:  # the newest stays in any case: the chain goes on from it
        return 0
    until = min(end - 1, first + _MOST_AT_ONCE - 1)
    if until >= first:
        ending.leave(connection, _drop, (until, at))
    return max(0, int(until - first + 1))


def _drop(connection: Connection, wanted: list[tuple[int, datetime]]) -> None:
    """Say up to which row the log goes, then let it go: the triggers look for what is said."""
    until, at = max(wanted)
    _lock(connection)
    digest = connection.execute(select(access_log.c.digest).where(access_log.c.id == until)).scalar_one()
    _append(connection, [Entry(at=at, who="signpost", action=_SHORTENED, about=_ITSELF, detail=f"{until} {digest}")])
    connection.execute(delete(access_log).where(access_log.c.id <= until))


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _append(connection: Connection, entries: list[Entry]) -> None:
    _lock(connection)
    number, digest = last(connection) or (0, _FIRST)
    rows = []
    for entry in entries:
        number += 1
        row = _row(entry, number)
        row["digest"] = digest = _digest(digest, row)
        rows.append(row)
    connection.execute(insert(access_log), rows)


def _row(entry: Entry, number: int) -> dict[str, Any]:
    return {
        "id": number,
        "at": entry.at,
        "account_id": entry.account_id,
        "who": _clean(entry.who)[:320],
        "action": entry.action[:32],
        "about": _clean(entry.about)[:128],
        "detail": _clean(entry.detail),
        "address": _clean(entry.address)[:64],
    }


def _clean(text: str) -> str:
    """Leave out what a terminal or PostgreSQL wouldn't take as text."""
    return "".join(character if character.isprintable() else " " for character in text)


def _digest(before: str, row: Mapping[str, Any]) -> str:
    said = [row["account_id"], *(row[name] for name in ("who", "action", "about", "detail", "address"))]
    at = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
    return sha256(json.dumps([before, row["id"], at, *said]).encode()).hexdigest()


def page(
    connection: Connection, limit: int, *, before: int | None = None, about: str = "", account_id: int | None = None
) -> list[Row[Any]]:
    """Return rows, the newest first, older than the row `before`; of one object or one person where one is named."""
    statement = select(access_log).order_by(access_log.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(access_log.c.id < before)
    if about:
        statement = statement.where(access_log.c.about == about)
    if account_id is not None:
        statement = statement.where(access_log.c.account_id == account_id)
    return list(connection.execute(statement))


def verify(connection: Connection) -> Checked:
    """Look through the whole log: every number there, every digest right, from the first row or what followed it."""
    first, digest = _beginning(connection)
    rows = 0
    statement = select(access_log).order_by(access_log.c.id).execution_options(yield_per=1000)
    for row in connection.execute(statement):
        digest = _digest(digest, row._asdict())
        if row.id != first + rows or row.digest != digest:
            return Checked(rows, row.digest, first + rows)
        rows += 1
    return Checked(rows, digest if rows else "", None)


def _beginning(connection: Connection) -> tuple[int, str]:
    """Return the number that the first row has to have, and the digest that it has to cover."""
    which = (access_log.c.about == _ITSELF, access_log.c.action == _SHORTENED)
    said = select(access_log.c.detail).where(*which).order_by(access_log.c.id.desc()).limit(1)
    number, _, digest = (connection.execute(said).scalar() or "").partition(" ")
    return (int(number) + 1, digest) if number.isdecimal() else (1, _FIRST)


def last(connection: Connection) -> tuple[int, str] | None:
    """Return the newest row's number and digest, None if there is no row."""
    row = connection.execute(
        select(access_log.c.id, access_log.c.digest).order_by(access_log.c.id.desc()).limit(1)
    ).first()
    return (row.id, row.digest) if row else None
