"""The page behind an urgent alert: GET shows what it is about, only POST says "I have it".

A mail scanner follows every link, so that a GET or HEAD must never count as a person's word (RFC 9110 section 9.2.1).
Whoever has the link was sent the message with it; after two weeks it shows nothing any more.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from router import urgency
from router.forwarding import ACKNOWLEDGE
from router.store import decisions, messages
from router.web.requests import check_origin

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, tzinfo

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.destinations import Desks
    from router.records import Content, Decision, Message
    from router.signing import KeyRing
    from router.store.engine import Store
    from router.urgency import Standing
    from router.web.pages import Pages

LINK_LIFE_S = 14 * 86_400
_MOST_TEXT = 4_000  # characters; the alert has all of it


class UrgentPage:
    """The addresses of urgent alerts' links."""

    def __init__(
        self,
        *,
        store: Store,
        keys: KeyRing,
        desks: Desks,
        pages: Pages,
        public_url: str,
        zone: tzinfo,
        wake: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._keys = keys
        self._desks = desks
        self._pages = pages
        self._public_url = public_url
        self._zone = zone
        self._wake = wake
        self._log = log

    def routes(self) -> list[web.RouteDef]:
        """Return the addresses."""
        return [web.get("/u/{token}", self.show), web.post("/u/{token}", self.acknowledge)]

    async def show(self, request: web.Request) -> web.Response:
        """Show the message's essentials, who has it, and the one button if nobody has."""
        seen = await self._store.read(partial(_seen, delivery_id=self._delivery_id(request)))
        return self._pages.response("urgent.html", **self._values(request, *seen))

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Let this alert's recipient have the message; the same again changes nothing and shows the same page."""
        delivery_id = self._delivery_id(request)
        check_origin(request, self._public_url)
        now = self._store.clock.now()
        is_new = await self._store.write(lambda c: urgency.acknowledge(c, delivery_id, now))
        if is_new:
            self._log.info("urgent_acknowledged", delivery_id=delivery_id)
            self._wake()
        location = f"{self._pages.root}/u/{request.match_info['token']}"
        return web.Response(status=303, headers={"Location": location})

    def _delivery_id(self, request: web.Request) -> int:
        return int(self._keys.unsign(request.match_info["token"], ACKNOWLEDGE, LINK_LIFE_S))

    def _values(
        self, request: web.Request, standing: Standing, message: Message | None, decision: Decision | None
    ) -> dict[str, Any]:
        content = message.content if message else None
        text = _text(content) if content else ""
        return {
            "link": f"{self._pages.root}/u/{request.match_info['token']}",
            "standing": standing,
            "since": self._when(standing.alarm.over_at),
            "received": self._when(message.received_at if message else None),
            "who": _who(content) if content else "",
            "subject": content.subject if content else "",
            "text": text[:_MOST_TEXT],
            "cut": len(text) > _MOST_TEXT,
            "department": self._desks.name(decision.department) if decision else "",
            "school": self._desks.school_name(decision.school) if decision else "",
        }

    def _when(self, at: datetime | None) -> str:
        return f"{at.astimezone(self._zone):%A, %d %B %Y, %H:%M %Z}" if at else ""


def _seen(connection: Connection, delivery_id: int) -> tuple[Standing, Message | None, Decision | None]:
    standing = urgency.stand(connection, delivery_id)
    message_id = standing.alarm.message_id
    return standing, messages.get(connection, message_id), decisions.in_force(connection, message_id)


def _who(content: Content) -> str:
    """Return how the writer can be reached: name, address, telephone."""
    parts = (content.sender_name, content.sender, content.reply_to, content.phone)
    return ", ".join(dict.fromkeys(part for part in parts if part))


def _text(content: Content) -> str:
    return content.text if content.text.strip() else content.html_text
