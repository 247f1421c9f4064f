"""What a challenger would have done with messages that the champion was asked about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite

from router.records import CorrectionState
from router.store.model_tables import shadows
from router.store.tables import corrections, decisions, messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How champion (`before`) and challenger (`after`) compare on live messages."""

    n: int = 0
    different: int = 0
    before_abstained: int = 0
    after_abstained: int = 0
    alarms_lost: int = 0
    corrected: int = 0  # of these, people have said since where they belong: as often as so said each
    before_right: int = 0
    after_right: int = 0


def asked_about(connection: Connection, champion: str, challenger: str, since: int, limit: int) -> list[Row[Any]]:
    """Return decisions (id, prediction, urgent, and the message's content and medium) not compared yet.

    `since` is the id of a decision: only later ones.
    """
    newest = select(func.coalesce(func.max(shadows.c.decision_id), since)).where(shadows.c.challenger == challenger)
    statement = (
        select(decisions.c.id, decisions.c.prediction, decisions.c.urgent, messages.c.content, messages.c.medium)
        .join(messages, messages.c.id == decisions.c.message_id)
        .where(decisions.c.id > newest.scalar_subquery(), decisions.c.id > since, decisions.c.model == champion)
        .order_by(decisions.c.id)
        .limit(limit)
    )
    return list(connection.execute(statement))


def add(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep comparisons; those that are there already stay as they are."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    if rows:
        connection.execute(dialect.insert(shadows).on_conflict_do_nothing(), list(rows))


def counts(connection: Connection, challenger: str) -> Counts:
    """Return how the two compare so far."""
    ours = shadows.c.challenger == challenger

    def many(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    first = connection.execute(
        select(
            func.count(),
            many(shadows.c.before != shadows.c.after),
            many(shadows.c.before == ""),
            many(shadows.c.after == ""),
            many(shadows.c.alarm_lost),
        ).where(ours)
    ).one()
    said = corrections.c.to_department
    then = connection.execute(
        select(func.count(), many(shadows.c.before == said), many(shadows.c.after == said))
        .join(corrections, corrections.c.decision_id == shadows.c.decision_id)
        .where(ours, corrections.c.state != CorrectionState.WITHDRAWN.value)
    ).one()
    return Counts(
        n=first[0],
        different=first[1],
        before_abstained=first[2],
        after_abstained=first[3],
        alarms_lost=first[4],
        corrected=then[0],
        before_right=then[1],
        after_right=then[2],
    )


def differences(connection: Connection, challenger: str, limit: int) -> list[Row[Any]]:
    """Return the messages that the two would send to different departments, newest first, without their text."""
    statement = (
        select(shadows, decisions.c.message_id, decisions.c.decided_at)
        .join(decisions, decisions.c.id == shadows.c.decision_id)
        .where(shadows.c.challenger == challenger, (shadows.c.before != shadows.c.after) | shadows.c.alarm_lost)
        .order_by(shadows.c.decision_id.desc())
        .limit(limit)
    )
    return list(connection.execute(statement))


def forget(connection: Connection, challengers: Sequence[str]) -> None:
    """Drop the comparisons of challengers that are dropped."""
    connection.execute(delete(shadows).where(shadows.c.challenger.in_(challengers)))
