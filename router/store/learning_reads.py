"""What the learning pages list: corrections and messages that wait for a label, each by a scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from router.records import CorrectionState
from router.store.figure_reads import within
from router.store.scope import EVERYTHING
from router.store.tables import audits, blank_flags, corrections, decisions, messages, votes

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection, Row, Select

    from router.store.scope import Scope

MOST = 1000  # that are counted of a state


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


def by_state(connection: Connection, scope: Scope, most: int = MOST) -> dict[str, int]:
    """Return how many corrections there are in each state; `most` stands for that many or more."""
    columns = select(corrections.c.id)
    of_scope = columns if scope == EVERYTHING else _within(columns, scope)
    found = {}
    for state in CorrectionState:
        some = of_scope.where(corrections.c.state == state.value).limit(most).subquery()
        found[state.value] = int(connection.execute(select(func.count()).select_from(some)).scalar_one())
    return {state: n for state, n in found.items() if n}


def seen(connection: Connection, scope: Scope, numbers: Collection[int], message_ids: Collection[str]) -> set[str]:
    """Return which of these corrections (their numbers as text) and messages lie within a scope."""
    mine = (
        select(messages.c.id)
        .select_from(messages.outerjoin(decisions, decisions.c.id == messages.c.decision_id))
        .where(messages.c.id.in_(message_ids), *within(scope, decisions.c.department, decisions.c.school))
    )
    said = _within(select(corrections.c.id), scope).where(corrections.c.id.in_(numbers))
    return {str(each) for statement in (mine, said) for each in connection.execute(statement).scalars()}


def words(connection: Connection) -> tuple[Any, ...]:
    """Return what is another whenever somebody has said, confirmed, withdrawn or answered something."""
    c, a = corrections.c, audits.c
    said = [
        select(func.count(), func.max(c.id), func.max(c.settled_at)),
        select(func.count(a.answered_at), func.max(a.answered_at)),
        *(select(func.count()).select_from(table) for table in (votes, blank_flags)),
    ]
    return tuple(tuple(connection.execute(statement).one()) for statement in said)


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
