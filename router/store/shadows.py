"""What a challenger would have done with messages that the champion was asked about."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, delete, exists, func, select
from sqlalchemy.dialects import postgresql, sqlite

from router.records import CorrectionState
from router.store.corrections import MOVED, TACIT, VOTES
from router.store.model_tables import shadows
from router.store.tables import audits, blank_flags, corrections, decisions, messages, votes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection, Row

_NONE: Mapping[str, str] = MappingProxyType({})
OF_ONE_DESK = 5  # times that "This is ours" counts: a program that presses every button must decide nothing alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How champion (`before`) and challenger (`after`) compare on live messages."""

    n: int = 0
    different: int = 0
    before_abstained: int = 0
    after_abstained: int = 0
    alarms_lost: int = 0
    judged: int = 0  # of these, people have said since where they belong: as often as so said each
    before_right: int = 0
    after_right: int = 0
    better: int = 0  # by what people said, the challenger would have treated so many better,
    worse: int = 0  # and so many worse: to a person is worse than to the right desk, to a wrong one worse than that


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


def answers_now(connection: Connection, since: int) -> str:
    """Return which model was asked about the last message decided after a decision, "" if none was."""
    asked = decisions.c.id > since, decisions.c.model != ""
    last = select(decisions.c.model).where(*asked).order_by(decisions.c.id.desc()).limit(1)
    return connection.execute(last).scalar() or ""


def add(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep comparisons; those that are there already stay as they are."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    if rows:
        connection.execute(dialect.insert(shadows).on_conflict_do_nothing(), list(rows))


def counts(connection: Connection, challenger: str, desks: Collection[str], heirs: Mapping[str, str] = _NONE) -> Counts:
    """Return how the two compare so far. `desks` are the departments that a model may choose.

    A message that people say belongs to any other, such as the fallback, was rightly left to a person. `heirs` are the
    departments that answer now for former ones: one that was renamed amid a trial is the same to models and to people.
    """
    ours = shadows.c.challenger == challenger

    def many(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)

    n, different, before, after, lost = connection.execute(
        select(
            func.count(),
            many(shadows.c.before != shadows.c.after),
            many(shadows.c.before == ""),
            many(shadows.c.after == ""),
            many(shadows.c.alarm_lost),
        ).where(ours)
    ).one()
    places = {decision: heirs.get(to, to) for decision, to in belongs(connection, challenger).items()}
    said = {decision: to if to in desks else "" for decision, to in places.items()}
    answers = select(shadows.c.decision_id, shadows.c.before, shadows.c.after)
    rows = connection.execute(answers.where(ours)) if said else ()
    pairs = [
        (_treated(heirs.get(row.before, row.before), to), _treated(heirs.get(row.after, row.after), to))
        for row in rows
        if (to := said.get(row.decision_id)) is not None
    ]
    return Counts(
        n=n,
        different=different,
        before_abstained=before,
        after_abstained=after,
        alarms_lost=lost,
        judged=len(pairs),
        before_right=sum(old == _RIGHT for old, _new in pairs),
        after_right=sum(new == _RIGHT for _old, new in pairs),
        better=sum(new > old for old, new in pairs),
        worse=sum(new < old for old, new in pairs),
    )


_WRONG, _LEFT, _RIGHT = range(3)


def _treated(desk: str, to: str) -> int:
    """Return how well a message for a department is treated at a desk ("": a person), or the other way round."""
    return _RIGHT if desk == to else _WRONG if desk else _LEFT


def belongs(connection: Connection, challenger: str) -> Mapping[int, str]:
    """Return, by decision, where people say that messages belong which a challenger was compared on.

    An audit's answer counts most: it was asked about any message. Then the last word on a message that was passed on,
    if a named person has confirmed it; by itself it tells nothing of what the champion got right, for nobody passes
    that on. And "This is ours" from the department that the champion chose. Silence says nothing yet.
    """
    said = dict(_kept(connection, challenger))
    moved = {row.decision_id: row for row in _passed_on(connection, challenger)}  # the last word of each message
    for decision, row in moved.items():
        said.pop(decision, None)
        if row.state == CorrectionState.CONFIRMED.value and row.confirmed_via not in {VOTES, TACIT}:
            said[decision] = row.to_department
    return said | dict(_audited(connection, challenger))


def _audited(connection: Connection, challenger: str) -> Iterable[tuple[int, str]]:
    statement = (
        select(shadows.c.decision_id, audits.c.answer)
        .join(decisions, decisions.c.id == shadows.c.decision_id)
        .join(audits, audits.c.message_id == decisions.c.message_id)
        .where(shadows.c.challenger == challenger, audits.c.answered_at.is_not(None))
    )
    return ((row.decision_id, row.answer) for row in connection.execute(statement))


def _passed_on(connection: Connection, challenger: str) -> Iterable[Row[Any]]:
    """Return what was said, and not taken back, of the messages that were compared, the oldest first."""
    statement = (
        select(shadows.c.decision_id, corrections.c.to_department, corrections.c.state, corrections.c.confirmed_via)
        .join(decisions, decisions.c.id == shadows.c.decision_id)
        .join(corrections, corrections.c.message_id == decisions.c.message_id)
        .where(shadows.c.challenger == challenger, corrections.c.state != CorrectionState.WITHDRAWN.value, MOVED)
        .order_by(corrections.c.id)
    )
    return connection.execute(statement)


def _kept(connection: Connection, challenger: str) -> Iterable[tuple[int, str]]:
    """Return the messages that the department in the decision has called its own, and that nobody ever passed on.

    A link that a program has used (see `corrections.pressed_every_button`) says nothing.
    """
    passed_on = exists().where(corrections.c.message_id == votes.c.message_id)
    by_program = exists().where(blank_flags.c.delivery_id == votes.c.delivery_id)
    statement = (
        select(shadows.c.decision_id, shadows.c.before, shadows.c.after, votes.c.department)
        .join(decisions, decisions.c.id == shadows.c.decision_id)
        .join(votes, votes.c.message_id == decisions.c.message_id)
        .where(
            shadows.c.challenger == challenger,
            votes.c.department == decisions.c.department,
            ~passed_on,
            ~by_program,
        )
        .order_by(shadows.c.decision_id)
    )
    of_desk: Counter[str] = Counter()
    for row in connection.execute(statement):
        of_desk[row.department] += row.before != row.after
        if row.before == row.after or of_desk[row.department] <= OF_ONE_DESK:
            yield row.decision_id, row.department


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
