"""What happened to models, and by whose word: trainings, refusals, promotions, rollbacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, func, insert, select

from router.records import CorrectionState
from router.store.corrections import TACIT, VOTES
from router.store.model_tables import model_events
from router.store.tables import audits, corrections

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

TRAINING, FAILED = "training", "training_failed"  # the time of the first is that of its snapshot
REGISTERED, REFUSED, SHADOWED, PROMOTED = "registered", "refused", "shadowed", "promoted"
ROLLED_BACK, RETURNED, NOT_PROMOTED = "rolled_back", "returned", "not_promoted"
STOOD_IN = "stood_in"  # for a champion that couldn't be used
DROPPED, PINNED, UNPINNED = "dropped", "pinned", "unpinned"


def add(connection: Connection, what: str, now: datetime, *, version: str = "", by: str = "", why: str = "") -> None:
    """Note that something happened. `by` is a person, or "" for Signpost itself."""
    row = {"what": what, "at": now, "version": version, "by": by[:320], "why": why}
    connection.execute(insert(model_events), row)


def listing(connection: Connection, version: str = "", limit: int = 100) -> list[Row[Any]]:
    """Return what happened to a version, or to all of them, newest first."""
    statement = select(model_events).order_by(model_events.c.id.desc()).limit(limit)
    return list(connection.execute(statement.where(model_events.c.version == version) if version else statement))


def last(connection: Connection, what: str, until: datetime) -> datetime | None:
    """Return when this happened last, None if never; what is later than `until` a wrong clock has noted."""
    of = (model_events.c.what == what, model_events.c.at <= until)
    found: datetime | None = connection.execute(select(func.max(model_events.c.at)).where(*of)).scalar()
    return found


def last_version(connection: Connection, what: str) -> str:
    """Return the version that this happened to last, "" if it never did."""
    statement = select(model_events.c.version).where(model_events.c.what == what).order_by(model_events.c.id.desc())
    return connection.execute(statement.limit(1)).scalar() or ""


def since(connection: Connection, what: str, version: str) -> datetime | None:
    """Return when something happened to a version last, None if never."""
    of = (model_events.c.what == what, model_events.c.version == version)
    found: datetime | None = connection.execute(select(func.max(model_events.c.at)).where(*of)).scalar()
    return found


def last_of(connection: Connection, version: str, what: str) -> Row[Any] | None:
    """Return the last thing that happened to a version (but pinning and the like), if it was this."""
    changes = (PROMOTED, RETURNED, ROLLED_BACK, NOT_PROMOTED)
    row = connection.execute(
        select(model_events)
        .where(model_events.c.version == version, model_events.c.what.in_(changes))
        .order_by(model_events.c.id.desc())
        .limit(1)
    ).first()
    return row if row is not None and row.what == what else None


def settled_since(connection: Connection, since: datetime | None, until: datetime) -> tuple[int, int]:
    """Return how many words people confirmed since a moment (or ever) and until another, and how many changed at all.

    Words are corrections and answers to audits. What only time confirmed is no reason to train, nor what only votes
    did, unless a person has confirmed something by name, too.
    """

    def between(at: Any) -> Any:
        return at <= until if since is None else and_(at > since, at <= until)

    c, settled, answered = corrections.c, corrections.c.settled_at, audits.c.answered_at
    confirmed = c.state == CorrectionState.CONFIRMED.value
    statement = select(
        func.count().filter(confirmed, c.confirmed_via.not_in([TACIT, VOTES])),
        func.count().filter(confirmed, c.confirmed_via == VOTES),
        func.count(),
    ).where(between(settled))
    labels = select(func.count()).where(between(answered))
    by_name, by_votes, changed = connection.execute(statement).one()
    labelled = connection.execute(labels.select_from(audits)).scalar_one()
    by_name += labelled
    return by_name + (by_votes if by_name else 0), changed + labelled


def failures_since(connection: Connection, since: datetime | None) -> tuple[int, datetime | None]:
    """Return how many trainings have failed since a moment (or ever), and when the last one did."""
    statement = select(func.count(), func.max(model_events.c.at)).where(model_events.c.what == FAILED)
    if since is not None:
        statement = statement.where(model_events.c.at > since)
    count, at = connection.execute(statement).one()
    return count, at
