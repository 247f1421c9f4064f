"""Where what an address names lies: the departments and schools that decide who may see it. Units of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from router.store import holders
from router.store.tables import corrections, decisions, deliveries, messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement, Connection

Where = tuple[tuple[str, str], ...]
"""Departments ("": none yet), each with the school; empty for what doesn't exist."""
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Place:
    """What a parameter of an address names, and how it is found where that lies: the department that has it first.

    With `copies` those that got a copy may only look at it and comment.
    """

    parameter: str
    find: Callable[[Connection, str], Where]
    copies: bool = True


def _of_message(connection: Connection, message_id: str) -> Where:
    return _where(connection, messages.c.id == message_id)


def _of_delivery(connection: Connection, number: str) -> Where:
    named = select(deliveries.c.message_id).where(deliveries.c.id == _number(number))
    return _where(connection, messages.c.id.in_(named))


def _of_correction(connection: Connection, number: str) -> Where:
    named = select(corrections.c.message_id).where(corrections.c.id == _number(number))
    return _where(connection, messages.c.id.in_(named))


def _number(text: str) -> int:
    plain = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if plain else -1


def _where(connection: Connection, which: ColumnElement[bool]) -> Where:
    """Return where the decision in force has put a message; who got a copy has it, too."""
    statement = (
        select(messages.c.id, decisions.c.department, decisions.c.school)
        .select_from(messages.outerjoin(decisions, decisions.c.id == messages.c.decision_id))
        .where(which)
    )
    row = connection.execute(statement).first()
    if row is None:
        return ()
    if row.department is None:
        return (("", ""),)
    copies = holders.copies(connection, [row.id]).get(row.id, ())
    return tuple((department, row.school or "") for department in (row.department, *copies))


MESSAGE = Place("message", _of_message)
DELIVERY = Place("delivery", _of_delivery)
CORRECTION = Place("correction", _of_correction)
