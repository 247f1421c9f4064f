"""What waits for a person's judgement: held messages, and routed ones that the router wasn't sure of. Units of work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, text

from router.records import Reason, State
from router.store.holders import seen, within
from router.store.tables import alarms, decisions, messages

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Select

    from router.store.scope import Scope

RECENT = timedelta(days=14)  # what was routed before is no longer asked about; what is held waits as long as it takes
UNSURE = (Reason.ABSTAINED.value, Reason.DISPUTED.value, Reason.UNREADABLE.value, Reason.MODEL_DOWN.value)
# In these very words, or the partial indexes of these columns aren't used.
_HAS_SENDER, _IS_HELD = text("messages.sender <> ''"), text("messages.state = 'held'")
MOST = 200  # that are counted and put in order


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message that waits for a judgement."""

    message_id: str
    urgent: bool
    received_at: datetime


def waiting(connection: Connection, scope: Scope, now: datetime) -> list[Waiting]:
    """Return what waits, urgent before all others and then the oldest first; `MOST` of each kind at most."""
    unsure = _waiting(scope).where(
        messages.c.state == State.ROUTED.value,
        messages.c.received_at >= now - RECENT,
        messages.c.detail == "",  # nobody has left it where it is
        decisions.c.reason.in_(UNSURE),
    )
    held = _waiting(scope).where(_IS_HELD).order_by(None).order_by(messages.c.received_at)  # as its own index has it
    alarmed = select(alarms.c.message_id).where(alarms.c.raised_at >= now - RECENT)
    alarming = unsure.where(messages.c.id.in_(alarmed))  # few: they needn't be among the oldest
    rows = {row.id: row for each in (held, alarming, unsure) for row in connection.execute(each)}
    found = [Waiting(row.id, bool(row.urgent or row.alarm), row.received_at) for row in rows.values()]
    return sorted(found, key=lambda each: (not each.urgent, each.received_at, each.message_id))[:MOST]


def _waiting(scope: Scope) -> Select[Any]:
    """Return the statement for the oldest: in the order of an index, so that it ends when it has found enough."""
    return (
        select(messages.c.id, messages.c.received_at, decisions.c.urgent, alarms.c.message_id.label("alarm"))
        .select_from(
            messages.outerjoin(decisions, decisions.c.id == messages.c.decision_id).outerjoin(
                alarms, alarms.c.message_id == messages.c.id
            )
        )
        .where(*within(scope))
        .order_by(messages.c.received_at, messages.c.id)
        .limit(MOST)
    )


def others_of(connection: Connection, message_id: str, sender: str, scope: Scope, most: int = 10) -> list[Any]:
    """Return the newest other messages of a sender that somebody sees: id, received_at, content, state, department."""
    if not sender:
        return []
    own = (_HAS_SENDER, messages.c.sender == sender[:320].casefold(), messages.c.id != message_id)
    statement = (
        select(messages.c.id, messages.c.received_at, messages.c.content, messages.c.state, decisions.c.department)
        .select_from(messages.outerjoin(decisions, decisions.c.id == messages.c.decision_id))
        .where(*own, *seen(connection, scope))
        .order_by(messages.c.received_at.desc(), messages.c.id.desc())
        .limit(most)
    )
    return list(connection.execute(statement))
