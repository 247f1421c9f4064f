"""How much came in lately for each department, as far as somebody may see it. Units of work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, or_, select

from router.records import State
from router.store.tables import decisions, messages

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from router.store.scope import Scope


def lately(connection: Connection, scope: Scope, since: datetime) -> dict[str, int]:
    """Return how many of the messages that came in since then are with each department; "": not decided yet."""
    department = func.coalesce(decisions.c.department, "")
    statement = (
        select(department, func.count())
        .select_from(messages.outerjoin(decisions, decisions.c.id == messages.c.decision_id))
        .where(messages.c.received_at >= since)
        .where(or_(decisions.c.id.is_not(None), messages.c.state == State.UNDECIDED.value))  # not what was filed
        .group_by(department)
    )
    if scope.departments is not None:
        statement = statement.where(decisions.c.department.in_(sorted(scope.departments)))
    if scope.schools is not None:
        school = func.coalesce(decisions.c.school, "")
        statement = statement.where(or_(school == "", school.in_(sorted(scope.schools))))
    return {row[0]: row[1] for row in connection.execute(statement)}
