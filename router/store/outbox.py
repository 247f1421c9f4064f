"""The outbox: decisions and their deliveries commit together, a whole batch in a few statements."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, insert, select, update

from router.records import DeliveryKind, DeliveryState, State
from router.store import opt_outs
from router.store.codec import content_to_json
from router.store.decisions import to_row
from router.store.tables import decisions, deliveries, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from router.records import Decision, Destination
    from router.routing.route import Verdict


def still_leased(connection: Connection, fences: Mapping[str, int]) -> set[str]:
    """Return which messages of a batch this daemon still holds, and lock them."""
    rows = connection.execute(_STILL_LEASED, {"ids": list(fences)})
    return {row.id for row in rows if row.fence == fences[row.id]}


_STILL_LEASED = (
    select(messages.c.id, messages.c.fence)
    .where(
        messages.c.id.in_(bindparam("ids", expanding=True)),
        messages.c.owner.is_not(None),
        messages.c.state == State.UNDECIDED.value,
    )
    .with_for_update()
)
_SETTLE = (
    update(messages)
    .where(messages.c.id == bindparam("message_id"))
    .values(
        owner=None,
        state=bindparam("new_state"),
        detail=bindparam("new_detail"),
        decision_id=bindparam("new_decision"),
        sender=bindparam("new_sender"),
        external_id=bindparam("new_external"),
        content=bindparam("new_content"),
    )
)


def commit_verdicts(
    connection: Connection,
    verdicts: Sequence[Verdict],
    destinations: Callable[[Decision], Sequence[Destination]],
    now: datetime,
    turns: Mapping[str, datetime] | None = None,
) -> dict[str, int]:
    """Write what was understood and decided about leased messages; return the decision ids by message id.

    `turns` are those of senders of very many messages, by message id (`router.shares`).
    """
    decided = [verdict.decision for verdict in verdicts if verdict.decision is not None]
    ids = _insert_decisions(connection, decided)
    connection.execute(_SETTLE, [_settled(verdict, ids) for verdict in verdicts])
    opt_outs.note(connection, (verdict.message for verdict in verdicts))
    outgoing = [
        _delivery(replace(decision, id=ids[decision.message_id], department=department), destination, now)
        | {"turn_at": turns.get(decision.message_id) if turns else None}
        for decision in decided
        for destination, department in _each(decision, destinations)
    ]
    if outgoing:
        connection.execute(insert(deliveries), outgoing)
    return ids


def _each(
    decision: Decision, destinations: Callable[[Decision], Sequence[Destination]]
) -> Iterable[tuple[Destination, str]]:
    """Return where a message goes and for which department; an address that two departments share gets it once."""
    wanted: dict[Destination, str] = {}
    for department in (decision.department, *decision.also):
        for destination in destinations(replace(decision, department=department)):
            wanted.setdefault(destination, department)
    return wanted.items()


def _insert_decisions(connection: Connection, decided: Sequence[Decision]) -> dict[str, int]:
    if not decided:
        return {}
    statement = insert(decisions).returning(decisions.c.id, decisions.c.message_id)
    rows = connection.execute(statement, [to_row(decision) for decision in decided])
    return {row.message_id: row.id for row in rows}


def _settled(verdict: Verdict, decision_ids: Mapping[str, int]) -> dict[str, object]:
    content = verdict.message.content
    return {
        "message_id": verdict.message.id,
        "new_state": verdict.state.value,
        "new_detail": verdict.detail,
        "new_decision": decision_ids.get(verdict.message.id),
        "new_sender": content.sender[:320].casefold(),  # threads are followed whatever the case
        "new_external": content.external_id[:255],
        "new_content": content_to_json(content),
    }


def _delivery(decision: Decision, destination: Destination, now: datetime) -> dict[str, object]:
    return {
        "kind": DeliveryKind.ROUTE.value,
        "message_id": decision.message_id,
        "decision_id": decision.id,
        "department": decision.department,
        "via": destination.via,
        "to": destination.to,
        "state": DeliveryState.WAITING.value,
        "urgent": bool(decision.urgent),
        "created_at": now,
        "next_attempt_at": now,
    }
