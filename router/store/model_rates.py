"""How often a model abstained and was corrected, beside what decided before it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from router.records import CorrectionState, Reason
from router.store.corrections import MOVED, TACIT, VOTES
from router.store.tables import audits, corrections, decisions

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from router.store.models import ModelRow

_BY_MODEL = (Reason.MODEL.value, Reason.ABSTAINED.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Messages that a model decided about, how many it left to the fallback, and how many of the others were wrong.

    What it left to the fallback is nearly always sent on, so that says nothing about its answers. `corrected` is what a
    named person confirmed of the message itself, or answered in an audit: flags and votes alone, which a program can
    send, move no model. `by_one` is how many of these one person alone has confirmed, whoever has the most; nobody
    chooses what they are asked about in an audit, so that doesn't count there.
    """

    n: int
    abstained: int
    corrected: int
    by_one: int = 0

    @property
    def routed(self) -> int:
        """The messages that it sent to a department."""
        return self.n - self.abstained


def decided(connection: Connection, champion: ModelRow, most: int) -> int:
    """Return how many decisions the champion has made since it was promoted; so many at most are counted."""
    its = select(decisions.c.id).where(*_its(champion.version, champion.since_decision or 0)).limit(most)
    return connection.execute(select(func.count()).select_from(its.subquery())).scalar_one()


def both(connection: Connection, champion: ModelRow) -> tuple[Rates, Rates]:
    """Return the rates of as many decisions before the champion's promotion as it has made since, and of these.

    Corrections come in over days, so of the messages before only those count that had come in by the promotion: both
    have had about the same time.
    """
    since = champion.since_decision or 0
    after = _rates(connection, select(decisions.c.id, decisions.c.reason).where(*_its(champion.version, since)), None)
    earlier = (
        select(decisions.c.id, decisions.c.reason)
        .where(
            decisions.c.id <= since,
            decisions.c.reason.in_(_BY_MODEL),
            decisions.c.model.not_in(("", champion.version)),
        )
        .order_by(decisions.c.id.desc())
        .limit(after.n)
    )
    return _rates(connection, earlier, champion.promoted_at), after


def _its(version: str, since: int) -> tuple[Any, ...]:
    return decisions.c.id > since, decisions.c.model == version, decisions.c.reason.in_(_BY_MODEL)


def _rates(connection: Connection, of: Any, until: datetime | None) -> Rates:
    these = of.subquery()
    abstained = func.count().filter(these.c.reason == Reason.ABSTAINED.value)
    n, left = connection.execute(select(func.count(), abstained).select_from(these)).one()
    persons, audited = _corrected(connection, these, until), _audited(connection, these, until)
    alone = Counter(next(iter(who)) for decision, who in persons.items() if len(who) == 1 and decision not in audited)
    most = max(alone.values(), default=0)
    return Rates(n=n, abstained=left, corrected=len(persons.keys() | audited), by_one=most)


def _corrected(connection: Connection, these: Any, until: datetime | None) -> dict[int, set[str]]:
    """Return the decisions that named persons have confirmed to be wrong, each with these persons."""
    statement = (
        select(these.c.id, func.lower(corrections.c.confirmed_by))
        .join(corrections, corrections.c.decision_id == these.c.id)
        .where(
            corrections.c.state == CorrectionState.CONFIRMED.value,
            corrections.c.confirmed_via.not_in((VOTES, TACIT)),
            these.c.reason == Reason.MODEL.value,
            MOVED,
        )
    )
    found: dict[int, set[str]] = {}
    for decision, person in connection.execute(
        statement if until is None else statement.where(corrections.c.settled_at <= until)
    ):
        found.setdefault(decision, set()).add(person)
    return found


def _audited(connection: Connection, these: Any, until: datetime | None) -> set[int]:
    """Return the decisions that an audit has found to be wrong."""
    statement = (
        select(these.c.id)
        .join(audits, audits.c.decision_id == these.c.id)
        .where(audits.c.wrong.is_(True), these.c.reason == Reason.MODEL.value)
    )
    within = statement if until is None else statement.where(audits.c.answered_at <= until)
    return set(connection.execute(within).scalars())
