"""What commands ask about the console's accounts and its access log. Each change is noted there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from router.console.passwords import keys_of
from router.errors import NotFound, SignpostError
from router.store import access, accounts, sessions
from router.store.scope import Scope
from router.views import when

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from router.commands import Commands
    from router.store.accounts import Account
    from router.store.engine import Store

ROLES = ("viewer", "staff", "triage", "administrator")
_MOST_ROWS = 1000


class UserCommands:
    """The commands' side of accounts. An account is named by its address, or by its number."""

    def __init__(self, store: Store, departments: Collection[str], schools: Collection[str]) -> None:
        self._store = store
        self._departments = frozenset(departments)
        self._schools = frozenset(schools)

    def offer(self, commands: Commands) -> None:
        """Add these commands to the others."""
        for name, command in (
            ("add", self.add),
            ("list", self.list_),
            ("change", self.change),
            ("disable", self.disable),
            ("enable", self.enable),
            ("password", self.password),
            ("sign_out", self.sign_out),
            ("log", self.log),
            ("verify", self.verify),
        ):
            commands.add(f"users_{name}", command)

    async def add(
        self,
        email: str,
        *,
        role: str,
        departments: Sequence[str] | None = None,
        schools: Sequence[str] | None = None,
        name: str = "",
        by: str = "",
    ) -> dict[str, Any]:
        """Let somebody sign in; None is all departments, all schools."""
        email, scope, now = _address(email), self._scope(role, departments, schools), self._store.clock.now()

        def work(connection: Connection) -> Account | None:
            number = accounts.add(connection, email, role=role, scope=scope, now=now, by=by, name=name)
            self._note(connection, by, "user_added", number, accounts.in_words(role, scope))
            return accounts.get(connection, number)

        added = await self._store.write(work)
        assert added is not None
        return account_view(added)

    async def list_(self) -> list[dict[str, Any]]:
        """Return the accounts."""
        return [account_view(each) for each in await self._store.read(accounts.listing)]

    async def change(
        self,
        account: str,
        role: str,
        departments: Sequence[str] | None = None,
        schools: Sequence[str] | None = None,
        by: str = "",
    ) -> dict[str, Any]:
        """Give somebody another role and scope; they are signed out."""
        scope = self._scope(role, departments, schools)
        change = partial(accounts.change, role=role, scope=scope)
        detail = accounts.in_words(role, scope)
        return await self._do(account, by, "user_changed", lambda c, found: change(c, found.id), detail=detail)

    async def disable(self, account: str, by: str = "") -> dict[str, Any]:
        """Let somebody sign in no more, and sign them out."""
        now = self._store.clock.now()
        return await self._do(account, by, "user_disabled", lambda c, found: accounts.disable(c, found.id, now))

    async def enable(self, account: str, by: str = "") -> dict[str, Any]:
        """Let somebody sign in again."""
        return await self._do(account, by, "user_enabled", lambda c, found: accounts.enable(c, found.id))

    async def password(self, account: str, hashed: str, by: str = "") -> dict[str, Any]:
        """Keep the hash of somebody's new password, and sign them out; guesses at the old one hold up nobody now."""
        if not hashed.startswith("$argon2id$"):
            raise SignpostError("that is no hash of a password")

        def change(connection: Connection, found: Account) -> None:
            accounts.set_password(connection, found.id, hashed)
            sessions.forgive(connection, [keys_of(found.email, "")["account"]])

        return await self._do(account, by, "user_password", change)

    async def sign_out(self, account: str, by: str = "") -> dict[str, Any]:
        """End all of somebody's sessions."""
        return await self._do(account, by, "user_signed_out", lambda c, found: sessions.end_all(c, found.id))

    async def log(
        self, limit: int = 50, before: int | None = None, about: str = "", account: str = ""
    ) -> list[dict[str, Any]]:
        """Return what was seen and done, the newest first."""

        def work(connection: Connection) -> list[Row[Any]]:
            account_id = accounts.named(connection, account).id if account else None
            return access.page(connection, min(limit, _MOST_ROWS), before=before, about=about, account_id=account_id)

        return [entry_view(row) for row in await self._store.read(work)]

    async def verify(self) -> dict[str, Any]:
        """Look through the whole access log: whether anything was changed or taken out."""
        checked = await self._store.read(access.verify)
        return {"rows": checked.rows, "digest": checked.digest, "broken_at": checked.broken_at}

    async def _do(
        self,
        account: str,
        by: str,
        action: str,
        change: Callable[[Connection, Account], object],
        *,
        detail: str = "",
    ) -> dict[str, Any]:
        """Change one account, and note it if that made a difference."""

        def work(connection: Connection) -> Account | None:
            found = accounts.named(connection, account)
            if change(connection, found) is not False:
                self._note(connection, by, action, found.id, detail)
            return accounts.get(connection, found.id)

        changed = await self._store.write(work)
        assert changed is not None
        return account_view(changed)

    def _note(self, connection: Connection, by: str, action: str, account_id: int, detail: str = "") -> None:
        who = f"command ({by})" if by else "command"
        at, about = self._store.clock.now(), f"account {account_id}"
        access.note(connection, access.Entry(at=at, who=who, action=action, about=about, detail=detail))

    def _scope(self, role: str, departments: Sequence[str] | None, schools: Sequence[str] | None) -> Scope:
        if role not in ROLES:
            raise NotFound(f"there is no role '{role}'; there are {', '.join(ROLES)}")
        return Scope(_known(departments, self._departments, "department"), _known(schools, self._schools, "school"))


def _known(given: Sequence[str] | None, there: frozenset[str], what: str) -> frozenset[str] | None:
    if given is None:
        return None
    for each in given:
        if each not in there:
            raise NotFound(f"there is no {what} '{each}'")
    return frozenset(given)


def _address(email: str) -> str:
    email = accounts.normal(email)
    plain = email.isprintable() and " " not in email and len(email) <= 320
    if not plain or email.count("@") != 1 or email.startswith("@") or email.endswith("@"):
        raise SignpostError(f"'{email[:80]}' isn't a mail address")
    return email


def account_view(account: Account) -> dict[str, Any]:
    """Return an account as JSON values."""
    departments, schools = account.scope.departments, account.scope.schools
    return {
        "id": account.id,
        "email": account.email,
        "name": account.name,
        "role": account.role,
        "departments": None if departments is None else sorted(departments),
        "schools": None if schools is None else sorted(schools),
        "signs_in": "provider" if account.subject else "password" if account.has_password else "",
        "issuer": account.issuer,
        "mapped": account.mapped,
        "created_at": when(account.created_at),
        "created_by": account.created_by,
        "signed_in_at": _when(account.signed_in_at),
        "disabled_at": _when(account.disabled_at),
    }


def _when(at: datetime | None) -> str | None:
    return when(at) if at else None


def entry_view(row: Row[Any]) -> dict[str, Any]:
    """Return a row of the access log as JSON values."""
    return {
        "id": row.id,
        "at": when(row.at),
        "account": row.account_id,
        "who": row.who,
        "action": row.action,
        "about": row.about,
        "detail": row.detail,
        "address": row.address,
        "digest": row.digest,
    }
