"""Audits: messages chosen at random, and what people said that they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, and_, case, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.records import CorrectionState, Reason, State
from router.store.corrections import MOVED
from router.store.tables import audits, corrections, decisions, messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

ROUTED = (Reason.RULE.value, Reason.THREAD.value, Reason.MODEL.value)
"""Reasons of a decision by which the router itself chose the department; with any other it left that to people."""


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Offer messages for an audit; those that were offered before stay as they are."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(audits).on_conflict_do_nothing(), list(rows))


def get(connection: Connection, message_id: str) -> Row[Any] | None:
    """Return one audit, None if that message wasn't chosen."""
    return connection.execute(select(audits).where(audits.c.message_id == message_id)).first()


def listing(connection: Connection, limit: int, *, answered: bool = False) -> list[Row[Any]]:
    """Return audits with their messages: those that wait for an answer, the oldest first, or the last answers."""
    statement = select(audits, messages.c.medium, messages.c.content).join(
        messages, messages.c.id == audits.c.message_id
    )
    if answered:
        statement = statement.where(audits.c.answered_at.is_not(None)).order_by(audits.c.answered_at.desc())
    else:
        statement = statement.where(audits.c.answered_at.is_(None)).order_by(audits.c.received_at)
    return list(connection.execute(statement.order_by(audits.c.message_id).limit(limit)))


def answer(connection: Connection, message_id: str, now: datetime, **said: Any) -> None:
    """Keep what a person said: answer, answer_urgent, wrong, by, note. The last word counts."""
    connection.execute(update(audits).where(audits.c.message_id == message_id).values(answered_at=now, **said))


def count(connection: Connection, since: datetime) -> dict[str, int]:
    """Return how many wait and were answered, in all; and since a time how many of those routed, and how many wrongly.

    `flagged` is how many messages people have flagged since then.
    """
    c = audits.c
    recent = and_(c.received_at >= since, c.answered_at.is_not(None), c.reason.in_(ROUTED))
    row = connection.execute(
        select(
            _number(c.answered_at.is_(None)).label("waiting"),
            _number(c.answered_at.is_not(None)).label("answered"),
            _number(recent).label("routed"),
            _number(and_(recent, c.wrong.is_(True))).label("wrong"),
        )
    ).one()
    live = and_(corrections.c.state != CorrectionState.WITHDRAWN.value, corrections.c.at >= since, MOVED)
    flagged = connection.execute(select(func.count(corrections.c.message_id.distinct())).where(live)).scalar_one()
    return {name: int(n or 0) for name, n in row._mapping.items()} | {"flagged": int(flagged)}


def between(connection: Connection, since: datetime, until: datetime) -> list[Row[Any]]:
    """Return the audits of messages received in a time."""
    statement = select(audits).where(audits.c.received_at >= since, audits.c.received_at < until)
    return list(connection.execute(statement.order_by(audits.c.received_at)))


def flagged_between(connection: Connection, since: datetime, until: datetime, *, apart: bool = True) -> list[Row[Any]]:
    """Return how many messages received in a time the router routed, and how many of those people flagged.

    A row per department (the first one counts), channel and language, or not `apart` one for all, which reads no
    message. A flag that was taken back doesn't count.
    """
    flagged = exists().where(
        corrections.c.decision_id == decisions.c.id, corrections.c.state != CorrectionState.WITHDRAWN.value, MOVED
    )
    language = func.coalesce(messages.c.content["language"].as_string(), "").label("language")
    groups = (decisions.c.department, messages.c.channel, language) if apart else ()
    statement = (
        select(*groups, func.count().label("routed"), _number(flagged).label("flagged"))
        .select_from(messages)
        .join(decisions, decisions.c.message_id == messages.c.id)
        .where(
            messages.c.received_at >= since,
            messages.c.received_at < until,
            messages.c.state == State.ROUTED.value,
            decisions.c.reason.in_(ROUTED),
        )
        .group_by(*groups)
    )
    return list(connection.execute(statement))


def _number(condition: Any) -> Any:
    return func.sum(case((condition, 1), else_=0), type_=Integer)
