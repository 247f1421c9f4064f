"""Sessions of the console, and what slows down guessing passwords. Units of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.store.console_tables import accounts, sessions, sign_in_failures

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime, timedelta

    from sqlalchemy import Connection, Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser in which somebody is signed in."""

    id: int
    began_at: datetime
    seen_at: datetime
    ends_at: datetime
    way: str
    address: str
    browser: str


def begin(
    connection: Connection,
    account_id: int,
    digest: str,
    *,
    now: datetime,
    ends_at: datetime,
    way: str,
    address: str,
    browser: str,
) -> int:
    """Begin a session and return its number; drop those that are over."""
    connection.execute(delete(sessions).where(sessions.c.ends_at <= now))
    values = {
        "digest": digest,
        "account_id": account_id,
        "began_at": now,
        "seen_at": now,
        "ends_at": ends_at,
        "way": way[:64],
        "address": address[:64],
        "browser": browser[:200],
    }
    return int(connection.execute(insert(sessions).returning(sessions.c.id), values).scalar_one())


def find(connection: Connection, digest: str, now: datetime, idle: timedelta) -> Row[Any] | None:
    """Return a session that goes on, with its account as it is now: `session_id`, `seen_at` and the account's columns.

    None if there is none, it is over, nobody used it for `idle`, or the account may not sign in.
    """
    return find_all(connection, [digest], now, idle).get(digest)


def find_all(connection: Connection, digests: Collection[str], now: datetime, idle: timedelta) -> dict[str, Row[Any]]:
    """Return those of some sessions that go on, by digest."""
    statement = (
        select(sessions.c.digest, sessions.c.id.label("session_id"), sessions.c.seen_at, accounts)
        .join(accounts, accounts.c.id == sessions.c.account_id)
        .where(
            sessions.c.digest.in_(digests),
            sessions.c.ends_at > now,
            sessions.c.seen_at > now - idle,
            accounts.c.disabled_at.is_(None),
        )
    )
    return {row.digest: row for row in connection.execute(statement)}


def touch(connection: Connection, session_id: int, now: datetime) -> None:
    """Note that a session is being used."""
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(seen_at=now))


def of_account(connection: Connection, account_id: int, now: datetime, idle: timedelta) -> list[Session]:
    """Return somebody's sessions that go on, the last used first."""
    statement = (
        select(sessions)
        .where(sessions.c.account_id == account_id, sessions.c.ends_at > now, sessions.c.seen_at > now - idle)
        .order_by(sessions.c.seen_at.desc(), sessions.c.id.desc())
    )
    return [
        Session(
            id=row.id,
            began_at=row.began_at,
            seen_at=row.seen_at,
            ends_at=row.ends_at,
            way=row.way,
            address=row.address,
            browser=row.browser,
        )
        for row in connection.execute(statement)
    ]


def end(connection: Connection, session_id: int, account_id: int) -> bool:
    """End one of somebody's own sessions; return False if it isn't theirs, or over."""
    which = (sessions.c.id == session_id, sessions.c.account_id == account_id)
    return connection.execute(delete(sessions).where(*which)).rowcount == 1


def end_shown(connection: Connection, digest: str) -> None:
    """End the session of a token, by its digest, whosever it is."""
    connection.execute(delete(sessions).where(sessions.c.digest == digest))


def end_all(connection: Connection, account_id: int) -> int:
    """End all of somebody's sessions and return how many there were."""
    return int(connection.execute(delete(sessions).where(sessions.c.account_id == account_id)).rowcount)


def failures(connection: Connection, about: Collection[str]) -> dict[str, tuple[int, datetime]]:
    """Return how often a sign-in failed, and when last, by what it is about; lock what there is until the end."""
    which = select(sign_in_failures).where(sign_in_failures.c.about.in_(about)).order_by(sign_in_failures.c.about)
    return {row.about: (row.failures, row.last_at) for row in connection.execute(which.with_for_update())}


def count_failure(connection: Connection, about: Collection[str], now: datetime, forget: timedelta) -> None:
    """Count a failure for each; what is long past is forgotten."""
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.last_at <= now - forget))
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(sign_in_failures)
    more = {"failures": sign_in_failures.c.failures + 1, "last_at": now}
    statement = statement.on_conflict_do_update(index_elements=["about"], set_=more)
    connection.execute(statement, [{"about": each, "failures": 1, "last_at": now} for each in sorted(about)])


def forgive(connection: Connection, about: Collection[str], once: str = "") -> None:
    """Forget the failures of somebody who has proved themselves; of `once`, where others are too, this one attempt."""
    connection.execute(delete(sign_in_failures).where(sign_in_failures.c.about.in_(about)))
    fewer = {"failures": sign_in_failures.c.failures - 1}
    connection.execute(update(sign_in_failures).where(sign_in_failures.c.about == once).values(fewer))
