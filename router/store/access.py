"""The access log: who saw or did what, append-only, each row's digest covering the one before. Units of work.

The database refuses to change or delete a row (triggers of migration 0013). Whoever can remove those can't hide it from
`verify`: they would have to write every later row anew, and then the last digest isn't the one somebody wrote down.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from router.store.console_tables import access_log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row

_LOCK = 0x519705A  # an advisory lock: one row after the other, whichever daemon writes it
_FIRST = "0" * 64  # what the first row's digest covers


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


def note(connection: Connection, entry: Entry) -> int:
    """Append a row and return its number."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    newest = select(access_log.c.id, access_log.c.digest).order_by(access_log.c.id.desc()).limit(1)
    last = connection.execute(newest).first()
    values: dict[str, Any] = {
        "id": last.id + 1 if last else 1,
        "at": entry.at,
        "account_id": entry.account_id,
        "who": _clean(entry.who)[:320],
        "action": entry.action[:32],
        "about": _clean(entry.about)[:128],
        "detail": _clean(entry.detail),
        "address": _clean(entry.address)[:64],
    }
    values["digest"] = _digest(last.digest if last else _FIRST, values)
    connection.execute(insert(access_log), values)
    return int(values["id"])


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
    """Look through the whole log: every number there, every digest right."""
    rows, digest = 0, _FIRST
    statement = select(access_log).order_by(access_log.c.id).execution_options(yield_per=1000)
    for row in connection.execute(statement):
        digest = _digest(digest, row._asdict())
        if row.id != rows + 1 or row.digest != digest:
            return Checked(rows, row.digest, rows + 1)
        rows += 1
    return Checked(rows, digest if rows else "", None)
