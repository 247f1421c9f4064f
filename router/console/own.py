"""The start page, and what everybody does with their own sessions."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from router.console.roles import Action
from router.console.routes import SIGN_IN, Route
from router.store import access, inside, sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from router.console.console import Console
    from router.console.routes import Visit

LATELY = timedelta(days=7)


async def start(console: Console, visit: Visit) -> web.StreamResponse:
    """Show which departments somebody sees, and how much came in for them lately."""
    scope, since = visit.viewer.scope, console.now - LATELY
    counts = await console.store.read(lambda c: inside.lately(c, scope, since))
    seen = [
        desk for desk in console.desks.departments.values() if scope.departments is None or desk.id in scope.departments
    ]
    desks = [(desk.name, desk.id, counts.get(desk.id, 0)) for desk in seen]
    return console.page(visit, "start.html", desks=sorted(desks), undecided=counts.get("", 0), days=LATELY.days)


async def own_sessions(console: Console, visit: Visit) -> web.StreamResponse:
    """Show where somebody is signed in."""
    now, idle = console.now, console.sessions.idle
    found = await console.store.read(lambda c: sessions.of_account(c, visit.viewer.account_id, now, idle))
    return console.page(visit, "sessions.html", sessions=found, this=visit.guest.session_id)


async def end_session(console: Console, visit: Visit) -> web.StreamResponse:
    """End one of somebody's own sessions; another's is as one that isn't there."""
    given = visit.named("session")
    number = int(given) if given.isascii() and given.isdecimal() and len(given) <= 18 else -1
    entry = console.entry(visit, "sign_out", f"session {number}")

    def work(connection: Connection) -> bool:
        ended = sessions.end(connection, number, visit.viewer.account_id)
        if ended:
            access.note(connection, entry)
        return ended

    if not await console.store.write(work):
        raise web.HTTPNotFound
    return console.see_other("/sessions", "That browser is signed out.")


async def end_others(console: Console, visit: Visit) -> web.StreamResponse:
    """Sign out everywhere but here."""
    viewer, here = visit.viewer, visit.guest.session_id
    entry = console.entry(visit, "sign_out", detail="everywhere else")

    def work(connection: Connection) -> None:
        for each in sessions.of_account(connection, viewer.account_id, console.now, console.sessions.idle):
            if each.id != here:
                sessions.end(connection, each.id, viewer.account_id)
        access.note(connection, entry)

    await console.store.write(work)
    return console.see_other("/sessions", "All other browsers are signed out.")


async def sign_out(console: Console, visit: Visit) -> web.StreamResponse:
    """End this session."""
    guest, entry = visit.guest, console.entry(visit, "sign_out")

    def work(connection: Connection) -> None:
        sessions.end(connection, guest.session_id, guest.viewer.account_id)
        access.note(connection, entry)

    await console.store.write(work)
    answer = web.Response(status=303, headers={"Location": f"{console.pages.root}{SIGN_IN}"})
    console.sessions.forget(answer)
    return answer


ROUTES = (
    Route(path="/", action=Action.OWN, page=start),
    Route(path="/sessions", action=Action.OWN, page=own_sessions),
    Route(path="/sessions/others/end", action=Action.OWN, page=end_others, post=True),
    Route(path="/sessions/{session}/end", action=Action.OWN, page=end_session, post=True),
    Route(path="/sign-out", action=Action.OWN, page=sign_out, post=True),
)
