"""Corrections and votes: what people said about decisions, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, exists, func, insert, or_, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite

from router.records import Correction, CorrectionState, DeliveryKind, DeliveryState, Reason, State
from router.store.tables import blank_flags, corrections, decisions, deliveries, messages, votes

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

COMMAND, VOTES, TACIT = "command", "votes", "tacit"
"""How a correction may be confirmed: by a named person's command (or page), two votes, or time that went by."""
UNNAMED = (TACIT, VOTES)

MOVED = corrections.c.new_decision_id.is_distinct_from(corrections.c.decision_id)
"""True of what was said of a message itself, and not of a copy that was sent for its second matter."""


def add(connection: Connection, correction: Correction, new_decision_id: int) -> int:
    """Store a correction with the decision it led to, and return its id."""
    row = {
        "message_id": correction.message_id,
        "from_department": correction.from_department,
        "to_department": correction.to_department,
        "by": correction.by[:320],
        "via": correction.via,
        "model": correction.model,
        "state": correction.state.value,
        "at": correction.at,
        "note": correction.note,
        "decision_id": correction.decision_id,
        "delivery_id": correction.delivery_id,
        "new_decision_id": new_decision_id,
        "confirmed_by": correction.confirmed_by[:320],
        "confirmed_via": correction.confirmed_via,
        "client": correction.client,
        "settled_at": None if correction.state is CorrectionState.PROPOSED else correction.at,
    }
    return int(connection.execute(insert(corrections).returning(corrections.c.id), row).scalar_one())


def settle(
    connection: Connection, correction_id: int, state: CorrectionState, now: datetime, by: str, *, via: str = COMMAND
) -> Correction | None:
    """Confirm a proposed correction, or withdraw a proposed or confirmed one; None if that can't be.

    What only time or votes have confirmed may be confirmed again by whoever counts more.
    """
    c = corrections.c
    before = [CorrectionState.PROPOSED.value]
    weaker = {TACIT: (), VOTES: (TACIT,)}.get(via, UNNAMED)
    may = or_(c.state.in_(before), and_(c.state == CorrectionState.CONFIRMED.value, c.confirmed_via.in_(weaker)))
    values = {"confirmed_by": by[:320], "confirmed_via": via}
    if state is CorrectionState.WITHDRAWN:
        may = c.state.in_([*before, CorrectionState.CONFIRMED.value])
        values = {"withdrawn_by": by[:320]}
    row = connection.execute(
        update(corrections)
        .where(c.id == correction_id, may)
        .values(state=state.value, settled_at=now, **values)
        .returning(corrections)
    ).first()
    return None if row is None else to_correction(row)


def get(connection: Connection, correction_id: int) -> Correction | None:
    """Return one correction, or None."""
    row = connection.execute(select(corrections).where(corrections.c.id == correction_id)).first()
    return None if row is None else to_correction(row)


def of_message(connection: Connection, message_id: str) -> list[Correction]:
    """Return what was said about one message, oldest first."""
    rows = select(corrections).where(corrections.c.message_id == message_id).order_by(corrections.c.id)
    return [to_correction(row) for row in connection.execute(rows)]


def leading_to(connection: Connection, decision_id: int) -> Correction | None:
    """Return the correction that brought a message to where a decision put it, if one did."""
    row = connection.execute(select(corrections).where(corrections.c.new_decision_id == decision_id)).first()
    return None if row is None else to_correction(row)


def of_copies(connection: Connection, decision_id: int) -> list[Correction]:
    """Return by which corrections a copy of a message, sent for its second matter, was passed on to another department.

    They leave the message where it is: the decision that they are about stays in force.
    """
    rows = connection.execute(
        select(corrections)
        .where(
            corrections.c.decision_id == decision_id,
            corrections.c.new_decision_id == decision_id,
            corrections.c.state != CorrectionState.WITHDRAWN.value,
        )
        .order_by(corrections.c.id)
    )
    return [to_correction(row) for row in rows]


def led_to_dispute(connection: Connection, correction_id: int) -> bool:
    """Return whether a correction put its message before the fallback, disputed."""
    disputed = (
        select(corrections.c.id)
        .join(decisions, decisions.c.id == corrections.c.new_decision_id)
        .where(corrections.c.id == correction_id, decisions.c.reason == Reason.DISPUTED.value)
    )
    return connection.execute(disputed).first() is not None


def in_state(connection: Connection, state: str | None, limit: int) -> list[Correction]:
    """Return corrections, newest first."""
    statement = select(corrections).order_by(corrections.c.id.desc()).limit(limit)
    if state:
        statement = statement.where(corrections.c.state == state)
    return [to_correction(row) for row in connection.execute(statement)]


def confirmed_rows(connection: Connection) -> list[Row[Any]]:
    """Return confirmed corrections with the message's medium and content: what may be trained on, oldest first.

    `mailbox` is the address whose link was used, None if none was; `alarm` why people were told of the message at once
    ("" or None: they were not). What was said of a copy isn't among them: the message is about something else.
    """
    c = corrections.c
    statement = (
        select(
            *(c.id, c.message_id, c.from_department, c.to_department, c.by, c.confirmed_by, c.confirmed_via),
            c.settled_at,
            messages.c.medium,
            messages.c.content,
            deliveries.c.to.label("mailbox"),
            decisions.c.urgent.label("alarm"),
        )
        .join(messages, messages.c.id == c.message_id)
        .outerjoin(deliveries, deliveries.c.id == c.delivery_id)
        .outerjoin(decisions, decisions.c.id == c.decision_id)
        .where(c.state == CorrectionState.CONFIRMED.value, MOVED)
        .order_by(c.id)
    )
    return list(connection.execute(statement))


def voters(connection: Connection) -> dict[int, list[str]]:
    """Return from which addresses came the "This is ours" that confirmed a correction, by the correction's id."""
    c = corrections.c
    statement = (
        select(c.id, deliveries.c.to)
        .join(votes, votes.c.message_id == c.message_id)
        .join(deliveries, deliveries.c.id == votes.c.delivery_id)
        .where(
            c.state == CorrectionState.CONFIRMED.value,
            c.confirmed_via == VOTES,
            deliveries.c.decision_id == c.new_decision_id,
            deliveries.c.department == c.to_department,
        )
    )
    found: dict[int, list[str]] = {}
    for correction_id, address in connection.execute(statement):
        found.setdefault(correction_id, []).append(address)
    return found


def of_disputed(connection: Connection) -> list[Correction]:
    """Return what was said, and not withdrawn, of messages about which it was said twice or more.

    What a program's link said counts only if it was confirmed: else a scanner would contradict everybody.
    """
    state = corrections.c.state
    by_program = exists().where(blank_flags.c.delivery_id == corrections.c.delivery_id)
    said = or_(state == CorrectionState.CONFIRMED.value, and_(state == CorrectionState.PROPOSED.value, ~by_program))
    live = and_(said, MOVED)
    twice = select(corrections.c.message_id).where(live).group_by(corrections.c.message_id).having(func.count() > 1)
    rows = select(corrections).where(live, corrections.c.message_id.in_(twice)).order_by(corrections.c.id)
    return [to_correction(row) for row in connection.execute(rows)]


def busy_addresses(connection: Connection, since: datetime, more_than: int) -> list[tuple[str, str, int]]:
    """Return from which addresses (channel, address) more flags and votes than that came since a time, and how many."""
    said = [
        select(table.c.delivery_id).where(table.c.at >= since, table.c.delivery_id.is_not(None))
        for table in (corrections, votes)
    ]
    each = union_all(*said).subquery()
    statement = (
        select(deliveries.c.via, deliveries.c.to, func.count().label("n"))
        .join(each, each.c.delivery_id == deliveries.c.id)
        .group_by(deliveries.c.via, deliveries.c.to)
        .having(func.count() > more_than)
        .order_by(func.count().desc(), deliveries.c.to, deliveries.c.via)
    )
    return [(row.via, row.to, row.n) for row in connection.execute(statement)]


def confirmed_by_person(connection: Connection, since: datetime) -> list[tuple[str, int]]:
    """Return by whom corrections were confirmed since a time, and how many by each, the most first."""
    c = corrections.c
    person = func.lower(c.confirmed_by)
    statement = (
        select(person.label("person"), func.count().label("n"))
        .where(c.state == CorrectionState.CONFIRMED.value, c.settled_at >= since, c.confirmed_via.not_in(UNNAMED))
        .group_by(person)
        .order_by(func.count().desc(), person)
    )
    return [(row.person, row.n) for row in connection.execute(statement)]


def lived_with(connection: Connection, until: datetime) -> list[int]:
    """Return proposed flags whose message is still where they brought it, if it had arrived there by then."""
    c = corrections.c
    statement = (
        select(c.id)
        .join(messages, messages.c.decision_id == c.new_decision_id)
        .join(decisions, decisions.c.id == c.new_decision_id)
        .where(
            c.state == CorrectionState.PROPOSED.value,
            MOVED,
            messages.c.state == State.ROUTED.value,
            decisions.c.department == c.to_department,  # and not with the fallback, disputed
            exists().where(
                deliveries.c.decision_id == decisions.c.id,
                deliveries.c.message_id == messages.c.id,
                deliveries.c.kind == DeliveryKind.ROUTE.value,
                deliveries.c.state == DeliveryState.DELIVERED.value,
                deliveries.c.settled_at < until,
            ),
        )
        .order_by(c.id)
    )
    return list(connection.execute(statement).scalars())


def count_by_state(connection: Connection) -> dict[str, int]:
    """Return how many corrections there are in each state."""
    rows = connection.execute(select(corrections.c.state, func.count()).group_by(corrections.c.state))
    return {state: int(n) for state, n in rows}


def vote(connection: Connection, message_id: str, delivery_id: int, department: str, now: datetime) -> bool:
    """Record "This is ours" from a delivery; False if that delivery has voted before."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {"message_id": message_id, "delivery_id": delivery_id, "department": department, "at": now}
    statement = dialect.insert(votes).values(row).on_conflict_do_nothing().returning(votes.c.id)
    return connection.execute(statement).scalar() is not None


def has_voted(connection: Connection, delivery_id: int) -> bool:
    """Return whether a delivery has said "This is ours", even if that was after it had sent the message on."""
    return connection.execute(select(votes.c.id).where(votes.c.delivery_id == delivery_id)).first() is not None


def of_delivery(connection: Connection, delivery_id: int) -> list[Correction]:
    """Return what was said by the link of a delivery, even if it was undone."""
    return [
        to_correction(row)
        for row in connection.execute(
            select(corrections).where(corrections.c.delivery_id == delivery_id).order_by(corrections.c.id)
        )
    ]


def note_blank(connection: Connection, delivery_id: int, now: datetime) -> bool:
    """Remember that the form behind a delivery's link was sent without a department; False if that was known."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(blank_flags).values(delivery_id=delivery_id, at=now).on_conflict_do_nothing()
    return connection.execute(statement.returning(blank_flags.c.delivery_id)).first() is not None


def pressed_every_button(connection: Connection, delivery_id: int) -> bool:
    """Return whether a delivery's link was used as only programs do.

    That is: to send the message on (even if that was undone) and to say "This is ours", or to send the form without a
    department, which no browser lets a person do.
    """
    blank = select(blank_flags.c.delivery_id).where(blank_flags.c.delivery_id == delivery_id)
    both = has_voted(connection, delivery_id) and bool(of_delivery(connection, delivery_id))
    return both or connection.execute(blank).first() is not None


def doubt(connection: Connection, correction_id: int) -> None:
    """Let a correction that only votes confirmed be proposed again: one of the voters has thought better of it."""
    connection.execute(
        update(corrections)
        .where(
            corrections.c.id == correction_id,
            corrections.c.state == CorrectionState.CONFIRMED.value,
            corrections.c.confirmed_via == VOTES,
        )
        .values(state=CorrectionState.PROPOSED.value, confirmed_by="", confirmed_via="", settled_at=None)
    )


def to_correction(row: Row[Any]) -> Correction:
    """Return the record of a row of `corrections`."""
    return Correction(
        id=row.id,
        message_id=row.message_id,
        from_department=row.from_department,
        to_department=row.to_department,
        by=row.by,
        via=row.via,
        model=row.model,
        state=CorrectionState(row.state),
        at=row.at,
        note=row.note,
        decision_id=row.decision_id,
        delivery_id=row.delivery_id,
        confirmed_by=row.confirmed_by,
        confirmed_via=row.confirmed_via,
        withdrawn_by=row.withdrawn_by,
        client=row.client,
    )
