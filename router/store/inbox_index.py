"""What finds messages for the console: rows and words are made here, some time after the path has decided.

The console reads state, department and school from the living tables: what is here only finds messages sooner. So a
message that was decided just now is missing for a moment, and nothing is ever shown where it isn't any more.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, insert, literal, or_, select, text, union
from sqlalchemy.dialects import postgresql, sqlite

from router.records import CorrectionState, State
from router.store import corrections as corrections_store
from router.store import holders
from router.store.codec import content_from_json
from router.store.inbox_tables import inbox_follow, inbox_rows, inbox_words
from router.store.search_words import number_words, to_tsvector, words_of
from router.store.tables import corrections, decisions, messages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import Connection, Row, Select

FIRST, AGAIN, EARLIER, VERSION = "first", "again", "earlier", "version"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIES = 10  # bits of a key below the microsecond
_LAG = timedelta(minutes=1)  # on PostgreSQL, what was decided earlier may be committed later, by so much at most
_SOON = timedelta(seconds=3)  # what waits for a shorter time is about to be decided
_RECENT = timedelta(days=2)  # what was filed, or passed on as a copy, earlier is known
_LOOKED_AT = 100  # decisions of before, at once
_SOON_DONE = 1000  # so many decisions, in their order
_MOST_CHARACTERS = 60_000  # of a text: what is found by its words
_IS_FILED = text("messages.state = 'filed'")  # in these very words, or the index of these isn't used
_OF_PEOPLE = (State.HELD.value, State.UNDECIDED.value)


def key_of(at: datetime) -> int:
    """Return the least key of a message that came in then; keys are in the order of time."""
    return ((at - _EPOCH) // timedelta(microseconds=1)) << _TIES


# --- marks: words of their own for what is filtered by ----------------------------------------------------------------


def mark(kind: str, value: str = "") -> str:
    """Return the mark of a value; letters and digits alone."""
    return kind + value.encode("utf-8", "backslashreplace").hex()


def tenths(confidence: float) -> int:
    """Return in which tenth a confidence lies."""
    return min(9, max(0, int(confidence * 10)))


def _marks(row: Row[Any], copies: Sequence[str]) -> Iterator[str]:
    yield mark("all")
    for department in (row.department or "", *copies):
        yield mark("d", department)
    yield mark("s", row.school or "")
    yield mark("c", row.channel)
    yield mark("l", (row.content or {}).get("language", ""))
    yield mark("r", row.reason or "")
    yield mark("t", row.state)
    if row.urgent:
        yield mark("u")
    if row.confidence is not None:
        yield mark("p", str(tenths(row.confidence)))


def _words(row: Row[Any]) -> Iterator[str]:
    content = content_from_json(row.content)
    for found_by in (row.id, content.sender_name, content.sender, content.reply_to, content.external_id):
        yield from words_of(found_by)
    for number in (content.sender, content.phone):
        yield from number_words(number if "@" not in number else "")
    yield from words_of(content.subject)
    yield from words_of(content.text[:_MOST_CHARACTERS])


# --- what is due ------------------------------------------------------------------------------------------------------


def value(connection: Connection, name: str) -> int:
    """Return how far something is, 0 at first."""
    return _noted(connection, name) or 0


def _noted(connection: Connection, name: str) -> int | None:
    found = connection.execute(select(inbox_follow.c.value).where(inbox_follow.c.name == name)).scalar()
    return None if found is None else int(found)


def begin(connection: Connection, now: datetime) -> None:
    """Note up to which decision the store was filled while nobody indexed it: what comes after that goes first."""
    own = decisions.c.id
    last = int(connection.execute(select(func.max(own))).scalar() or 0)
    if _noted(connection, EARLIER) is not None and last - value(connection, FIRST) <= _SOON_DONE:
        return
    old = select(own).where(decisions.c.decided_at <= now - _LAG).order_by(own.desc()).limit(1)
    _set(connection, AGAIN, int(connection.execute(old).scalar() or 0))
    for name in (FIRST, EARLIER):
        _set(connection, name, last)


def earlier(connection: Connection, limit: int) -> tuple[list[str], int]:
    """Return messages of before that aren't known, of the newest decisions first, and which decision is the next."""
    rows = connection.execute(_earlier(connection).limit(_LOOKED_AT)).all()
    unknown, found = set(_differing(connection, [row.message_id for row in rows])), dict[str, None]()
    for row in rows:
        if row.message_id in unknown:
            if len(found) == limit:
                return list(found), row.id
            found[row.message_id] = None
    return list(found), rows[-1].id - 1 if rows else 0


def earlier_than(connection: Connection) -> datetime | None:
    """Return up to which time messages of before are still to be indexed, None if all are."""
    row = connection.execute(_earlier(connection).limit(1)).first()
    return row.decided_at if row else None


def _earlier(connection: Connection) -> Select[Any]:
    statement = select(decisions.c.id, decisions.c.message_id, decisions.c.decided_at).order_by(decisions.c.id.desc())
    noted = _noted(connection, EARLIER)
    return statement if noted is None else statement.where(decisions.c.id <= noted)


def decided(connection: Connection, name: str, limit: int, now: datetime) -> tuple[list[str], int]:
    """Return the messages that the next decisions are about, and the last of these decisions.

    `FIRST` follows at once; `AGAIN`, a minute later, finds those that were numbered earlier and committed later.
    """
    after = value(connection, name)
    statement = select(decisions.c.id, decisions.c.message_id, decisions.c.decided_at).where(decisions.c.id > after)
    rows = list(connection.execute(statement.order_by(decisions.c.id).limit(limit)))
    if name == AGAIN:
        young = next((place for place, row in enumerate(rows) if row.decided_at > now - _LAG), len(rows))
        rows = rows[:young]
    last = rows[-1].id if rows else after
    return _differing(connection, [row.message_id for row in rows]), int(last)


def _differing(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Return those of which the index doesn't know how they are decided."""
    if not ids:
        return []
    return _ids(connection, _compared().where(messages.c.id.in_(set(ids)), _DIFFERS))


def _ids(connection: Connection, statement: Select[tuple[str]]) -> list[str]:
    return [row.id for row in connection.execute(statement)]


def _compared() -> Select[tuple[str]]:
    beside = messages.outerjoin(inbox_rows, inbox_rows.c.message_id == messages.c.id)
    return select(messages.c.id).select_from(beside)


_DIFFERS = or_(
    inbox_rows.c.key.is_(None),
    inbox_rows.c.state != messages.c.state,
    inbox_rows.c.decision_id.is_distinct_from(messages.c.decision_id),
    inbox_rows.c.departments.is_(None),
)


def moved(connection: Connection, limit: int, now: datetime, *, lately: bool) -> list[str]:
    """Return messages that moved without a decision: held, let go, filed, put back by whoever undid a correction.

    And those a copy of which was passed on. With `lately` what was undone or passed on long ago isn't looked at again.
    """
    since = now - _RECENT if lately else _EPOCH
    state = messages.c.state
    filed = (state == State.FILED.value, messages.c.received_at > now - _RECENT)
    known = select(messages.c.id).join(inbox_rows, inbox_rows.c.message_id == messages.c.id)
    undone = known.join(corrections, corrections.c.message_id == messages.c.id).where(
        corrections.c.state == CorrectionState.WITHDRAWN.value,
        corrections.c.settled_at > since,
        inbox_rows.c.decision_id.is_distinct_from(messages.c.decision_id),
    )
    spaced = literal(" ").concat(inbox_rows.c.departments).concat(" ")
    passed = known.join(corrections, corrections.c.message_id == messages.c.id).where(
        corrections.c.at > since,
        and_(corrections.c.decision_id == messages.c.decision_id, ~corrections_store.MOVED),
        ~spaced.contains(literal(" ").concat(corrections.c.to_department).concat(" ")),
    )
    found = [
        _compared().where(state == State.HELD.value, _DIFFERS),
        _compared().where(state == State.UNDECIDED.value, messages.c.received_at < now - _SOON, _DIFFERS),
        _compared().where(*filed, _DIFFERS),
        known.where(inbox_rows.c.state.in_(_OF_PEOPLE), inbox_rows.c.state != state),
        undone,
        passed,
    ]
    ids = union(*(select(each.limit(limit).subquery().c.id) for each in found))
    return list(connection.execute(ids).scalars())[:limit]


def filed_before(connection: Connection, until: datetime, limit: int) -> tuple[list[str], datetime | None]:
    """Return what was filed and isn't known, the newest first, and the time to go on from (None: that was all).

    That is what a store from before the index holds; what was filed lately `moved` finds.
    """
    old = _compared().add_columns(messages.c.received_at).where(_IS_FILED, messages.c.received_at <= until, _DIFFERS)
    rows = connection.execute(old.order_by(messages.c.received_at.desc()).limit(limit)).all()
    return [row.id for row in rows], rows[-1].received_at if rows else None


def long_ago(now: datetime) -> datetime:
    """Return before which time `moved` doesn't look for what was filed."""
    return now - _RECENT


# --- keeping it -------------------------------------------------------------------------------------------------------


def put(
    connection: Connection, ids: Sequence[str], followed: tuple[str, int] | None = None, *, is_news: bool = True
) -> None:
    """Index these messages as they are now, and note how far the decisions have been followed.

    Those of long ago are no news to whoever has the list open.
    """
    if followed is not None:
        _set(connection, *followed)
    rows = _rows(connection, ids) if ids else []
    if not rows:
        return
    known = _keys(connection, [row.id for row in rows])
    version, copies = value(connection, VERSION), holders.copies(connection, ids, undone=True)
    taken = set(known.values())
    forget(connection, list(known))
    made = list[dict[str, Any]]()
    for number, row in enumerate(rows, version + 1):
        key = known.get(row.id) or _free(connection, key_of(row.received_at), taken)
        taken.add(key)
        kept = {"message_id": row.id, "decision_id": row.decision_id, "state": row.state}
        kept["departments"] = " ".join((row.department or "", *copies.get(row.id, ())))
        made.append({"key": key, "version": number if is_news else 0, **kept})
    connection.execute(insert(inbox_rows), made)
    _put_words(connection, [(each["key"], row, copies.get(row.id, ())) for each, row in zip(made, rows, strict=True)])
    if is_news:
        _set(connection, VERSION, version + len(rows))


def _keys(connection: Connection, ids: Collection[str]) -> dict[str, int]:
    found = select(inbox_rows.c.message_id, inbox_rows.c.key).where(inbox_rows.c.message_id.in_(ids))
    return {row.message_id: row.key for row in connection.execute(found)}


def forget(connection: Connection, ids: Collection[str]) -> None:
    """Let messages not be found any more, by anything: whoever erases what a family wrote calls this, too."""
    keys = list(_keys(connection, ids).values())
    if keys:
        name = inbox_words.c.rowid if connection.dialect.name == "sqlite" else inbox_words.c.key
        connection.execute(delete(inbox_words).where(name.in_(keys)))
        connection.execute(delete(inbox_rows).where(inbox_rows.c.key.in_(keys)))


def _rows(connection: Connection, ids: Sequence[str]) -> Sequence[Row[Any]]:
    names = ("department", "school", "reason", "confidence", "urgent")
    columns = (messages.c[name] for name in ("id", "channel", "received_at", "state", "decision_id", "content"))
    statement = (
        select(*columns, *(decisions.c[name] for name in names))
        .select_from(messages.outerjoin(decisions, decisions.c.id == messages.c.decision_id))
        .where(messages.c.id.in_(ids))
        .order_by(messages.c.received_at, messages.c.id)
    )
    return connection.execute(statement).all()


def _free(connection: Connection, key: int, taken: set[int]) -> int:
    """Return the first key from this one on that nobody has."""
    own = inbox_rows.c.key
    last = connection.execute(select(func.max(own)).where(own >= key, own < key + (1 << _TIES))).scalar()
    key = key if last is None else int(last) + 1
    while key in taken:
        key += 1
    return key


def _put_words(connection: Connection, rows: Sequence[tuple[int, Row[Any], Sequence[str]]]) -> None:
    if connection.dialect.name == "sqlite":
        statement = "INSERT INTO inbox_words (rowid, marks, words) VALUES (:key, :marks, :words)"
        values = [
            {"key": key, "marks": " ".join(_marks(row, copies)), "words": " ".join(_words(row))}
            for key, row, copies in rows
        ]
    else:
        statement = "INSERT INTO inbox_words (key, words) VALUES (:key, CAST(:words AS tsvector))"
        values = [{"key": key, "words": to_tsvector(_marks(row, copies), _words(row))} for key, row, copies in rows]
    connection.execute(text(statement), values)


def _set(connection: Connection, name: str, number: int) -> None:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(inbox_follow).values(name=name, value=number)
    changed = {"value": statement.excluded["value"]}
    connection.execute(statement.on_conflict_do_update(index_elements=[inbox_follow.c.name], set_=changed))
