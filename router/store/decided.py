"""Routed messages with what the router decided of them and what people said since: a page at a time, newest first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, or_, select

from router.records import CorrectionState, Reason, State
from router.store.corrections import MOVED
from router.store.decisions import to_decision
from router.store.messages import to_message
from router.store.tables import corrections, decisions, messages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from router.records import Decision, Message

_PEOPLES = (Reason.CORRECTION.value, Reason.DISPUTED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A routed message. `decision` is the router's own, the last one, None if only people decided about it.

    `belongs` is the department that the last confirmed correction names, "" if there is none.
    """

    message: Message
    decision: Decision | None
    belongs: str = ""


def count(connection: Connection, since: datetime | None, most: int | None) -> int:
    """Return how many routed messages were received since a time; so many at most are counted."""
    these = select(messages.c.id).where(*_wanted(since)).limit(most)
    return connection.execute(select(func.count()).select_from(these.subquery())).scalar_one()


def page(connection: Connection, since: datetime | None, before: Message | None, limit: int) -> list[Decided]:
    """Return routed messages received since a time and before another message, newest first."""
    statement = select(messages).where(*_wanted(since))
    if before is not None:
        c = messages.c
        same_moment = and_(c.received_at == before.received_at, c.id < before.id)
        statement = statement.where(or_(c.received_at < before.received_at, same_moment))
    newest = statement.order_by(messages.c.received_at.desc(), messages.c.id.desc()).limit(limit)
    rows = connection.execute(newest).all()
    ids = [row.id for row in rows]
    own, belongs = _own(connection, ids), _belongs(connection, ids)
    return [Decided(message=_message(row), decision=own.get(row.id), belongs=belongs.get(row.id, "")) for row in rows]


def _wanted(since: datetime | None) -> tuple[Any, ...]:
    routed = messages.c.state == State.ROUTED.value
    return (routed,) if since is None else (routed, messages.c.received_at >= since)


def _message(row: Row[Any]) -> Message:
    return replace(to_message(row), released=bool(row.facts.get("released")))


def _own(connection: Connection, ids: Sequence[str]) -> dict[str, Decision]:
    """Return the last decision of each message that the router made by itself."""
    of_these = select(decisions).where(decisions.c.message_id.in_(ids), decisions.c.reason.not_in(_PEOPLES))
    return {row.message_id: to_decision(row) for row in connection.execute(of_these.order_by(decisions.c.id))}


def _belongs(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    c = corrections.c
    confirmed = (
        select(c.message_id, c.to_department)
        .where(c.message_id.in_(ids), c.state == CorrectionState.CONFIRMED.value, MOVED)
        .order_by(c.id)
    )
    return {row.message_id: row.to_department for row in connection.execute(confirmed)}
