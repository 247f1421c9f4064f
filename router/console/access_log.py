"""The access log's page: who saw and did what, the newest first; for administrators of the whole district."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from router.console.roles import Action
from router.console.routes import Route
from router.store import access

if TYPE_CHECKING:
    from aiohttp import web

    from router.console.console import Console
    from router.console.routes import Visit

_ROWS = 50
_MOST_DIGITS = 18


async def show(console: Console, visit: Visit) -> web.StreamResponse:
    """Show a page of the log, of one object or one person where they are named."""
    query = visit.request.query
    before, account = _number(query.get("before", "")), _number(query.get("account", ""))
    about = query.get("about", "").strip()[:128]
    found = await console.store.read(
        lambda c: access.page(c, _ROWS + 1, before=before, about=about, account_id=account)
    )
    kept = {name: value for name, value in (("about", about), ("account", account)) if value}
    older = urlencode({**kept, "before": found[_ROWS - 1].id}) if len(found) > _ROWS else ""
    return console.page(visit, "access_log.html", rows=found[:_ROWS], about=about, older=older, first=before is None)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


ROUTES = (Route(path="/access-log", action=Action.ACCESS_LOG, page=show, noted="access_log"),)
