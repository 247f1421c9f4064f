"""A store that comes out of a backup: what has happened since then it doesn't know, and must not deny.

A backup carries a mark with the moment that it is of. The first daemon that starts on it finds the mark. Numbers of
deliveries, of which Message-IDs and links are made, then go on far above those that may have been given since, and what
may have been sent already says so when it is sent again.

An SQLite copy gets its mark when it is made, so that no store ever carries one by mistake. A PostgreSQL database has to
carry it itself while it is copied, and keeps it if the copying breaks off. So the mark there names the very table that
it was put into: restored, into this database or any other, it lies in another table, even where that one replaces the
former. Only a snapshot of the disk that was taken during a backup, or one backup's rows loaded into the tables that are
there (`pg_restore --data-only`), can't be told from a backup that broke off: `signpost store restored` says it.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select, text, update

from router.again import with_remark
from router.errors import Conflict
from router.records import DeliveryKind, DeliveryState
from router.store import daemons, marks
from router.store.tables import decisions, deliveries, messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sqlalchemy import Connection

    from router.store.engine import Store

BACKUP = "backup"  # a mark of the copy alone: the moment that it is of
_OF = f"{BACKUP} of "  # the same, and in which table it was put
AFTER_RESTORE = "after-restore"
"""The tag of a decision about a message that may have been forwarded before the store was restored."""

UNTOLD = "restored-untold"  # a mark: the moment that the backup is of, until operations are told
_RESTORED = "restored"  # a mark: when a daemon first ran on what was restored
_LASTS = timedelta(days=30)  # so long after it something may still come in that came in before
_LOCK = 0x5197059  # the advisory lock of whoever makes a backup: a number that nothing else has (see the tests)
_MOST_PER_S, _AT_LEAST = 1_000, 1_000_000  # deliveries that nobody can have exceeded
_ANSWERED = "the store was restored from a backup, and this may have been sent already"
_WHERE = """SELECT concat_ws('/',
    CASE WHEN has_function_privilege('pg_control_system()', 'execute')
    THEN (SELECT system_identifier FROM pg_control_system()) END,
    (SELECT oid FROM pg_database WHERE datname = current_database()), 'marks'::regclass::oid)"""
_NUMBERS = "numbers below this one may have been given after the backup that this store was restored from"


def begin_again(connection: Connection, now: datetime) -> datetime | None:
    """If the store comes out of a backup, make it fit to be used, once; return the moment that the backup is of.

    Of several daemons that start on it at once one does it, and the others wait until it is done.
    """
    backup_at = _taken(connection)
    if backup_at is None:
        return None
    for name, at in ((_RESTORED, now), (UNTOLD, backup_at)):
        marks.clear(connection, name)
        marks.claim(connection, name, at, timedelta(0))
    _mark_waiting(connection)
    _drop_answers(connection, now)
    _leave_numbers_out(connection, backup_at, now)
    return backup_at


def _taken(connection: Connection) -> datetime | None:
    """Take the mark away and return its time, None if there is none that speaks of a backup."""
    found = marks.beginning_with(connection, BACKUP)
    own = _OF + _identity(connection) if found else ""
    if own in found and connection.execute(select(func.pg_try_advisory_xact_lock(_LOCK))).scalar_one():
        marks.clear(connection, own)  # nobody makes that backup any more
    taken = [at for name, at in found.items() if name != own and marks.take(connection, name)]
    return min(taken, default=None)


def _identity(connection: Connection) -> str:
    """Return which table of which database of which server holds the marks; "" for SQLite, which needs none."""
    if connection.dialect.name != "postgresql":
        return ""
    return str(connection.execute(text(_WHERE)).scalar_one())


def since(connection: Connection, now: datetime) -> datetime | None:
    """Return when the store was restored, None if it wasn't, or so long ago that nothing of before can still come."""
    at = marks.get(connection, _RESTORED)
    return at if at is not None and now - at < _LASTS else None


def earlier(connection: Connection, ids: Sequence[str], than: datetime) -> set[str]:
    """Return which of these messages had come to us, or to the mailbox where we found them, before that time."""
    rows = connection.execute(
        select(messages.c.id, messages.c.received_at, messages.c.facts).where(messages.c.id.in_(ids))
    )
    return {row.id for row in rows if min(row.received_at, _arrived(row.facts) or row.received_at) < than}


def _arrived(facts: dict[str, Any]) -> datetime | None:
    """Return the end of the second in which a mail came to its mailbox: servers tell no fractions of it."""
    try:
        return datetime.fromisoformat(facts["arrived_at"]).astimezone() + timedelta(seconds=1)
    except (KeyError, TypeError, ValueError):
        return None


def say(connection: Connection, of: datetime | None, now: datetime) -> datetime:
    """Note by hand that the store comes out of a backup that carries no mark; return the moment that it is taken for.

    Without one it is the last that the store knows of. Raises `Conflict` while a daemon runs.
    """
    alive = daemons.living(connection, None if connection.dialect.name == "postgresql" else now)
    if alive:
        raise Conflict("a daemon runs on this store: stop it first, or it will have sent things again already")
    of = of or _last_known(connection) or now
    for name in (BACKUP, *marks.beginning_with(connection, BACKUP)):
        marks.clear(connection, name)
    marks.claim(connection, BACKUP, min(of, now), timedelta(0))
    return min(of, now)


@asynccontextmanager
async def marked(store: Store) -> AsyncIterator[None]:
    """Let a PostgreSQL database carry the mark while it is copied; daemons that start meanwhile aren't misled by it.

    Raises `Conflict` while another backup is made.
    """
    async with store.line() as line:
        if not await line.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            raise Conflict("another backup of this database is being made")
        own = _OF + await line.fetchval(_WHERE)
        mark = "INSERT INTO marks (name, at) VALUES ($1, now()) ON CONFLICT (name) DO UPDATE SET at = now()"
        await line.execute(mark, own)
        try:
            yield
        finally:
            await line.execute("DELETE FROM marks WHERE name = $1", own)
            await line.execute("SELECT pg_advisory_unlock($1)", _LOCK)


def _last_known(connection: Connection) -> datetime | None:
    latest = (select(func.max(column)) for column in (messages.c.received_at, deliveries.c.settled_at))
    known = [at for statement in latest if (at := connection.execute(statement).scalar()) is not None]
    return max(known, default=None)


def _mark_waiting(connection: Connection) -> None:
    """Let everybody who gets what waits know that they may have had it."""
    waits = (deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.kind == DeliveryKind.ROUTE.value)
    about = select(deliveries.c.decision_id).where(*waits)
    rows = connection.execute(select(decisions.c.id, decisions.c.tags).where(decisions.c.id.in_(about))).all()
    for row in rows:
        tags = [*(tag for tag in row.tags if tag != AFTER_RESTORE), AFTER_RESTORE]
        connection.execute(update(decisions).where(decisions.c.id == row.id).values(tags=tags))
    told = (deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.kind == DeliveryKind.ALERT.value)
    for alert in connection.execute(select(deliveries.c.id, deliveries.c.notice).where(*told)).all():
        if alert.notice:
            notice = {**alert.notice, "text": with_remark(alert.notice.get("text", ""))}
            connection.execute(update(deliveries).where(deliveries.c.id == alert.id).values(notice=notice))


def _drop_answers(connection: Connection, now: datetime) -> None:
    """Send no family an automatic answer twice."""
    waits = (deliveries.c.state == DeliveryState.WAITING.value, deliveries.c.kind == DeliveryKind.ANSWER.value)
    dropped = {"state": DeliveryState.DROPPED.value, "settled_at": now, "last_error": _ANSWERED, "owner": None}
    connection.execute(update(deliveries).where(*waits).values(**dropped))


def _leave_numbers_out(connection: Connection, backup_at: datetime, now: datetime) -> None:
    """Let the numbers of deliveries go on above all that can have been given since the backup.

    Else a mail would carry the Message-ID of another that was sent meanwhile, and mail servers throw away what they
    take for a copy; and the link in that other mail would move the wrong message. A row holds the place: SQLite counts
    on from the highest number that is there.
    """
    given = select(func.coalesce(func.max(deliveries.c.id), 0))
    highest: int = connection.execute(given).scalar_one()
    passed_s = max(0, int((now - backup_at).total_seconds()))
    number = highest + _AT_LEAST + _MOST_PER_S * passed_s
    place = {
        "id": number,
        "kind": DeliveryKind.ALERT.value,
        "via": "",
        "to": "",
        "state": DeliveryState.DROPPED.value,
        "urgent": False,
        "created_at": now,
        "next_attempt_at": now,
        "settled_at": now,
        "last_error": _NUMBERS,
    }
    connection.execute(insert(deliveries).values(**place))
    if connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(deliveries.name, deliveries.c.id.name)
        connection.execute(select(func.setval(sequence, number)))
