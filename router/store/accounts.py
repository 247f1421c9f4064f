"""Accounts of the console: who may sign in, as what, and for which departments and schools. Units of work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from router.errors import Conflict, NotFound
from router.store import sessions
from router.store.console_tables import accounts
from router.store.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who may sign in, or might once. The password's hash isn't part of it."""

    id: int
    email: str
    name: str
    role: str
    scope: Scope
    has_password: bool
    issuer: str | None
    subject: str | None
    mapped: bool
    created_at: datetime
    created_by: str
    signed_in_at: datetime | None
    disabled_at: datetime | None


def normal(email: str) -> str:
    """Return an address as accounts are found by it: districts don't tell addresses apart by capitals."""
    return email.strip().casefold()


def account_of(row: Row[Any]) -> Account:
    """Return the record of a row of `accounts`."""
    return Account(
        id=row.id,
        email=row.email,
        name=row.name,
        role=row.role,
        scope=Scope(_set(row.departments), _set(row.schools)),
        has_password=bool(row.password),
        issuer=row.issuer,
        subject=row.subject,
        mapped=row.mapped,
        created_at=row.created_at,
        created_by=row.created_by,
        signed_in_at=row.signed_in_at,
        disabled_at=row.disabled_at,
    )


def _set(names: list[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _list(names: Collection[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def add(
    connection: Connection,
    email: str,
    *,
    role: str,
    scope: Scope,
    now: datetime,
    by: str = "",
    name: str = "",
    issuer: str | None = None,
    subject: str | None = None,
) -> int:
    """Add an account and return its number; raise `Conflict` if somebody with this address may sign in already.

    With an `issuer` it is somebody a provider's groups speak for (`mapped`), who is told apart by `subject` alone.
    """
    email = normal(email)
    taken = select(accounts.c.id).where(accounts.c.email == email, accounts.c.disabled_at.is_(None))
    if issuer is None and connection.execute(taken).first() is not None:
        raise Conflict(f"{email} has an account already; see: signpost users list")
    values = {
        "email": email,
        "name": name[:200],
        "role": role,
        "departments": _list(scope.departments),
        "schools": _list(scope.schools),
        "issuer": issuer,
        "subject": subject,
        "mapped": issuer is not None,
        "created_at": now,
        "created_by": by[:320],
    }
    return int(connection.execute(insert(accounts).returning(accounts.c.id), values).scalar_one())


def in_words(role: str, scope: Scope) -> str:
    """Return what somebody is here as the access log says it."""
    departments, schools = (
        "all" if ids is None else ", ".join(sorted(ids)) or "none" for ids in (scope.departments, scope.schools)
    )
    return f"{role}; departments: {departments}; schools: {schools}"


def get(connection: Connection, account_id: int) -> Account | None:
    """Return an account by its number."""
    row = connection.execute(select(accounts).where(accounts.c.id == account_id)).first()
    return None if row is None else account_of(row)


def listing(connection: Connection, limit: int = 1000) -> list[Account]:
    """Return the accounts by address, those that may sign in first."""
    order = (accounts.c.disabled_at.is_not(None), accounts.c.email, accounts.c.id)
    return [account_of(row) for row in connection.execute(select(accounts).order_by(*order).limit(limit))]


def named(connection: Connection, given: str) -> Account:
    """Return the one account that an address or a number names.

    Of several with one address that is the one that may sign in. Raises `NotFound`, or `Conflict` where only a number
    tells them apart.
    """
    number = int(given) if given.isascii() and given.isdecimal() and len(given) <= _MOST_DIGITS else -1
    which = or_(accounts.c.email == normal(given), accounts.c.id == number)
    found = [account_of(row) for row in connection.execute(select(accounts).where(which).order_by(accounts.c.id))]
    enabled = [account for account in found if account.disabled_at is None]
    if not found:
        raise NotFound(f"there is no account '{given}'; see: signpost users list")
    if len(found) > 1 and len(enabled) != 1:
        numbers = ", ".join(str(account.id) for account in found)
        raise Conflict(f"several accounts have the address {given}: name one by its number ({numbers})")
    return (enabled or found)[0]


def change(connection: Connection, account_id: int, *, role: str, scope: Scope) -> bool:
    """Give an account another role and scope, which ends its sessions; return False if it has them already."""
    present = _required(connection, account_id)
    if (present.role, present.scope) == (role, scope):
        return False
    values = {"role": role, "departments": _list(scope.departments), "schools": _list(scope.schools)}
    _set_values(connection, account_id, values)
    sessions.end_all(connection, account_id)
    return True


def disable(connection: Connection, account_id: int, now: datetime) -> bool:
    """Let somebody sign in no more, and end their sessions; return False if that is so already."""
    if _required(connection, account_id).disabled_at is not None:
        return False
    _set_values(connection, account_id, {"disabled_at": now})
    sessions.end_all(connection, account_id)
    return True


def enable(connection: Connection, account_id: int) -> bool:
    """Let somebody sign in again; raise `Conflict` if another account has taken the address over."""
    account = _required(connection, account_id)
    if account.disabled_at is None:
        return False
    others = (accounts.c.email == account.email, accounts.c.disabled_at.is_(None))
    if connection.execute(select(accounts.c.id).where(*others)).first() is not None:
        raise Conflict(f"another account has the address {account.email} now; disable that one first")
    _set_values(connection, account_id, {"disabled_at": None})
    return True


def set_password(connection: Connection, account_id: int, hashed: str) -> None:
    """Give an account a password by its hash, and end its sessions.

    Raises `Conflict` for somebody who signs in at a provider: there would be two ways in, and one outlives the other.
    """
    if _required(connection, account_id).subject is not None:
        raise Conflict("this account signs in at the district's own provider, and needs no password here")
    _set_values(connection, account_id, {"password": hashed})
    sessions.end_all(connection, account_id)


def rehash(connection: Connection, account_id: int, hashed: str) -> None:
    """Keep the same password's hash anew, made with stronger parameters."""
    _set_values(connection, account_id, {"password": hashed})


def with_password(connection: Connection, email: str) -> tuple[Account, str] | None:
    """Return who may sign in with a password by this address, and its hash."""
    which = (accounts.c.email == normal(email), accounts.c.disabled_at.is_(None), accounts.c.password != "")
    row = connection.execute(select(accounts).where(*which)).first()
    return None if row is None else (account_of(row), row.password)


def at_provider(connection: Connection, issuer: str, subject: str) -> Account | None:
    """Return who a provider's `sub` is, disabled or not."""
    return _one(connection, (accounts.c.issuer == issuer) & (accounts.c.subject == subject))


def bind(connection: Connection, email: str, issuer: str, subject: str, name: str) -> Account | None:
    """Let the account that waits for this address be this `sub`'s from now on, and return it; None if none waits.

    Nobody inherits by an address alone: one that has a password, or was bound before, waits no more.
    """
    c = accounts.c
    waits = (c.email == normal(email)) & c.subject.is_(None) & c.disabled_at.is_(None) & (c.password == "")
    account = _one(connection, waits & c.signed_in_at.is_(None))
    if account is not None:
        values = {"issuer": issuer, "subject": subject, "name": account.name or name[:200]}
        _set_values(connection, account.id, values)
    return account


def follow(connection: Connection, account_id: int, *, email: str, name: str) -> None:
    """Note the address and name that a provider gives now to somebody it has always known by `sub`."""
    _set_values(connection, account_id, {"email": normal(email), "name": name[:200]})


def signed_in(connection: Connection, account_id: int, now: datetime) -> None:
    """Note when somebody last signed in."""
    _set_values(connection, account_id, {"signed_in_at": now})


def _one(connection: Connection, which: ColumnElement[bool]) -> Account | None:
    row = connection.execute(select(accounts).where(which)).first()
    return None if row is None else account_of(row)


def _required(connection: Connection, account_id: int) -> Account:
    account = get(connection, account_id)
    if account is None:
        raise NotFound("there is no such account")
    return account


def _set_values(connection: Connection, account_id: int, values: dict[str, Any]) -> None:
    try:
        connection.execute(update(accounts).where(accounts.c.id == account_id).values(values))
    except IntegrityError as error:
        raise Conflict("another account has this address, or is this person, already") from error
