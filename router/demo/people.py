"""The demo's way into the staff console: choose who you want to be. Only the demo mounts it; nobody has a password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from router.console.routes import BASE, SIGN_IN
from router.console.sessions import fresh_token
from router.demo.loopback import refuse_strangers
from router.errors import Conflict, NotFound
from router.store import access, accounts
from router.web.requests import check_origin, read_form

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from router.commands import Commands
    from router.console.sessions import Sessions
    from router.store.accounts import Account
    from router.store.engine import Store
    from router.web.pages import Pages

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

DOOR = "/demo/console"
_DOMAIN = "maplevalley.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who works for the demo's district. `departments` empty: they see all of it; `first` is their page."""

    id: str
    name: str
    desk: str
    does: str
    role: str
    departments: tuple[str, ...] = ()
    first: str = "/"

    @property
    def email(self) -> str:
        """The address of their account."""
        return f"{self.id}@{_DOMAIN}"


PEOPLE = (
    Person(
        id="grace",
        name="Grace Kim",
        desk="Front office",
        does="Sends what Signpost wasn’t sure of where it belongs, with one key, and confirms what others say.",
        role="triage",
        first="/triage",
    ),
    Person(
        id="tom",
        name="Tom Reyes",
        desk="Transportation",
        does="Sees the messages of Transportation, and nobody else’s. Sends on what isn’t theirs.",
        role="staff",
        departments=("transportation",),
        first="/inbox",
    ),
    Person(
        id="vera",
        name="Vera Lopez",
        desk="Superintendent’s office",
        does="Reads messages and figures, and changes nothing.",
        role="viewer",
        first="/dashboard",
    ),
    Person(
        id="ada",
        name="Ada Novak",
        desk="IT",
        does="Looks after it all: versions of the model, channels, users, settings, the access log.",
        role="administrator",
    ),
)


class People:
    """The page on which a newcomer chooses somebody, and the accounts behind it. `mount` it before the start."""

    def __init__(
        self,
        *,
        commands: Commands,
        store: Store,
        sessions: Sessions,
        pages: Pages,
        public_url: str,
        common: Mapping[str, Any],
        people: Sequence[Person] = PEOPLE,
    ) -> None:
        self._commands = commands
        self._store = store
        self._sessions = sessions
        self._pages = pages
        self._public_url = public_url
        self._common = common
        self._people = {person.id: person for person in people}

    def mount(self, application: web.Application) -> None:
        """Add the page and its form, for this machine only, and have whoever must sign in led to it."""
        application.on_startup.append(self._add_accounts)
        application.router.add_get(DOOR, self.show)
        application.router.add_post(DOOR, self.enter)
        application.middlewares.append(_to_the_door)

    async def _add_accounts(self, _application: web.Application) -> None:
        there = {account["email"] for account in await self._commands.run("users_list", {})}
        for person in self._people.values():
            if person.email not in there:
                given = {"role": person.role, "name": person.name, "by": "demo"}
                departments = list(person.departments) or None
                await self._commands.run("users_add", {"email": person.email, "departments": departments, **given})

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Show who there is."""
        refuse_strangers(request)
        return self._pages.response(
            "demo_console.html",
            people=list(self._people.values()),
            with_password=f"{SIGN_IN}?password=yes",
            door=DOOR,
            **self._common,
        )

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """Sign in as one of them, past the password that nobody has."""
        refuse_strangers(request)
        check_origin(request, self._public_url, strict=True)
        person = self._people.get((await read_form(request)).get("person", ""))
        if person is None:
            raise NotFound("nobody of that name works here")
        token = fresh_token()
        await self._store.write(lambda c: self._begin(c, person, token, request))
        answer = web.Response(status=303, headers={"Location": f"{BASE}{person.first}"})
        self._sessions.remember(answer, token)
        return answer

    def _begin(self, connection: Connection, person: Person, token: str, request: web.Request) -> None:
        account: Account = accounts.named(connection, person.email)
        if account.disabled_at is not None:
            raise Conflict(f"{person.name} may not sign in any more: an administrator of this demo has disabled them")
        self._sessions.begin(connection, account.id, token, way="demo", request=request)
        entry = access.Entry(
            at=self._store.clock.now(),
            account_id=account.id,
            who=account.email,
            action="sign_in",
            detail="demo",
            address=self._sessions.address(request),
        )
        access.note(connection, entry)


@web.middleware
async def _to_the_door(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lead to the people instead of the page that asks for a password, unless that one is asked for."""
    if request.path == SIGN_IN and request.method in ("GET", "HEAD") and "password" not in request.query:
        return web.Response(status=303, headers={"Location": DOOR})
    return await handler(request)
