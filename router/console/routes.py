"""The console's table of addresses: each says once which action it is and what it is about; a guard does all the rest.

A page is `async def page(console, visit) -> web.StreamResponse` and stands in the `ROUTES` of its module, which
`router.console.build` puts together. When it runs, somebody is signed in and may do this to what the address names, a
form has come from one of our own pages, and the access log has it. Lists narrow themselves by `visit.viewer.scope`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from router.console.roles import Action
from router.errors import NotAuthentic
from router.web.requests import check_origin, read_form

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from router.console.console import Console
    from router.console.places import Place
    from router.console.roles import Viewer
    from router.console.sessions import Guest

    Page = Callable[["Console", "Visit"], Awaitable[web.StreamResponse]]

BASE = "/console"
SIGN_IN = f"{BASE}/sign-in"
_WITH_COPY = frozenset({Action.SEE, Action.COMMENT})
_CSRF = "csrf"  # the hidden field of every form


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of somebody who is signed in."""

    request: web.Request
    guest: Guest
    form: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def viewer(self) -> Viewer:
        """Who asks, as they are at this moment."""
        return self.guest.viewer

    def named(self, parameter: str) -> str:
        """Return what the address names."""
        return self.request.match_info[parameter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One address below `/console`; `about` is what a parameter of it names, `noted` the access log's word for it.

    With `post` it changes something and is reached by a form alone, else it only shows. A page whose `noted` is ""
    notes what it does itself (`Console.note`), or shows nothing that is anybody's business.
    A `quiet` one is asked by a program again and again: nobody has used the session for that.
    """

    path: str
    action: Action
    page: Page
    post: bool = False
    about: Place | None = None
    noted: str = ""
    quiet: bool = False


def add(application: web.Application, console: Console, routes: Sequence[Route]) -> None:
    """Let an application answer these addresses, each behind its guard."""
    for route in routes:
        guarded = _Guarded(console, route).answer
        if route.post:
            application.router.add_post(BASE + route.path, guarded)
        else:
            application.router.add_get(BASE + route.path, guarded)


class _Guarded:
    """A page behind what must hold before it runs."""

    def __init__(self, console: Console, route: Route) -> None:
        self._console = console
        self._route = route

    async def answer(self, request: web.Request) -> web.StreamResponse:
        console, route = self._console, self._route
        guest = await console.sessions.of(request, used=not route.quiet)
        if guest is None:
            return self._sign_in_first(request)
        console.pace.take(guest.session_id)
        if not guest.viewer.may(route.action):
            raise web.HTTPNotFound  # as for an address that there isn't: who may not see it needn't know of it
        visit = Visit(request=request, guest=guest)
        await self._require_place(visit)
        if route.post:
            visit = Visit(request=request, guest=guest, form=await self._form(request, guest))
        if route.noted:
            await console.note(visit, route.noted, self._about(visit))
        return await route.page(console, visit)

    def _sign_in_first(self, request: web.Request) -> web.Response:
        back = "" if self._route.post else f"?next={quote(request.path_qs, safe='')}"
        return web.Response(status=303, headers={"Location": f"{self._console.pages.root}{SIGN_IN}{back}"})

    async def _require_place(self, visit: Visit) -> None:
        """Raise 404 if what the address names doesn't exist, or lies where this viewer sees nothing."""
        place = self._route.about
        if place is None:
            return
        name = visit.named(place.parameter)
        where = await self._console.store.read(lambda c: place.find(c, name))
        if place.copies and self._route.action not in _WITH_COPY:
            where = where[:1]
        if not any(visit.viewer.may(self._route.action, department, school) for department, school in where):
            raise web.HTTPNotFound

    async def _form(self, request: web.Request, guest: Guest) -> dict[str, str]:
        check_origin(request, self._console.public_url, strict=True)
        form = await read_form(request)
        if not guest.owns_form(form.pop(_CSRF, "")):
            raise NotAuthentic("this form is of an earlier sign-in; go back, load the page again and repeat it")
        return form

    def _about(self, visit: Visit) -> str:
        place = self._route.about
        return f"{place.parameter} {visit.named(place.parameter)}" if place else ""
