"""Who is let in: by a password, or by what a provider says; each in one unit of work, noted in the access log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.console import known_browser, oidc, passwords
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
    keys = passwords.keys_of(email, address, known_browser.number_of(console, request, email))
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
        once = keys.get("address", "")
        sessions.forgive(connection, [key for key in keys.values() if key != once], once=once)
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
    note = _Notes(console, request, account.email if account else "?")
    await console.store.write(lambda c: note(c, account, "sign_in_failed", LOCAL))


async def let_in(console: Console, provider: Provider, identity: Identity, request: web.Request) -> str:
    """Begin a session for somebody whom a provider names, and return its token; raise `NotAuthentic` for a stranger."""
    token, note = fresh_token(), _Notes(console, request, identity.email or f"{identity.subject}@{provider.id}")

    def begin(connection: Connection) -> bool:
        account = _account(connection, provider, identity, note)
        if account is None:
            return False
        _begin(connection, console, account, token=token, way=provider.id, request=request)
        return True

    if not await console.store.write(begin):
        raise NotAuthentic(_STRANGER.format(name=provider.name))
    return token


def _account(connection: Connection, provider: Provider, identity: Identity, note: _Notes) -> Account | None:
    """Return whose sign-in this is: known by `sub`, else waited for, else spoken for by a group; None for nobody.

    What the provider changes about an account is noted like what an administrator does.
    """
    known = accounts.at_provider(connection, identity.issuer, identity.subject)
    spoken = oidc.mapping(identity, provider.groups)
    account = known or _waited_for(connection, identity) or _added(connection, provider, identity, spoken, note)
    gone = account is not None and account.mapped and spoken is None  # left the group
    if account is None or account.disabled_at is not None or gone:
        note(connection, account, "sign_in_refused", provider.id)
        return None
    if known is None:
        action = "user_added" if account.mapped else "user_bound"
        note(connection, account, action, f"{provider.id}: {accounts.in_words(account.role, account.scope)}")
    elif known.mapped and spoken is not None:
        role, scope = spoken.role, Scope(spoken.departments, spoken.schools)
        if accounts.change(connection, account.id, role=role, scope=scope):
            note(connection, account, "user_changed", f"{provider.id}: {accounts.in_words(role, scope)}")
    email, name = identity.email or account.email, identity.name or account.name
    accounts.follow(connection, account.id, email=email, name=name)
    if known is not None and (known.email, known.name) != (accounts.normal(email), name[:200]):
        note(connection, account, "user_renamed", provider.id)
    return accounts.get(connection, account.id)


def _waited_for(connection: Connection, who: Identity) -> Account | None:
    return accounts.bind(connection, who.email, who.issuer, who.subject, who.name) if who.email else None


def _added(
    connection: Connection, provider: Provider, who: Identity, spoken: oidc.Mapped | None, note: _Notes
) -> Account | None:
    """Add the account of somebody for whom a group speaks; return None if none does."""
    if spoken is None:
        return None
    number = accounts.add(
        connection,
        note.otherwise,
        role=spoken.role,
        scope=Scope(spoken.departments, spoken.schools),
        now=note.console.now,
        by=provider.id,
        name=who.name,
        issuer=who.issuer,
        subject=who.subject,
    )
    return accounts.get(connection, number)


def _begin(
    connection: Connection, console: Console, account: Account, *, token: str, way: str, request: web.Request
) -> None:
    console.sessions.begin(connection, account.id, token, way=way, request=request)
    _Notes(console, request)(connection, account, "sign_in", way)


@dataclass(frozen=True, slots=True)
class _Notes:
    """Notes what happens at one sign-in; `otherwise` is what somebody without an account is called."""

    console: Console
    request: web.Request
    otherwise: str = "?"

    def __call__(self, connection: Connection, account: Account | None, action: str, detail: str) -> None:
        entry = access.Entry(
            at=self.console.now,
            account_id=account.id if account else None,
            who=account.email if account else self.otherwise,
            action=action,
            about=f"account {account.id}" if account and action.startswith("user_") else "",
            detail=detail,
            address=self.console.sessions.address(self.request),
        )
        access.note(connection, entry)
