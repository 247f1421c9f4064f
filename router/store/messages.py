"""Messages and their originals: leasing, moving, and looking at them. Units of work for `Store.read`/`write`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

from sqlalchemy import Integer, and_, bindparam, func, or_, select, text, update

from router.records import Medium, Message, State
from router.store.codec import content_from_json
from router.store.tables import decisions, deliveries, messages, originals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row, Select, TextClause
    from sqlalchemy.sql.dml import ReturningUpdate

_NEWEST = 4  # one in so many of a batch: who writes during a backlog needn't wait for all of it
MOST_BYTES = 32_000_000
"""Of the originals of a batch together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Undecided:
    """A leased message that has to be understood and decided."""

    id: str
    channel: str
    medium: Medium
    received_at: datetime
    facts: dict[str, Any]
    original: bytes
    fence: int
    lost_leases: int


def lease_undecided(
    connection: Connection,
    owner: str,
    limit: int,
    *,
    suspects: bool = True,
    first: Sequence[str] = (),
    but: Sequence[str] = (),
    turn: int = 0,
) -> list[Undecided]:
    """Lease undecided messages to this daemon and return them with their originals, oldest first.

    While more waits than that, each channel has its share, so that a mailbox's backlog doesn't delay a form: most of it
    the oldest, a quarter the newest, without those in `but`; of more channels than that each in its turn (`turn` counts
    the batches). Together they aren't too large for memory. Those named in `first` that wait come before all others,
    and alone. One that was leased when a process died comes alone, too, the least suspected first, or not at all
    without `suspects`: in a batch again, a few crashes in a row would set all of it aside for what one of them did, or
    none.
    """
    ids = _lease_free(connection, owner, first[:limit])
    return _taken(
        connection, owner, ids or _lease_next(connection, owner, limit, suspects=suspects, but=but, turn=turn)
    )


def lease_these(
    connection: Connection, owner: str, ids: Sequence[str], most_bytes: int | None = None
) -> list[Undecided]:
    """Lease and return those of these messages that wait, that nobody holds and that no process died over.

    The oldest of them, as many as fit into so many bytes, perhaps none; by default those of a batch.
    """
    return _taken(connection, owner, _lease_free(connection, owner, ids), most_bytes, least=0)


def _taken(
    connection: Connection, owner: str, ids: Sequence[str], most_bytes: int | None = None, *, least: int = 1
) -> list[Undecided]:
    ids = _fitting(connection, owner, ids, MOST_BYTES if most_bytes is None else most_bytes, least)
    return [_undecided(row) for row in connection.execute(_LEASED, {"ids": ids})] if ids else []


def _fitting(connection: Connection, owner: str, ids: Sequence[str], most_bytes: int, least: int) -> list[str]:
    """Return those of a batch that fit into memory together, the `least` oldest in any case; give back the others."""
    sizes = sizes_of(connection, ids)
    if sum(sizes.values()) <= most_bytes:
        return list(ids)
    rows = connection.execute(_IN_ORDER, {"ids": ids}).scalars()
    fitting, octets = list[str](), 0
    for message_id in rows:
        if len(fitting) < least or octets + sizes[message_id] <= most_bytes:
            fitting.append(message_id)
            octets += sizes[message_id]
    give_back(connection, owner, [message_id for message_id in ids if message_id not in fitting])
    return fitting


def _lease_free(connection: Connection, owner: str, ids: Sequence[str]) -> list[Any]:
    return list(connection.execute(_LEASE_FREE, {"ids": ids, "new_owner": owner}).scalars()) if ids else []


def _lease_next(
    connection: Connection, owner: str, limit: int, *, suspects: bool, but: Sequence[str], turn: int
) -> list[Any]:
    suspect = connection.execute(_SUSPECT, {"most": 1}).scalar() if suspects else None
    if suspect is not None:
        return list(connection.execute(_LEASE_THESE, {"ids": [suspect], "new_owner": owner}).scalars())
    ids = _ids(connection, _OLDEST, {"most": limit + 1, "but": but})
    if len(ids) > limit:  # what is both old and new leaves room
        ids = list(dict.fromkeys([*_shared(connection, limit, but, turn), *ids]))[:limit]
    return _lease_free(connection, owner, ids)


def _shared(connection: Connection, limit: int, but: Sequence[str], turn: int) -> list[str]:
    """Return ids of messages that wait, as many of each channel as of every other."""
    channels, newest = _ids(connection, _CHANNELS), limit // _NEWEST
    begin = turn % len(channels) if channels else 0
    ids: dict[str, None] = {}
    for statement, most in ((_OLDEST_OF, limit - newest), (_NEWEST_OF, newest)):
        values = {"most": most, "but": but}
        found = [_ids(connection, statement, {"from": name} | values) for name in channels[begin:] + channels[:begin]]
        in_turns = (id_ for row in zip_longest(*found) for id_ in row if id_ is not None)
        ids |= dict.fromkeys(islice(in_turns, most))
    return list(ids)


def _ids(
    connection: Connection, statement: Select[tuple[str]], values: Mapping[str, object] | None = None
) -> list[Any]:
    return list(connection.execute(statement, values).scalars())


def waiting(connection: Connection, most: int = 100_000) -> list[str]:
    """Return the newest of the messages that wait for a decision and that nobody holds, oldest first."""
    return list(connection.execute(_NEWEST_WAITING, {"most": most}).scalars())[::-1]


def waiting_among(connection: Connection, ids: Sequence[str], most_bytes: int) -> list[Undecided]:
    """Return those of these messages that still wait, unless their original has more bytes."""
    return [_undecided(row) for row in connection.execute(_STILL_WAITING, {"ids": ids, "most_bytes": most_bytes})]


def _undecided(row: Any) -> Undecided:
    return Undecided(
        id=row.id,
        channel=row.channel,
        medium=Medium(row.medium),
        received_at=row.received_at,
        facts=row.facts,
        original=row.original,
        fence=row.fence,
        lost_leases=row.lost_leases,
    )


# Statements of every batch are made once: to put one together costs as much as to run it.
_OF_THESE = messages.c.id.in_(bindparam("ids", expanding=True))


_IS_FREE = and_(messages.c.state == State.UNDECIDED.value, messages.c.owner.is_(None))
_IS_SOUND = messages.c.lost_leases == 0
_IS_SUSPECT = text("messages.state = 'undecided' AND messages.lost_leases > 0")  # or the index isn't used
_ISNT_LEFT = messages.c.id.not_in(bindparam("but", expanding=True))


def _free(*which: ColumnElement[bool] | TextClause, order: Sequence[ColumnElement[Any]]) -> Select[tuple[str]]:
    found = select(messages.c.id).where(_IS_FREE, *which).order_by(*order).limit(bindparam("most", type_=Integer))
    return found.with_for_update(skip_locked=True)


def _leasing(which: ColumnElement[bool]) -> ReturningUpdate[tuple[str]]:
    leased = update(messages).where(which).values(owner=bindparam("new_owner"), fence=messages.c.fence + 1)
    return leased.returning(messages.c.id)


_OF_CHANNEL = messages.c.channel == bindparam("from")
_SUSPECT = _free(_IS_SUSPECT, order=(messages.c.lost_leases, messages.c.received_at))
_OLDEST = _free(_IS_SOUND, _ISNT_LEFT, order=(messages.c.received_at,))
_OLDEST_OF = _free(_IS_SOUND, _ISNT_LEFT, _OF_CHANNEL, order=(messages.c.received_at,))
_NEWEST_OF = _free(_IS_SOUND, _ISNT_LEFT, _OF_CHANNEL, order=(messages.c.received_at.desc(),))
_FREE_OF_THESE = select(messages.c.id).where(_OF_THESE, _IS_FREE, _IS_SOUND).with_for_update(skip_locked=True)
_LEASE_FREE = _leasing(messages.c.id.in_(_FREE_OF_THESE))  # other daemons may want the same ones
_LEASE_THESE = _leasing(_OF_THESE)


def _channels_waiting() -> Select[tuple[str]]:
    """Return the statement for the channels of which something waits: one step along the index for each of them."""
    least = select(func.min(messages.c.channel)).where(messages.c.state == State.UNDECIDED.value)
    found = select(least.scalar_subquery().label("channel")).cte("found", recursive=True)
    following = least.where(messages.c.channel > found.c.channel).scalar_subquery()
    found = found.union_all(select(following).where(found.c.channel.is_not(None)))
    return select(found.c.channel).where(found.c.channel.is_not(None))


_CHANNELS = _channels_waiting()
_NEWEST_WAITING = (
    select(messages.c.id)
    .where(_IS_FREE, _IS_SOUND)
    .order_by(messages.c.received_at.desc(), messages.c.id.desc())
    .limit(bindparam("most", type_=Integer))
)
_NEEDED = ("id", "channel", "medium", "received_at", "facts", "fence", "lost_leases")
_LEASED = (
    select(*(messages.c[name] for name in _NEEDED), originals.c.content.label("original"))
    .join(originals, originals.c.message_id == messages.c.id)
    .where(_OF_THESE)
    .order_by(messages.c.received_at, messages.c.id)
)
_IN_ORDER = select(messages.c.id).where(_OF_THESE).order_by(messages.c.received_at, messages.c.id)
_STILL_WAITING = _LEASED.where(
    _IS_FREE, _IS_SOUND, func.length(originals.c.content) <= bindparam("most_bytes", type_=Integer)
)


def set_state(
    connection: Connection, message_id: str, state: State, detail: str = "", decision_id: int | None = None
) -> None:
    """Move a decided message (a correction, a release); `decision_id` None keeps the decision in force."""
    values: dict[str, Any] = {"state": state.value, "detail": detail}
    if decision_id is not None:
        values["decision_id"] = decision_id
    connection.execute(update(messages).where(messages.c.id == message_id).values(**values))


def release(connection: Connection, message_id: str) -> bool:
    """Let a held message be decided again, without the steps that held it; False if it isn't held."""
    held = and_(messages.c.id == message_id, messages.c.state == State.HELD.value)
    facts = connection.execute(select(messages.c.facts).where(held).with_for_update()).scalar()
    if facts is None:
        return False
    values = {"state": State.UNDECIDED.value, "detail": "", "facts": {**facts, "released": True}, "owner": None}
    connection.execute(update(messages).where(held).values(**values))
    return True


def give_back(connection: Connection, owner: str, ids: list[str]) -> None:
    """Give back messages of a batch that failed."""
    connection.execute(update(messages).where(messages.c.owner == owner, messages.c.id.in_(ids)).values(owner=None))


def release_leases(connection: Connection, owner: str) -> None:
    """Give back what this daemon leased but didn't finish (a graceful stop loses no lease)."""
    mine = messages.c.owner == owner, messages.c.state == State.UNDECIDED.value
    connection.execute(update(messages).where(*mine).values(owner=None))


def get(connection: Connection, message_id: str) -> Message | None:
    """Return one message, or None."""
    row = connection.execute(select(messages).where(messages.c.id == message_id)).first()
    return None if row is None else to_message(row)


def lock(connection: Connection, message_id: str) -> bool:
    """Keep others from moving a message until this unit of work ends; False if there is no such message."""
    found = select(messages.c.id).where(messages.c.id == message_id).with_for_update()
    return connection.execute(found).first() is not None


def state_of(connection: Connection, message_id: str) -> State:
    """Return where a message stands."""
    return State(connection.execute(select(messages.c.state).where(messages.c.id == message_id)).scalar_one())


def detail_of(connection: Connection, message_id: str) -> str:
    """Return why a message is held or filed, "" otherwise."""
    return str(connection.execute(select(messages.c.detail).where(messages.c.id == message_id)).scalar_one())


def of_delivery(connection: Connection, delivery_id: int) -> Message | None:
    """Return the message that a delivery carried, or None."""
    carried = select(messages).join(deliveries, deliveries.c.message_id == messages.c.id)
    row = connection.execute(carried.where(deliveries.c.id == delivery_id)).first()
    return None if row is None else to_message(row)


def get_many(connection: Connection, ids: list[str]) -> dict[str, Message]:
    """Return messages by id."""
    return {row.id: to_message(row) for row in connection.execute(_MANY, {"ids": ids})}


def sizes_of(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """Return how many octets the originals of several messages have, by message id; none of them is read for that."""
    return {row.message_id: row.size for row in connection.execute(_SIZES, {"ids": ids})} if ids else {}


def originals_of(connection: Connection, ids: list[str]) -> dict[str, bytes]:
    """Return the bytes of several messages as they were accepted, by message id."""
    return {row.message_id: row.content for row in connection.execute(_ORIGINALS, {"ids": ids})}


_SHOWN = ("id", "channel", "medium", "received_at", "content", "lost_leases")
_MANY = select(*(messages.c[name] for name in _SHOWN)).where(_OF_THESE)
_SIZES = select(originals.c.message_id, func.length(originals.c.content).label("size")).where(
    originals.c.message_id.in_(bindparam("ids", expanding=True))
)
_ORIGINALS = select(originals).where(originals.c.message_id.in_(bindparam("ids", expanding=True)))


def original(connection: Connection, message_id: str) -> bytes:
    """Return the bytes as they were accepted."""
    found = connection.execute(select(originals.c.content).where(originals.c.message_id == message_id))
    return bytes(found.scalar_one())


def listing(state: str | None, department: str | None, limit: int, before_id: str = "") -> Select[Any]:
    """Return the statement for a page of messages with their decision in force, newest first."""
    statement = (
        select(
            messages,
            decisions.c.department,
            decisions.c.reason,
            decisions.c.detail.label("why"),
            decisions.c.confidence,
            decisions.c.urgent,
            decisions.c.school,
            decisions.c.suggestions,
        )
        .outerjoin(decisions, decisions.c.id == messages.c.decision_id)
        .order_by(messages.c.received_at.desc(), messages.c.id.desc())
        .limit(limit)
    )
    if state:
        statement = statement.where(messages.c.state == state)
    if department:
        statement = statement.where(decisions.c.department == department)
    if before_id:  # an id tells 1/16 s apart; the time of receipt is exact, and together they are unambiguous
        end = select(messages.c.received_at).where(messages.c.id == before_id).scalar_subquery()
        same_moment = and_(messages.c.received_at == end, messages.c.id < before_id)
        statement = statement.where(or_(messages.c.received_at < end, same_moment))
    return statement


def to_message(row: Row[Any]) -> Message:
    """Return the record of a row of `messages`."""
    return Message(
        id=row.id,
        channel=row.channel,
        medium=Medium(row.medium),
        received_at=row.received_at,
        content=content_from_json(row.content),
        lost_leases=row.lost_leases,
    )


def newest(connection: Connection, channel: str) -> datetime | None:
    """Return when the last message came in by a channel, None if none has."""
    statement = select(messages.c.received_at).where(messages.c.channel == channel)
    return connection.execute(statement.order_by(messages.c.received_at.desc()).limit(1)).scalar()
