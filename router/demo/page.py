"""The demo's pages: watch messages being routed, open the departments' mail, confirm flags and retrain."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import web

from router.demo.lessons import Lessons
from router.demo.loopback import refuse_strangers
from router.demo.mailboxes import Mailboxes
from router.demo.shown import Shown
from router.records import DeliveryKind
from router.store import decisions, deliveries
from router.web.server import CONTENT_SECURITY_POLICY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from zoneinfo import ZoneInfo

    from structlog.typing import FilteringBoundLogger

    from router.commands import Commands
    from router.demo.mailboxes import Mail
    from router.destinations import Desks
    from router.interfaces import Progress
    from router.records import Delivery
    from router.store.engine import Store
    from router.web.pages import Pages

    Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

_ROWS = 50
_REFRESH_S = 3
_WITH_FRAMES = {"Content-Security-Policy": f"{CONTENT_SECURITY_POLICY}; frame-src 'self'"}
# A mail's own page: no script, nothing from elsewhere, a strange origin; a click on a link leaves it, by the person.
_OF_A_MAIL = {
    "Content-Security-Policy": "sandbox allow-popups allow-popups-to-escape-sandbox "
    "allow-top-navigation-by-user-activation; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'none'; frame-ancestors 'self'"
}


class Demo:
    """Everything under `/demo`. `mount` it on the web application before that starts.

    `retrain` does what `signpost train` does and returns a sentence about what came of it (progress is called from any
    thread). `commands` must know `models_rollback` (`router.model_commands`). `common` is what every page shows:
    `smtp`, where mail comes in, and `text_line`, where the telephone is.
    """

    def __init__(
        self,
        *,
        commands: Commands,
        store: Store,
        desks: Desks,
        pages: Pages,
        public_url: str,
        zone: ZoneInfo,
        departments_dir: Path,
        retrain: Callable[[Progress], Awaitable[str]],
        log: FilteringBoundLogger,
        common: Mapping[str, Any],
    ) -> None:
        self._commands = commands
        self._store = store
        self._desks = desks
        self._pages = pages
        self._mailboxes = Mailboxes(departments_dir)
        self._shown = Shown(desks, zone)
        self._common = common
        self._lessons = Lessons(
            commands=commands,
            store=store,
            pages=pages,
            shown=self._shown,
            public_url=public_url,
            common=common,
            retrain=retrain,
            log=log,
        )

    def mount(self, application: web.Application) -> None:
        """Add the pages, for this machine only."""
        pages: dict[str, Answer] = {
            "/demo": self.messages,
            "/demo/messages/{id}": self.message,
            "/demo/mail": self.mailboxes,
            "/demo/mail/{box}": self.mailbox,
            "/demo/mail/{box}/{name}": self.mail,
            "/demo/mail/{box}/{name}/body": self.mail_body,
            "/demo/corrections": self._lessons.corrections,
            "/demo/models": self._lessons.models,
        }
        for path, answer in pages.items():
            application.router.add_get(path, _guarded(answer))
        for path, answer in self._lessons.posts().items():
            application.router.add_post(path, _guarded(answer))
        application.on_cleanup.append(self._lessons.stop)

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """List messages, newest first; the first page renews itself until it is paused, or "how" to send is read."""
        department, before = request.query.get("department", ""), request.query.get("before", "")
        how = "how" in request.query
        paused = how or "paused" in request.query or bool(before)
        wanted = {"department": department or None, "before": before, "limit": _ROWS}
        rows = await self._commands.run("messages_list", wanted)
        ledger = await self._commands.run("status", {})
        return self._page(
            "demo_messages.html",
            rows=[self._shown.row(row) for row in rows],
            ledger=ledger,
            refresh_s=0 if paused else _REFRESH_S,
            department=department,
            department_name=self._shown.place(department),
            departments=list(self._desks.departments.values()),
            older=_link(department=department, before=rows[-1]["id"]) if len(rows) == _ROWS else "",
            paused=_link(department=department, paused="yes"),
            running=_link(department=department),
            how=how,
            how_link=_link(department=department, how="yes"),
        )

    async def message(self, request: web.Request) -> web.StreamResponse:
        """Show one message: what was understood, decided, delivered and said, and the mail as it lies at its desk."""
        view = await self._commands.run("messages_show", {"message_id": request.match_info["id"]})
        sent = await self._store.read(lambda c: deliveries.of_message(c, view["id"]))
        present = await self._store.read(lambda c: decisions.in_force(c, view["id"]))
        mails = await asyncio.to_thread(self._mails, sent)
        now = present.id if present else None
        of_present = [
            mails[d.id] for d in sent if d.id in mails and d.decision_id == now and d.kind is DeliveryKind.ROUTE
        ]
        return self._page(
            "demo_message.html",
            headers=_WITH_FRAMES,
            it=self._shown.message(view),
            now=now,
            mails=mails,
            shown=next(iter([*of_present, *mails.values()]), None),
        )

    def _mails(self, sent: list[Delivery]) -> dict[int, Mail]:
        """Return the mails that lie in a mailbox, by delivery, oldest first."""
        found = [d for d in sent if d.remote_id and self._mailboxes.holds(d.to, d.remote_id)]
        return {d.id: self._mailboxes.read(d.to, d.remote_id) for d in found}

    async def mailboxes(self, _request: web.Request) -> web.StreamResponse:
        """List the departments' mailboxes."""
        counts = await asyncio.to_thread(self._mailboxes.counts)
        return self._page("demo_mailboxes.html", boxes=[(box, self._box_name(box), n) for box, n in counts])

    async def mailbox(self, request: web.Request) -> web.StreamResponse:
        """List the mails of one mailbox, newest first."""
        box = request.match_info["box"]
        mails = await asyncio.to_thread(self._mailboxes.newest, box, _ROWS)
        return self._page("demo_mailbox.html", box=box, box_name=self._box_name(box), mails=mails)

    async def mail(self, request: web.Request) -> web.StreamResponse:
        """Show a mail as a mail program would."""
        mail = await self._mail(request)
        return self._page("demo_mail.html", headers=_WITH_FRAMES, mail=mail, box_name=self._box_name(mail.box))

    async def mail_body(self, request: web.Request) -> web.StreamResponse:
        """Show a mail's own HTML, for the frame around it."""
        mail = await self._mail(request)
        page = mail.page.replace("<head>", '<head><base target="_blank">', 1)  # a link opens beside the mail
        return web.Response(text=page, content_type="text/html", headers=_OF_A_MAIL)

    async def _mail(self, request: web.Request) -> Mail:
        box, name = request.match_info["box"], request.match_info["name"]
        return await asyncio.to_thread(self._mailboxes.read, box, name)

    def _box_name(self, box: str) -> str:
        """Return whose mailbox it is: the department that is delivered to it, else its own name."""
        for department in self._desks.departments.values():
            if any(destination.to == box for destination in department.deliver):
                return department.name
        return box

    def _page(self, template: str, headers: dict[str, str] | None = None, **values: Any) -> web.Response:
        return self._pages.response(template, headers=headers, **self._common, **values)


def _guarded(answer: Answer) -> Answer:
    async def guarded(request: web.Request) -> web.StreamResponse:
        refuse_strangers(request)
        return await answer(request)

    return guarded


def _link(**query: str) -> str:
    given = {name: value for name, value in query.items() if value}
    return f"/demo?{urlencode(given)}" if given else "/demo"
