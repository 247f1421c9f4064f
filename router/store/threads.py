"""What a message may continue: earlier messages by id, by Message-ID or by sender, with the decision in force."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, text

from router.records import Reason, State
from router.store.arrivals import LONGEST_MAIL_ID
from router.store.codec import content_from_json
from router.store.tables import decisions, messages

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import BindParameter, Connection, Select

    from router.records import Content

_MOST = 20
_MOST_UNDECIDED = 256  # of one look: somebody may have sent one Message-ID a thousand times
# In these very words, or the partial indexes of these columns aren't used.
_HAS_ID, _HAS_SENDER = text("messages.external_id <> ''"), text("messages.sender <> ''")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An earlier message, and where it stands now."""

    id: str
    received_at: datetime
    content: Content
    department: str
    school: str
    reason: Reason


def named(
    connection: Connection, message_ids: Sequence[str], external_ids: Sequence[str], before: datetime
) -> list[Standing]:
    """Return the routed messages that came before and have one of these ids, newest first; anybody's."""
    found: list[Standing] = []
    if message_ids:
        found += _all(connection, _routed(before).where(messages.c.id.in_(message_ids)))
    if external_ids:
        found += _all(connection, by_external_id(external_ids, before))
    return sorted(found, key=lambda earlier: earlier.received_at, reverse=True)


def latest(connection: Connection, sender: str, since: datetime, before: datetime) -> Standing | None:
    """Return the newest routed message of a sender in a span of time, None if there is none."""
    return next(iter(_all(connection, by_sender(sender, since, before))), None)


def count_of(connection: Connection, sender: str, since: datetime, at_most: int) -> int:
    """Return how many messages of a sender were routed in a span of time; counts no further than `at_most`."""
    own = (messages.c.sender == sender[:320].casefold(), messages.c.received_at >= since)
    routed = select(messages.c.id).where(_HAS_SENDER, *own, messages.c.state == State.ROUTED.value).limit(at_most)
    return len(connection.execute(routed).all())


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A message that isn't decided yet; `mail_id` is "" if it has none that others could name."""

    id: str
    received_at: datetime
    mail_id: str = ""


def undecided_named(
    connection: Connection, message_ids: Collection[str], mail_ids: Collection[str]
) -> Sequence[Waiting]:
    """Return what waits for a decision and has one of these ids, or one of these Message-IDs; anybody's."""
    found: list[Waiting] = []
    if message_ids:
        found += _waiting(connection, UNDECIDED_BY_ID, list(message_ids))
    if named := [each for each in mail_ids if len(each) <= LONGEST_MAIL_ID]:
        found += _waiting(connection, UNDECIDED_BY_MAIL_ID, named)
    return found


def undecided_texts(connection: Connection, message_ids: Collection[str]) -> dict[str, Waiting]:
    """Return, for each of these texts, the last one before it that the same number sent and that still waits."""
    rows = connection.execute(UNDECIDED_TEXTS, {"ids": list(message_ids)}).all() if message_ids else []
    return {row.later: Waiting(id=row.id, received_at=row.received_at) for row in rows}


def _waiting(connection: Connection, statement: Select[Any], these: Sequence[str]) -> list[Waiting]:
    rows = connection.execute(statement, {"these": these})
    return [Waiting(id=row.id, received_at=row.received_at, mail_id=row.mail_id or "") for row in rows]


def _undecided() -> Select[Any]:
    shown = select(messages.c.id, messages.c.received_at, messages.c.mail_id)
    return shown.where(text("messages.state = 'undecided'")).limit(_MOST_UNDECIDED)


def _undecided_texts() -> Select[Any]:
    later, between = messages.alias("later"), messages.alias("earlier")
    last = (
        select(between.c.id)
        .where(text("earlier.state = 'undecided' AND earlier.sender <> ''"))
        .where(between.c.sender == later.c.sender, between.c.received_at < later.c.received_at)
        .order_by(between.c.received_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    pairs = select(later.c.id.label("later"), messages.c.id, messages.c.received_at)
    these = later.c.id.in_(bindparam("ids", expanding=True))
    return pairs.select_from(later.join(messages, messages.c.id == last)).where(these)


_THESE: BindParameter[Any] = bindparam("these", expanding=True)
UNDECIDED_BY_ID = _undecided().where(messages.c.id.in_(_THESE))
UNDECIDED_BY_MAIL_ID = _undecided().where(text("messages.mail_id IS NOT NULL"), messages.c.mail_id.in_(_THESE))
UNDECIDED_TEXTS = _undecided_texts()


def by_external_id(external_ids: Sequence[str], before: datetime) -> Select[Any]:
    """Return the statement for routed messages with one of these Message-IDs."""
    return _routed(before).where(_HAS_ID, messages.c.external_id.in_(external_ids))


def by_sender(sender: str, since: datetime, before: datetime) -> Select[Any]:
    """Return the statement for a sender's newest routed message."""
    own = (messages.c.sender == sender[:320].casefold(), messages.c.received_at >= since)
    return _routed(before).where(_HAS_SENDER, *own).limit(1)


def _routed(before: datetime) -> Select[Any]:
    present = (decisions.c.department, decisions.c.school, decisions.c.reason)
    return (
        select(messages.c.id, messages.c.received_at, messages.c.content, *present)
        .join(decisions, decisions.c.id == messages.c.decision_id)
        .where(messages.c.state == State.ROUTED.value, messages.c.received_at < before)
        .order_by(messages.c.received_at.desc(), messages.c.id.desc())
        .limit(_MOST)
    )


def _all(connection: Connection, statement: Select[Any]) -> list[Standing]:
    return [
        Standing(
            id=row.id,
            received_at=row.received_at,
            content=content_from_json(row.content),
            department=row.department,
            school=row.school,
            reason=Reason(row.reason),
        )
        for row in connection.execute(statement)
    ]
