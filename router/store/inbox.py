"""The console's list, its counts and its search: what somebody may see and asks for, newest first, a page at a time.

Marks and words (`router.store.inbox_index`) find messages in the order of time; the living tables say how each stands
and whether it is within the scope, in the same statement.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, exists, false, func, literal_column, select, text, true

from router.errors import Malformed
from router.records import CorrectionState, DeliveryKind, DeliveryState, State
from router.store import holders
from router.store.corrections import MOVED
from router.store.inbox_index import key_of, mark, tenths
from router.store.inbox_tables import inbox_rows, inbox_words
from router.store.search_words import asked, to_fts5, to_tsquery
from router.store.tables import corrections, decisions, deliveries, messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select

    from router.store.scope import Scope

MOST = 1000  # that are counted: "1,000 or more"
_WORST = (DeliveryState.DEAD, DeliveryState.UNCLEAR, DeliveryState.WAITING, DeliveryState.DELIVERED)
_CURSOR = re.compile(r"([on])([0-7]?[0-9a-f]{1,15})")  # a key of less than 64 bits, and which way it goes on
_UNSETTLED = "deliveries.state IN ('dead', 'unclear')"  # said as its index says it, which is used then alone
_BEGINNING = 200  # characters of a text that stand where there is no subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What somebody wants to see; "" and None leave a thing open. `at_least` and `below` are of the confidence."""

    channel: str = ""
    department: str = ""
    school: str = ""
    language: str = ""
    reason: str = ""
    state: State | None = None
    at_least: float | None = None
    below: float | None = None
    urgent: bool = False
    dead: bool = False
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message of the list, as it stands now. `delivery` is the worst state of those to its desks, "" for none."""

    id: str
    received_at: datetime
    channel: str
    medium: str
    sender: str
    address: str
    subject: str
    language: str
    department: str
    copies: tuple[str, ...]
    school: str
    reason: str
    confidence: float | None
    urgent: str
    state: State
    detail: str
    delivery: str
    corrected: bool
    suggestions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Messages, newest first; cursors of the pages beside it, "" where there are no more."""

    lines: tuple[Line, ...]
    older: str = ""
    newer: str = ""


# --- the list ---------------------------------------------------------------------------------------------------------


def page(connection: Connection, scope: Scope, filters: Filters, cursor: str = "", limit: int = 50) -> Page:
    """Return a page of what somebody sees; raise `Malformed` for a cursor that isn't one."""
    backwards, key = _read(cursor)
    statement = _found(connection, scope, filters, *_COLUMNS, backwards=backwards, beyond=key)
    rows = [] if statement is None else list(connection.execute(statement.limit(limit + 1)))
    more, rows = len(rows) > limit, rows[:limit]
    if backwards:
        rows.reverse()
    if not rows:
        return Page(lines=())
    lines = tuple(_lines(connection, rows))
    older = f"o{rows[-1].key:x}" if more or backwards else ""
    newer = f"n{rows[0].key:x}" if (more if backwards else bool(cursor)) else ""
    return Page(lines=lines, older=older, newer=newer)


def _read(cursor: str) -> tuple[bool, int | None]:
    if not cursor:
        return False, None
    made = _CURSOR.fullmatch(cursor)
    if made is None:
        raise Malformed("this page of the list can't be found: begin again with the first")
    return made[1] == "n", int(made[2], 16)


def count(connection: Connection, scope: Scope, filters: Filters, most: int = MOST) -> int:
    """Return how many messages somebody sees of these; `most` stands for that many or more."""
    statement = _found(connection, scope, filters, inbox_rows.c.key)
    if statement is None:
        return 0
    return int(connection.execute(select(func.count()).select_from(statement.limit(most).subquery())).scalar_one())


# --- what is asked ----------------------------------------------------------------------------------------------------

_content = messages.c.content
_CORRECTED = exists().where(
    corrections.c.message_id == messages.c.id, corrections.c.state != CorrectionState.WITHDRAWN.value, MOVED
)
_COLUMNS = (
    inbox_rows.c.key,
    *(messages.c[name] for name in ("id", "received_at", "channel", "medium", "state", "detail", "decision_id")),
    *(_content[name].as_string().label(name) for name in ("sender", "sender_name", "phone", "subject", "language")),
    func.substr(_content["text"].as_string(), 1, _BEGINNING).label("beginning"),
    *(decisions.c[name] for name in ("department", "school", "reason", "confidence", "urgent", "suggestions")),
    _CORRECTED.label("corrected"),
)


def _found(
    connection: Connection,
    scope: Scope,
    filters: Filters,
    *columns: ColumnElement[Any],
    backwards: bool = False,
    beyond: int | None = None,
) -> Select[Any] | None:
    """Return the statement for what somebody sees, in order; None if that can be nothing."""
    parts = asked(filters.text)
    if scope.departments == frozenset() or (filters.text.strip() and not parts):
        return None
    sqlite = connection.dialect.name == "sqlite"
    few = filters.dead and not parts  # these are found by themselves, and not among all that have the marks
    marks = [] if few else list(_marks(scope, filters))
    key: ColumnElement[int] = inbox_rows.c.key
    source: FromClause = inbox_rows
    wanted = _dead() if filters.dead else []
    present = [*holders.seen(connection, scope), *living(connection, filters)]
    present += fixed(filters) if few else []
    wanted += present if sqlite else _beyond_estimate(present)
    if marks or parts:
        key = inbox_words.c.rowid if sqlite else inbox_words.c.key
        source = inbox_words.join(inbox_rows, key == inbox_rows.c.key)
        query = (to_fts5 if sqlite else to_tsquery)(marks or [[mark("all")]], parts)
        wanted.append(_matching(query, sqlite=sqlite))
    source = source.join(messages, messages.c.id == inbox_rows.c.message_id)
    source = source.outerjoin(decisions, decisions.c.id == messages.c.decision_id)
    if filters.since is not None:
        wanted.append(key >= key_of(filters.since))
    if filters.until is not None:
        wanted.append(key < key_of(filters.until))
    if beyond is not None:
        wanted.append(key > beyond if backwards else key < beyond)
    order = key.asc() if backwards else key.desc()
    return select(*columns).select_from(source).where(*wanted).order_by(order)


def _matching(query: str, *, sqlite: bool) -> ColumnElement[bool]:
    """Return the condition. PostgreSQL is told the words themselves: it plans by how common they are."""
    if sqlite:
        return text("inbox_words MATCH :query").bindparams(query=query)  # type: ignore[return-value]
    quoted = query.replace("'", "''")
    return literal_column(f"inbox_words.words @@ '{quoted}'::tsquery")


def _marks(scope: Scope, filters: Filters) -> Sequence[Sequence[str]]:
    """Return groups of marks, one of each of which a message must have."""
    groups = [[mark(kind, of)] for kind, of in _same(filters).items() if of]
    if scope.departments is not None and not filters.department:
        groups.append([mark("d", each) for each in sorted(scope.departments)])
    if scope.schools is not None and not filters.school:
        groups.append([mark("s", each) for each in ("", *sorted(scope.schools))])
    if filters.urgent:
        groups.append([mark("u")])
    if filters.at_least is not None or filters.below is not None:
        first, last = tenths(filters.at_least or 0.0), tenths(1.0 if filters.below is None else filters.below)
        groups.append([mark("p", str(tenth)) for tenth in range(first, last + 1)] or [mark("none")])
    return groups


def _same(filters: Filters) -> Mapping[str, str]:
    state = filters.state.value if filters.state else ""
    kinds = {"c": filters.channel, "d": filters.department, "s": filters.school, "l": filters.language}
    return kinds | {"r": filters.reason, "t": state}


def living(connection: Connection, filters: Filters) -> list[ColumnElement[bool]]:
    """Return the same conditions of the living tables, on `messages` and `decisions`, as far as they can change."""
    d = decisions.c
    same = ((d.school, filters.school), (d.reason, filters.reason))
    conditions = [column_ == wanted for column_, wanted in same if wanted]
    if filters.department:
        conditions.append(holders.has(connection, {filters.department}))
    if filters.state is not None:
        conditions.append(messages.c.state == filters.state.value)
    if filters.at_least is not None:
        conditions.append(d.confidence >= filters.at_least)
    if filters.below is not None:
        conditions.append(d.confidence < filters.below)
    if filters.urgent:
        conditions.append(d.urgent != "")
    return conditions


def fixed(filters: Filters) -> list[ColumnElement[bool]]:
    """Return the conditions that can't change, where no marks say them."""
    language = func.coalesce(_content["language"].as_string(), "")
    same = ((messages.c.channel, filters.channel), (language, filters.language))
    return [column_ == wanted for column_, wanted in same if wanted]


def _dead() -> list[ColumnElement[bool]]:
    dead = select(deliveries.c.message_id).where(text(_UNSETTLED), deliveries.c.state == DeliveryState.DEAD.value)
    return [messages.c.id.in_(dead.where(deliveries.c.message_id.is_not(None)))]


def _beyond_estimate(conditions: list[ColumnElement[bool]]) -> list[ColumnElement[bool]]:
    """Return conditions as one of which PostgreSQL's planner expects nothing: the marks have chosen already.

    It takes each for another reason to find few, and would read all decisions, and sort, instead of going along.
    """
    return [case((and_(*conditions), true()), else_=false())] if conditions else []


# --- what is shown ----------------------------------------------------------------------------------------------------


def _lines(connection: Connection, rows: Sequence[Row[Any]]) -> list[Line]:
    ids = [row.id for row in rows]
    worst, copies = _worst(connection, ids), holders.copies(connection, ids)
    return [
        Line(
            id=row.id,
            received_at=row.received_at,
            channel=row.channel,
            medium=row.medium,
            sender=row.sender_name or row.sender or row.phone or "",
            address=row.sender or row.phone or "",
            subject=row.subject or " ".join((row.beginning or "").split()),
            language=row.language or "",
            department=row.department or "",
            copies=copies.get(row.id, ()),
            school=row.school or "",
            reason=row.reason or "",
            confidence=row.confidence,
            urgent=row.urgent or "",
            state=State(row.state),
            detail=row.detail,
            delivery=worst.get(row.id, ""),
            corrected=bool(row.corrected),
            suggestions=tuple(row.suggestions or ()),
        )
        for row in rows
    ]


def _worst(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Return the worst state of the deliveries of the decision in force, by message."""
    d = deliveries.c
    statement = (
        select(d.message_id, d.state)
        .join(messages, and_(messages.c.id == d.message_id, messages.c.decision_id == d.decision_id))
        .where(d.message_id.in_(ids), d.kind == DeliveryKind.ROUTE.value)
    )
    states: dict[str, set[str]] = {}
    for row in connection.execute(statement):
        states.setdefault(row.message_id, set()).add(row.state)
    return {
        message_id: next((state.value for state in _WORST if state.value in found), "")
        for message_id, found in states.items()
    }
