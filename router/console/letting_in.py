"""Who is let in: by a password, or by what a provider says; each in one unit of work, noted in the access log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.console import oidc, passwords
from router.console.sessions import fresh_token
from router.errors import NotAuthentic
from router.store import access, accounts, sessions
from router.store.scope import Scope

if TYPE_CHECKING:
    from datetime import datetime

    from aiohttp import web
    from sqlalchemy import Connection

    from router.console.console import Console
    from router.console.oidc import Identity, Provider
    from router.console.passwords import Hasher
    from router.store.accounts import Account

LOCAL = "local"
_STRANGER = (
    "you are known to {name}, but nobody has given you access here yet; ask who looks after the console to add you"
)


@dataclass(frozen=True, slots=True)
class Came:
    """What became of a password: the new session's token, or how long the next attempt has to wait."""

    token: str = ""
    wait_s: float = 0.0


async def let_in_with_password(
    console: Console, hasher: Hasher, request: web.Request, email: str, password: str
) -> Came:
    """Begin a session for an address and a password, if they fit and nobody was guessing.

    An attempt counts as failed until it has succeeded, so that many at once gain nothing.
    """
    address, now = console.sessions.address(request), console.now
    keys = passwords.keys_of(email, address)
    wait_s = await console.store.write(lambda c: _attempt(c, keys, now))
    if wait_s > 0:
        console.log.warning("sign_in_slowed", way=LOCAL, wait_s=round(wait_s))
        return Came(wait_s=wait_s)
    found = await console.store.read(lambda c: accounts.with_password(c, email))
    fits = await hasher.fits(password, found[1] if found else None)
    if found is None or not fits:
        await _note_failure(console, request, found[0] if found else None)
        return Came()
    again = await hasher.hash(password) if hasher.is_weak(found[1]) else ""
    token = fresh_token()

    def begin(connection: Connection) -> bool:
        present = accounts.with_password(connection, email)
        if present is None or present[1] != found[1]:
            return False  # disabled, or given another password, since
        sessions.forgive(connection, [keys["account"], keys["both"]], once=keys["address"])
        if again:
            accounts.rehash(connection, present[0].id, again)
        _begin(connection, console, present[0], token=token, way=LOCAL, request=request)
        return True

    return Came(token) if await console.store.write(begin) else Came()


def _attempt(connection: Connection, keys: dict[str, str], now: datetime) -> float:
    """Count an attempt, unless it has to wait; return for how long."""
    wait_s = passwords.wait_s(keys, sessions.failures(connection, list(keys.values())), now)
    if wait_s <= 0:
        sessions.count_failure(connection, list(keys.values()), now, passwords.FORGET)
    return wait_s


async def _note_failure(console: Console, request: web.Request, account: Account | None) -> None:
    """Write down a wrong password, for an account that there is; what else was typed may be a password, too."""
    console.log.warning("sign_in_failed", way=LOCAL, account=account.id if account else None)
    entry = access.Entry(
        at=console.now,
        account_id=account.id if account else None,
        who=account.email if account else "?",
        action="sign_in_failed",
        detail=LOCAL,
        address=console.sessions.address(request),
    )
    await console.store.write(lambda c: access.note(c, entry))


async def let_in(console: Console, provider: Provider, identity: Identity, request: web.Request) -> str:
    """Begin a session for somebody whom a provider names, and return its token; raise `NotAuthentic` for a stranger."""
    token = fresh_token()

    def begin(connection: Connection) -> Account | None:
        account = _account(connection, provider, identity, console.now)
        if account is not None:
            _begin(connection, console, account, token=token, way=provider.id, request=request)
        return account

    if await console.store.write(begin) is None:
        raise NotAuthentic(_STRANGER.format(name=provider.name))
    return token


def _account(connection: Connection, provider: Provider, identity: Identity, now: datetime) -> Account | None:
    """Return whose sign-in this is: known by `sub`, else waited for, else spoken for by a group; None for nobody."""
    account = accounts.at_provider(connection, identity.issuer, identity.subject)
    if account is None and identity.email:
        account = accounts.bind(connection, identity.email, identity.issuer, identity.subject, identity.name)
    spoken = oidc.mapping(identity, provider.groups)
    if account is None and spoken is not None:
        number = accounts.add(
            connection,
            identity.email or f"{identity.subject}@{provider.id}",
            role=spoken.role,
            scope=Scope(spoken.departments, spoken.schools),
            now=now,
            by=provider.id,
            name=identity.name,
            issuer=identity.issuer,
            subject=identity.subject,
        )
        account = accounts.get(connection, number)
    if account is None or account.disabled_at is not None:
        return None
    if account.mapped:
        if spoken is None:
            return None  # left the group
        accounts.change(connection, account.id, role=spoken.role, scope=Scope(spoken.departments, spoken.schools))
    accounts.follow(connection, account.id, email=identity.email or account.email, name=identity.name or account.name)
    return accounts.get(connection, account.id)


def _begin(
    connection: Connection, console: Console, account: Account, *, token: str, way: str, request: web.Request
) -> None:
    console.sessions.begin(connection, account.id, token, way=way, request=request)
    access.note(
        connection,
        access.Entry(
            at=console.now,
            account_id=account.id,
            who=account.email,
            action="sign_in",
            detail=way,
            address=console.sessions.address(request),
        ),
    )
