"""What every page of the console is given: the parts it works with, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from aiohttp import web

from router.console.disputes import Disputes
from router.console.pace import Few
from router.console.roles import Action
from router.errors import NotAuthentic
from router.store import access, inbox_news

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, tzinfo

    from structlog.typing import FilteringBoundLogger

    from router.commands import Commands
    from router.console.configuration import Running
    from router.console.measures import Facts
    from router.console.pace import Pace
    from router.console.routes import Visit
    from router.console.sessions import Sessions
    from router.destinations import Desks
    from router.learning.corrections import Corrections
    from router.life.lives import Lives
    from router.signing import KeyRing
    from router.store.engine import Store
    from router.store.inbox import Filters
    from router.store.inbox_news import News
    from router.store.scope import Scope
    from router.understand import ParserPool
    from router.web.pages import Pages

_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Forms need an Origin that can be compared; without Sec-Fetch-Site, over plain HTTP, "no-referrer" would make it null.
_HEADERS = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "same-origin"}
_SAID, _SAID_S = "signpost-said", 60
_FRESH_S = 1.0
_MOST_NEWS = 1000  # that are kept
_EXPORTS = 2  # at once
_LONGEST_SAID = 600  # characters: a cookie has room for 4 KB
# What stands in the head of every page: address, words, and who may see it.
PLACES = (
    ("/inbox", "Inbox", Action.SEE),
    ("/triage", "Triage", Action.TRIAGE),
    ("/learning", "Learning", Action.TEACH),
    ("/dashboard", "Dashboard", Action.FIGURES),
    ("/channels", "Channels", Action.CHANNELS),
    ("/users", "Users", Action.USERS),
    ("/settings", "Settings", Action.SETTINGS),
    ("/access-log", "Access log", Action.ACCESS_LOG),
)


class Latest:
    """The version of the list, read once a second, and its news, read once for all who ask the same."""

    def __init__(self) -> None:
        self._version = 0
        self._read_at = -_FRESH_S
        self._news: dict[tuple[Scope, Filters, int], News] = {}

    async def version(self, store: Store) -> int:
        """Return it; it may be a second old."""
        now = monotonic()
        if now - self._read_at >= _FRESH_S:
            self._read_at = now
            before, self._version = self._version, await store.read(inbox_news.version)
            if self._version != before or len(self._news) >= _MOST_NEWS:
                self._news.clear()
        return self._version

    async def news(self, store: Store, scope: Scope, filters: Filters, since: int) -> News:
        """Return what has come or moved since a version; what came within the last second may be missing."""
        asked = scope, filters, since
        if asked not in self._news:
            self._news[asked] = await store.read(partial(inbox_news.news, scope=scope, since=since, filters=filters))
        return self._news[asked]


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """The parts that pages work with. `paths` are the addresses that there are: the head links to no others."""

    store: Store
    keys: KeyRing
    desks: Desks
    corrections: Corrections
    commands: Commands
    parsers: ParserPool
    pages: Pages
    sessions: Sessions
    pace: Pace
    public_url: str
    zone: tzinfo
    wake: Callable[[], None]
    lives: Lives
    kinds: Mapping[str, str]  # the type of each channel
    daemon_id: str
    running: Running
    log: FilteringBoundLogger
    paths: frozenset[str] = frozenset()
    facts: Facts | None = None  # which customer-service measures are set up, for the dashboard
    latest: Latest = field(default_factory=Latest)
    disputes: Disputes = field(default_factory=Disputes)
    exports: Few = field(default_factory=lambda: Few(_EXPORTS, "other tables are being made; try again in a minute"))
    channels: tuple[str, ...] = ()  # by which messages come in

    @property
    def now(self) -> datetime:
        """The time, aware and UTC."""
        return self.store.clock.now()

    def when(self, at: datetime | None) -> str:
        """Return a time as people here read it, "" for none."""
        return f"{at.astimezone(self.zone):%d %b %Y, %H:%M}" if at else ""

    async def note(self, visit: Visit, action: str, about: str = "", detail: str = "") -> None:
        """Write into the access log what somebody does; `about` names the object by kind and id, never by content.

        A page that changes something may do both in one commit instead, by `access.note` in its unit of work with
        `entry`.
        """
        entry = self.entry(visit, action, about, detail)
        await self.store.write(lambda c: access.note(c, entry))

    def entry(self, visit: Visit, action: str, about: str = "", detail: str = "") -> access.Entry:
        """Return what the access log is to say of a visit."""
        viewer = visit.viewer
        return access.Entry(
            at=self.now,
            account_id=viewer.account_id,
            who=viewer.email,
            action=action,
            about=about,
            detail=detail,
            address=self.sessions.address(visit.request),
        )

    def page(self, visit: Visit, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """Return a page of `templates/console/` that extends `console/base.html`.

        It may use `viewer`, `csrf` (for the hidden field of every form), `places`, `said` and `may` beside its own
        values.
        """
        said = self._said(visit)
        shown: dict[str, Any] = {
            "viewer": visit.viewer,
            "csrf": visit.guest.csrf,
            "may": visit.viewer.may,
            "Action": Action,
            "places": self._places(visit),
            "path": visit.request.path,
            "said": said,
            "when": self.when,
            "zone": f"{self.now.astimezone(self.zone):%Z}",
        }
        answer = self.pages.response(f"console/{template}", status=status, **(shown | values))
        answer.headers.update(_HEADERS)
        if said:
            answer.del_cookie(_SAID, path=self._cookie_path)
        return answer

    def open_page(
        self, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
    ) -> web.Response:
        """Return a page for somebody who isn't signed in; it extends `console/outside.html`."""
        answer = self.pages.response(f"console/{template}", status=status, headers=headers, **values)
        answer.headers.update(_HEADERS)
        return answer

    def see_other(self, path: str, said: str = "") -> web.Response:
        """Answer a form: see another page of the console (`/inbox`), which says in a sentence what was done."""
        answer = web.Response(status=303, headers={"Location": f"{self.pages.root}/console{path}"})
        if said:
            token = self.keys.sign(said[:_LONGEST_SAID], _SAID)
            answer.set_cookie(
                _SAID, token, max_age=_SAID_S, path=self._cookie_path, secure=self.public_url.startswith("https:"),
                httponly=True, samesite="Strict",
            )  # fmt: skip
        return answer

    def _said(self, visit: Visit) -> str:
        token = visit.request.cookies.get(_SAID, "")
        try:
            return self.keys.unsign(token, _SAID, _SAID_S) if token else ""
        except NotAuthentic:
            return ""

    @property
    def _cookie_path(self) -> str:
        return f"{self.pages.root}/console"

    def _places(self, visit: Visit) -> list[tuple[str, str, bool]]:
        """Return address, words and whether it is here, of what this viewer may go to."""
        here = visit.request.path.removeprefix("/console")
        return [
            (path, words, here == path or here.startswith(f"{path}/"))
            for path, words, action in PLACES
            if path in self.paths and visit.viewer.may(action)
        ]
