"""Deliveries: the outbox. Units of work to add, lease and settle them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, bindparam, func, insert, literal_column, select, true, union_all, update

from router.records import Delivery, DeliveryKind, DeliveryState, Destination, Notice, State
from router.store import decisions
from router.store.codec import notice_from_json, notice_to_json
from router.store.tables import deliveries, messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Select, UpdateBase

PASSED_ON = "the message was passed on before this was sent"


def add(
    connection: Connection,
    destinations: Iterable[Destination],
    *,
    kind: DeliveryKind,
    now: datetime,
    message_id: str | None = None,
    decision_id: int | None = None,
    department: str = "",
    urgent: bool = False,
    notice: Notice | None = None,
) -> list[int]:
    """Put one delivery per distinct destination into the outbox and return their ids."""
    common = {
        "kind": kind.value,
        "message_id": message_id,
        "decision_id": decision_id,
        "department": department,
        "state": DeliveryState.WAITING.value,
        "urgent": urgent,
        "created_at": now,
        "next_attempt_at": now,
        "notice": notice_to_json(notice),
    }
    rows = [{**common, "via": d.via, "to": d.to} for d in dict.fromkeys(destinations)]
    if not rows:
        return []
    return list(connection.execute(insert(deliveries).returning(deliveries.c.id), rows).scalars())


def lease(
    connection: Connection,
    via: str,
    owner: str,
    now: datetime,
    limit: int,
    *,
    suspects: int = 1,
    only_alerts: bool = False,
    shut: Sequence[str] = (),
) -> list[Delivery]:
    """Lease what is due at one sink, but for the addresses in `shut`: alerts, other urgent ones, then by turn and age.

    The attempt counts from here: a crash is one, too. Automatic answers wait until nothing else does. With
    `only_alerts` nothing is leased but urgent alerts. Of those that were leased when a process died, at most `suspects`
    more are taken, the least suspected first: were they leased together again, a few crashes in a row would bury them
    all for what one of them did, or none.
    """
    wanted = {"sink": via, "at": now, "most": limit, "most_suspects": suspects, "new_owner": owner, "shut": shut}
    rows = connection.execute(_LEASE[only_alerts, suspects > 0, bool(shut)], wanted).all()
    return [to_delivery(row) for row in sorted(rows, key=_precedence)]


def _precedence(row: Row[Any]) -> tuple[Any, ...]:
    is_answer, is_alert = row.kind == DeliveryKind.ANSWER.value, row.kind == DeliveryKind.ALERT.value
    return is_answer, not row.urgent, row.urgent and not is_alert, row.turn_at or row.next_attempt_at, row.id


def _due(which: ColumnElement[bool], limit: str) -> Select[tuple[int]]:
    return (
        select(deliveries.c.id)
        .where(
            deliveries.c.state == DeliveryState.WAITING.value,
            deliveries.c.via == bindparam("sink"),
            deliveries.c.owner.is_(None),
            deliveries.c.next_attempt_at <= bindparam("at"),
            which,
        )
        .order_by(
            deliveries.c.urgent.desc(),
            deliveries.c.urgent & (deliveries.c.kind != DeliveryKind.ALERT.value),
            deliveries.c.kind == DeliveryKind.ANSWER.value,
            deliveries.c.lost_leases,
            func.coalesce(deliveries.c.turn_at, deliveries.c.next_attempt_at),
            deliveries.c.id,
        )
        .limit(bindparam(limit, type_=Integer))
        .with_for_update(skip_locked=True)
    )


def _leasing(*chosen: Select[tuple[int]]) -> UpdateBase:
    ids = union_all(*(select(due.subquery().c.id) for due in chosen))  # of two sets PostgreSQL would look at every row
    return (
        update(deliveries)
        .where(deliveries.c.id.in_(ids))
        .values(owner=bindparam("new_owner"), fence=deliveries.c.fence + 1, attempts=deliveries.c.attempts + 1)
        .returning(deliveries, literal_column(_SIZE, Integer).label("size"))
    )


# As words, for SQLAlchemy leaves the tables' names out, and cast, for what SQLite returns has no affinity: all
# originals would be looked at, not the key's index. None of the bytes is read.
_SIZE = "(SELECT length(o.content) FROM originals AS o WHERE o.message_id = CAST(deliveries.message_id AS VARCHAR))"
_SOUND, _SUSPECT = deliveries.c.lost_leases == 0, deliveries.c.lost_leases > 0  # made once: it costs as much as a run
_ALARMING = deliveries.c.urgent & (deliveries.c.kind == DeliveryKind.ALERT.value)
_OPEN = _ALARMING | deliveries.c.to.not_in(bindparam("shut", expanding=True))  # alarms try every host, each time
_LEASE = {
    (only_alerts, suspects, shut): _leasing(
        _due(_SOUND & which & where, "most"),
        *([_due(_SUSPECT & which & where, "most_suspects")] if suspects else []),
    )
    for only_alerts, which in ((False, true()), (True, _ALARMING))
    for suspects in (False, True)
    for shut, where in ((False, true()), (True, _OPEN))
}


def settle(
    connection: Connection,
    delivery: Delivery,
    state: DeliveryState,
    now: datetime,
    *,
    error: str = "",
    remote_id: str = "",
    unclear: bool = False,
) -> bool:
    """End a delivery; return False if its lease was lost meanwhile (nothing is written)."""
    return _finish(
        connection,
        delivery,
        state=state.value,
        settled_at=now,
        last_error=error,
        remote_id=remote_id[:255],
        unclear=delivery.unclear + unclear,
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """A delivery that its sink confirmed, perhaps with a remark."""

    delivery: Delivery
    remote_id: str
    at: datetime
    remark: str = ""


_DELIVERED = (
    update(deliveries)
    .where(
        deliveries.c.id == bindparam("delivery_id"),
        deliveries.c.fence == bindparam("lease"),
        deliveries.c.owner.is_not(None),
        deliveries.c.state == DeliveryState.WAITING.value,
    )
    .values(
        owner=None,
        state=DeliveryState.DELIVERED.value,
        settled_at=bindparam("at"),
        last_error=bindparam("remark"),
        remote_id=bindparam("remote"),
    )
)


def delivered(connection: Connection, sent: Sequence[Sent]) -> list[None]:
    """End deliveries that went well, all that wait for it in one statement; one whose lease was lost stays as it is."""
    rows = [
        {"delivery_id": one.delivery.id, "lease": one.delivery.fence, "at": one.at, "remote": one.remote_id[:255]}
        | {"remark": one.remark}
        for one in sent
    ]
    connection.execute(_DELIVERED, rows)
    return [None] * len(sent)


def defer(
    connection: Connection, delivery: Delivery, next_attempt_at: datetime, error: str, *, unclear: bool = False
) -> bool:
    """Try again later; return False if the lease was lost meanwhile. The process outlived it: it killed none."""
    return _finish(
        connection,
        delivery,
        lost_leases=0,
        next_attempt_at=next_attempt_at,
        last_error=error,
        unclear=delivery.unclear + unclear,
    )


def _finish(connection: Connection, delivery: Delivery, **values: Any) -> bool:
    done = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id == delivery.id,
            deliveries.c.fence == delivery.fence,
            deliveries.c.owner.is_not(None),
            deliveries.c.state == DeliveryState.WAITING.value,
        )
        .values(owner=None, **values)
    )
    return done.rowcount == 1


def defer_unless_moved(
    connection: Connection,
    delivery: Delivery,
    next_attempt_at: datetime,
    error: str,
    *,
    now: datetime,
    unclear: bool = False,
) -> bool:
    """Try again later, unless the message was passed on meanwhile: then the old desk doesn't get it any more."""
    if delivery.kind is DeliveryKind.ROUTE and moved_on(connection, delivery):
        return settle(connection, delivery, DeliveryState.DROPPED, now, error=PASSED_ON, unclear=unclear)
    return defer(connection, delivery, next_attempt_at, error, unclear=unclear)


def hasten(connection: Connection, via: str, now: datetime) -> int:
    """Make what waits for another try at one sink due now; return how many deliveries that were."""
    waits = (
        deliveries.c.state == DeliveryState.WAITING.value,
        deliveries.c.via == via,
        deliveries.c.owner.is_(None),
        deliveries.c.next_attempt_at > now,
    )
    return connection.execute(update(deliveries).where(*waits).values(next_attempt_at=now)).rowcount


def moved_on(connection: Connection, delivery: Delivery) -> bool:
    """Return whether the message was passed on since. A copy for a second matter stays where it was sent."""
    present = select(messages.c.decision_id, messages.c.state).where(messages.c.id == delivery.message_id)
    row = connection.execute(present).first()
    if row is not None and row.state == State.HELD.value:
        return True  # by a person, while this was on its way
    if delivery.decision_id is None or row is None or row.decision_id == delivery.decision_id:
        return False
    decision = decisions.get(connection, delivery.decision_id)
    return not decision.also or delivery.department == decision.department


def release_leases(connection: Connection, owner: str) -> None:
    """Give back what this daemon leased and didn't attempt (a graceful stop: no attempt, no lost lease)."""
    mine = deliveries.c.owner == owner, deliveries.c.state == DeliveryState.WAITING.value
    connection.execute(update(deliveries).where(*mine).values(owner=None, attempts=deliveries.c.attempts - 1))


def unlease(connection: Connection, delivery: Delivery) -> None:
    """Give one delivery back unattempted."""
    connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery.id, deliveries.c.fence == delivery.fence, deliveries.c.owner.is_not(None))
        .values(owner=None, attempts=deliveries.c.attempts - 1)
    )


def revive(connection: Connection, delivery_id: int, now: datetime) -> Delivery | None:
    """Let a dead or unclear delivery start again from zero; None if it is in another state."""
    row = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id == delivery_id,
            deliveries.c.state.in_([DeliveryState.DEAD.value, DeliveryState.UNCLEAR.value]),
        )
        .values(
            state=DeliveryState.WAITING.value,
            attempts=0,
            unclear=0,
            lost_leases=0,
            created_at=now,
            next_attempt_at=now,
            settled_at=None,
        )
        .returning(deliveries)
    ).first()
    return None if row is None else to_delivery(row)


def drop(connection: Connection, delivery_id: int, now: datetime) -> bool:
    """End an unsettled, dead or unclear delivery by a person's word; False if it was delivered or dropped before."""
    done = connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id == delivery_id,
            deliveries.c.state.not_in([DeliveryState.DELIVERED.value, DeliveryState.DROPPED.value]),
        )
        .values(state=DeliveryState.DROPPED.value, settled_at=now, owner=None)
    )
    return done.rowcount == 1


def get(connection: Connection, delivery_id: int) -> Delivery | None:
    """Return one delivery, or None."""
    row = connection.execute(select(deliveries).where(deliveries.c.id == delivery_id)).first()
    return None if row is None else to_delivery(row)


def of_message(connection: Connection, message_id: str) -> list[Delivery]:
    """Return all deliveries about a message, oldest first."""
    rows = connection.execute(select(deliveries).where(deliveries.c.message_id == message_id).order_by(deliveries.c.id))
    return [to_delivery(row) for row in rows]


def in_states(connection: Connection, states: list[str], limit: int) -> list[Delivery]:
    """Return deliveries in these states, newest first."""
    rows = connection.execute(
        select(deliveries).where(deliveries.c.state.in_(states)).order_by(deliveries.c.id.desc()).limit(limit)
    )
    return [to_delivery(row) for row in rows]


def to_delivery(row: Row[Any]) -> Delivery:
    """Return the record of a row of `deliveries`."""
    return Delivery(
        id=row.id,
        kind=DeliveryKind(row.kind),
        message_id=row.message_id,
        decision_id=row.decision_id,
        department=row.department,
        via=row.via,
        to=row.to,
        state=DeliveryState(row.state),
        attempts=row.attempts,
        unclear=row.unclear,
        lost_leases=row.lost_leases,
        fence=row.fence,
        created_at=row.created_at,
        next_attempt_at=row.next_attempt_at,
        last_error=row.last_error,
        remote_id=row.remote_id,
        notice=notice_from_json(row.notice),
        size=getattr(row, "size", 0) or 0,
    )
