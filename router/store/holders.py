"""Who has a message: the department that it is with, and those that got a copy of it for its second matter.

Who has a copy may look at it and comment; what becomes of the message is for the one that has it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, false, func, literal, or_, select

from router.records import CorrectionState
from router.store.tables import corrections, decisions, messages

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import ColumnElement, Connection

    from router.store.scope import Scope

_PASSED = corrections.c.new_decision_id == corrections.c.decision_id  # a copy was passed on, the message stayed


def within(scope: Scope) -> list[ColumnElement[bool]]:
    """Return the conditions on `decisions` (an outer join of `messages`) under which a message is for somebody."""
    conditions = _at_schools(scope)
    if scope.departments is not None:
        conditions.append(decisions.c.department.in_(sorted(scope.departments)))
    return conditions


def seen(connection: Connection, scope: Scope) -> list[ColumnElement[bool]]:
    """Return the conditions on the same two tables under which somebody sees a message, if only as a copy."""
    conditions = _at_schools(scope)
    if scope.departments is not None:
        conditions.append(has(connection, scope.departments))
    return conditions


def _at_schools(scope: Scope) -> list[ColumnElement[bool]]:
    if scope.schools is None:
        return []
    school = func.coalesce(decisions.c.school, "")
    return [or_(school == "", school.in_(sorted(scope.schools)))]


def has(connection: Connection, departments: Collection[str]) -> ColumnElement[bool]:
    """Return the condition that one of these departments has a message, first or as a copy."""
    if not departments:
        return false()
    ours = sorted(departments)
    if connection.dialect.name == "sqlite":
        listed = func.json_each(decisions.c.prediction, "$.also").table_valued("value", name="also")
    else:
        listed = func.json_array_elements_text(decisions.c.prediction["also"]).table_valued("value", name="also")
    also = select(literal(1)).select_from(listed).where(listed.c.value.in_(ours))
    passed = select(literal(1)).where(
        corrections.c.decision_id == messages.c.decision_id,
        _PASSED,
        corrections.c.state != CorrectionState.WITHDRAWN.value,
        corrections.c.to_department.in_(ours),
    )
    copied = or_(also.correlate(decisions).exists(), passed.correlate(messages).exists())
    return or_(decisions.c.department.in_(ours), and_(decisions.c.id.is_not(None), copied))


def copies(connection: Connection, ids: Collection[str], *, undone: bool = False) -> dict[str, tuple[str, ...]]:
    """Return which departments have copies of these messages; with `undone` those, too, whose copy was taken back."""
    given = (
        select(messages.c.id, decisions.c.department, decisions.c.prediction)
        .join(decisions, decisions.c.id == messages.c.decision_id)
        .where(messages.c.id.in_(ids))
    )
    passed = (
        select(messages.c.id, corrections.c.to_department)
        .join(corrections, and_(corrections.c.decision_id == messages.c.decision_id, _PASSED))
        .where(messages.c.id.in_(ids))
        .order_by(corrections.c.id)
    )
    if not undone:
        passed = passed.where(corrections.c.state != CorrectionState.WITHDRAWN.value)
    rows = connection.execute(given).all()
    found = {row.id: list((row.prediction or {}).get("also", ())) for row in rows}
    for row in connection.execute(passed):
        found[row.id].append(row.to_department)
    return {row.id: tuple(dict.fromkeys(each for each in found[row.id] if each != row.department)) for row in rows}
