"""What has come or moved since somebody looked at the list. Units of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import and_, case, func, select, true

from router.store import holders
from router.store.inbox import Filters, fixed, living
from router.store.inbox_index import VERSION, value
from router.store.inbox_tables import inbox_rows
from router.store.tables import decisions, messages

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from router.store.scope import Scope

MOST = 200  # changes that are looked at together; the rest the next time


@dataclass(frozen=True, slots=True)
class News:
    """How far somebody has looked now, and how many messages have come or moved until then of those they ask for."""

    version: int
    messages: int


def version(connection: Connection) -> int:
    """Return the last version that there is. It counts all messages of the district: not a number to show."""
    return value(connection, VERSION)


def news(connection: Connection, scope: Scope, since: int, filters: Filters | None = None, most: int = MOST) -> News:
    """Return what has come or changed after a version: one look at a few rows of an index, however rare it is.

    Of the filters the words aren't looked at.
    """
    own = inbox_rows.c
    asked = filters or Filters()
    window = select(own.version, own.message_id).where(own.version > since).order_by(own.version).limit(most).subquery()
    wanted = and_(true(), *holders.seen(connection, scope), *living(connection, asked), *fixed(asked))
    looked = (
        select(func.max(window.c.version).label("last"), func.sum(case((wanted, 1), else_=0)).label("many"))
        .select_from(window)
        .join(messages, messages.c.id == window.c.message_id)
        .outerjoin(decisions, decisions.c.id == messages.c.decision_id)
    )
    row = connection.execute(looked).one()
    return News(int(row.last or since), int(row.many or 0))
