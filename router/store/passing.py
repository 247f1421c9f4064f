"""What becomes of deliveries that still wait when their message is passed on to another department."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import update

from router.records import DeliveryKind, DeliveryState
from router.store.deliveries import PASSED_ON
from router.store.tables import deliveries

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection


def drop_waiting(
    connection: Connection, decision_id: int, now: datetime, *, of: str = "", but_of: Iterable[str] = ()
) -> None:
    """Drop what still waits of a decision that was corrected before it was sent.

    If the message went to several departments: of one of them (`of`), or of all but some (`but_of`).
    """
    statement = update(deliveries).where(
        deliveries.c.decision_id == decision_id,
        deliveries.c.kind == DeliveryKind.ROUTE.value,
        deliveries.c.state == DeliveryState.WAITING.value,
        deliveries.c.owner.is_(None),
        deliveries.c.department.not_in(list(but_of)),
        *_only(of),
    )
    connection.execute(statement.values(state=DeliveryState.DROPPED.value, settled_at=now, last_error=PASSED_ON))


def resume_dropped(connection: Connection, decision_id: int, now: datetime, *, of: str = "") -> None:
    """Undo `drop_waiting`: what was dropped unsent waits again."""
    statement = update(deliveries).where(
        deliveries.c.decision_id == decision_id,
        deliveries.c.kind == DeliveryKind.ROUTE.value,
        deliveries.c.state == DeliveryState.DROPPED.value,
        deliveries.c.last_error == PASSED_ON,  # not what a person dropped
        *_only(of),
    )
    waiting = DeliveryState.WAITING.value
    connection.execute(statement.values(state=waiting, settled_at=None, next_attempt_at=now, last_error=""))


def _only(department: str) -> list[ColumnElement[bool]]:
    return [deliveries.c.department == department] if department else []
