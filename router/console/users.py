"""The users page: who may sign in, as what and for what; for administrators of the whole district."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from router.console.roles import Action, Role
from router.console.routes import Route
from router.errors import Conflict, Malformed
from router.store import access, accounts
from router.store.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sqlalchemy import Connection

    from router.console.console import Console
    from router.console.routes import Visit
    from router.store.accounts import Account

_ALL = "all"  # a box beside those of single departments or schools


async def show(console: Console, visit: Visit) -> web.StreamResponse:
    """List the accounts, and the form for another one."""
    found = await console.store.read(accounts.listing)
    return console.page(visit, "users.html", accounts=found, **_choices(console))


async def show_one(console: Console, visit: Visit) -> web.StreamResponse:
    """Show one account, and the form to change it."""
    account = await _account(console, visit)
    await console.note(visit, "view_user", f"account {account.id}")
    own = account.id == visit.viewer.account_id
    return console.page(visit, "user.html", account=account, own=own, **_choices(console))


async def add(console: Console, visit: Visit) -> web.StreamResponse:
    """Let somebody sign in who couldn't before."""
    email, (role, scope) = accounts.normal(visit.form.get("email", "")), _given(console, visit.form)
    if email.count("@") != 1 or len(email) > 320 or not email.isprintable() or " " in email:
        raise Malformed("that isn't a mail address")
    who, now = visit.viewer.email, console.now

    def work(connection: Connection) -> None:
        number = accounts.add(connection, email, role=role, scope=scope, now=now, by=who)
        access.note(connection, console.entry(visit, "user_added", f"account {number}", accounts.in_words(role, scope)))

    await console.store.write(work)
    return console.see_other("/users", f"{email} may sign in now.")


async def change(console: Console, visit: Visit) -> web.StreamResponse:
    """Give an account another role or scope; whoever it is signs in again."""
    account = await _another(console, visit)
    role, scope = _given(console, visit.form)
    if account.mapped:
        raise Conflict("the role comes from the groups of the sign-in service, and is set there")
    entry = console.entry(visit, "user_changed", f"account {account.id}", accounts.in_words(role, scope))

    def work(connection: Connection) -> None:
        if accounts.change(connection, account.id, role=role, scope=scope):
            access.note(connection, entry)

    await console.store.write(work)
    return console.see_other("/users", f"{account.email} is {role} now.")


async def disable(console: Console, visit: Visit) -> web.StreamResponse:
    """End what somebody may, at once."""
    account = await _another(console, visit)
    entry, now = console.entry(visit, "user_disabled", f"account {account.id}"), console.now

    def work(connection: Connection) -> None:
        if accounts.disable(connection, account.id, now):
            access.note(connection, entry)

    await console.store.write(work)
    return console.see_other("/users", f"{account.email} may not sign in any more, and is signed out everywhere.")


async def enable(console: Console, visit: Visit) -> web.StreamResponse:
    """Let somebody sign in again."""
    account = await _another(console, visit)
    entry = console.entry(visit, "user_enabled", f"account {account.id}")

    def work(connection: Connection) -> None:
        if accounts.enable(connection, account.id):
            access.note(connection, entry)

    await console.store.write(work)
    return console.see_other("/users", f"{account.email} may sign in again.")


async def _account(console: Console, visit: Visit) -> Account:
    given = visit.named("account")
    number = int(given) if given.isascii() and given.isdecimal() and len(given) <= 18 else -1
    account = await console.store.read(lambda c: accounts.get(c, number))
    if account is None:
        raise web.HTTPNotFound
    return account


async def _another(console: Console, visit: Visit) -> Account:
    """Return an account that isn't the viewer's own: nobody shuts themselves out, or raises themselves."""
    account = await _account(console, visit)
    if account.id == visit.viewer.account_id:
        raise Conflict("this is your own account: somebody else has to change it")
    return account


def _choices(console: Console) -> dict[str, Any]:
    desks = sorted((desk.id, desk.name) for desk in console.desks.departments.values())
    schools = sorted((school.id, school.name) for school in console.desks.schools.values())
    return {"roles": list(Role), "departments": desks, "schools": schools}


def _given(console: Console, form: Mapping[str, str]) -> tuple[str, Scope]:
    """Return the role and scope of a form; what isn't ticked isn't given."""
    role = form.get("role", "")
    if role not in list(Role):
        raise Malformed("please choose a role")
    departments = _ticked(form, "department", console.desks.departments)
    schools = _ticked(form, "school", console.desks.schools)
    if departments is not None and not departments:
        raise Malformed("please tick departments, or all of them")
    return role, Scope(departments, schools)


def _ticked(form: Mapping[str, str], what: str, there: Collection[str]) -> frozenset[str] | None:
    """Return the ids that are ticked, None for all: each box has a name of its own, such as `department:health`."""
    if f"{what}:{_ALL}" in form or not there:
        return None
    given = {name.removeprefix(f"{what}:") for name in form if name.startswith(f"{what}:")}
    return frozenset(given & set(there))


ROUTES = (
    Route(path="/users", action=Action.USERS, page=show, noted="users"),
    Route(path="/users/add", action=Action.USERS, page=add, post=True),
    Route(path="/users/{account}", action=Action.USERS, page=show_one),
    Route(path="/users/{account}/change", action=Action.USERS, page=change, post=True),
    Route(path="/users/{account}/disable", action=Action.USERS, page=disable, post=True),
    Route(path="/users/{account}/enable", action=Action.USERS, page=enable, post=True),
)
