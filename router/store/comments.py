"""Comments: what staff tell one another about a message, and no family sees. Appended, at most withdrawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from router.store.console_tables import comments

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

LIMIT = 4000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """What one person said at one time; `withdrawn_at` is when they took it back, and then `text` is ""."""

    id: int
    message_id: str
    account_id: int | None
    by: str
    at: datetime
    text: str
    withdrawn_at: datetime | None = None


def add(connection: Connection, message_id: str, text: str, *, account_id: int | None, by: str, now: datetime) -> int:
    """Append a comment and return its id."""
    row = {"message_id": message_id, "account_id": account_id, "by": by[:320], "at": now, "text": text[:LIMIT]}
    return int(connection.execute(insert(comments).returning(comments.c.id), row).scalar_one())


def withdraw(connection: Connection, comment_id: int, message_id: str, account_id: int, now: datetime) -> bool:
    """Take one's own comment back; False if it is somebody else's, another message's, or withdrawn already."""
    own = (
        comments.c.id == comment_id,
        comments.c.message_id == message_id,
        comments.c.account_id == account_id,
        comments.c.withdrawn_at.is_(None),
    )
    return connection.execute(update(comments).where(*own).values(withdrawn_at=now)).rowcount == 1


def of_message(connection: Connection, message_id: str) -> list[Comment]:
    """Return what was said about a message, oldest first; what was withdrawn without its text."""
    rows = select(comments).where(comments.c.message_id == message_id).order_by(comments.c.id)
    return [_comment(row) for row in connection.execute(rows)]


def _comment(row: Row[Any]) -> Comment:
    return Comment(
        id=row.id,
        message_id=row.message_id,
        account_id=row.account_id,
        by=row.by,
        at=row.at,
        text="" if row.withdrawn_at else row.text,
        withdrawn_at=row.withdrawn_at,
    )
