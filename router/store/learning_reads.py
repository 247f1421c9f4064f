"""What the learning pages list: corrections and messages that wait for a label, each by a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from router.store.figure_reads import within
from router.store.tables import audits, corrections, decisions, messages

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection, Row, Select

    from router.store.scope import Scope


def listed(
    connection: Connection,
    scope: Scope,
    *,
    state: str | None = None,
    ids: Collection[int] | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Row[Any]]:
    """Return corrections with how their messages begin, the newest first: of a state, or of those with these ids."""
    statement = _within(select(corrections, messages.c.content, messages.c.channel), scope)
    if state is not None:
        statement = statement.where(corrections.c.state == state)
    if ids is not None:
        statement = statement.where(corrections.c.id.in_(ids))
    if before is not None:
        statement = statement.where(corrections.c.id < before)
    return list(connection.execute(statement.order_by(corrections.c.id.desc()).limit(limit)))


def by_state(connection: Connection, scope: Scope) -> dict[str, int]:
    """Return how many corrections there are in each state."""
    statement = _within(select(corrections.c.state, func.count()), scope).group_by(corrections.c.state)
    return {state: int(n) for state, n in connection.execute(statement)}


def _within(columns: Select[Any], scope: Scope) -> Select[Any]:
    """Return a query about corrections of messages that are now within a scope."""
    return (
        columns.select_from(corrections)
        .join(messages, messages.c.id == corrections.c.message_id)
        .outerjoin(decisions, decisions.c.id == messages.c.decision_id)
        .where(*within(scope, decisions.c.department, decisions.c.school))
    )


def unlabelled(connection: Connection, scope: Scope, limit: int) -> tuple[int, list[str]]:
    """Return how many messages chosen at random wait for a label, and the oldest of them, by id."""
    waiting = (
        select(audits.c.message_id)
        .join(messages, messages.c.id == audits.c.message_id)
        .outerjoin(decisions, decisions.c.id == messages.c.decision_id)
        .where(audits.c.answered_at.is_(None), *within(scope, decisions.c.department, decisions.c.school))
    )
    count = connection.execute(select(func.count()).select_from(waiting.subquery())).scalar_one()
    oldest = waiting.order_by(audits.c.received_at, audits.c.message_id).limit(limit)
    return int(count), list(connection.execute(oldest).scalars())
