"""The triage queue: one message at a time, urgent first. A key or a click routes and labels it; the next appears."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from router.console import attachments, body
from router.console.journey_words import because, sentence
from router.console.message import choices, heading, know, plain_facts
from router.console.message_acts import act, seen
from router.console.places import MESSAGE
from router.console.roles import Action
from router.console.routes import Route
from router.errors import Conflict, NotFound
from router.records import SUSPICIOUS, State
from router.store import triage
from router.store.triage import MOST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import web
    from sqlalchemy import Connection

    from router.console.acting import Acting, Done
    from router.console.console import Console
    from router.console.routes import Visit
    from router.records import Department
    from router.store.journeys import Journey
    from router.store.triage import Waiting

_KEYS = "123456789"
_KEEP = "keep"


async def show(console: Console, visit: Visit) -> web.StreamResponse:
    """Show the message that has waited longest, urgent ones first; `after` is one that somebody leaves for later."""
    scope, now = visit.viewer.scope, console.now
    queue = await console.store.read(lambda c: triage.waiting(c, scope, now))
    chosen = _next(queue, visit.request.query.get("after", ""))
    known = await console.store.read(partial(know, message_id=chosen.message_id, scope=scope)) if chosen else None
    done = visit.request.query.get("done", "")
    common: dict[str, Any] = {
        "count": f"{MOST} or more" if len(queue) >= MOST else str(len(queue)),
        "done": done if done.isascii() and done.isdecimal() else "",
    }
    if chosen is None or known is None:
        return console.page(visit, "triage.html", journey=None, **common)
    journey = known.journey
    await console.note(visit, "view_message", f"message {chosen.message_id}")
    present, held = journey.present, journey.state is State.HELD
    likely, rest = choices(console.desks, present, held=held)
    content = journey.message.content
    return console.page(
        visit,
        "triage.html",
        **common,
        journey=journey,
        urgent=chosen.urgent,
        subject=heading(journey.message),
        facts=plain_facts(console, journey),
        text=body.readable(content.text),
        files=attachments.listed(content.attachments),
        why=_why(journey, console.desks.name),
        seen=present.id if present else "",
        desk=console.desks.name(present.department) if present and not held else "",
        keyed=_keyed(likely, rest),
        rest=[*likely, *rest][len(_KEYS) :],
    )


def _next(queue: Sequence[Waiting], after: str) -> Waiting | None:
    """Return the first that waits, or the one behind the message that was left for later."""
    ids = [each.message_id for each in queue]
    start = ids.index(after) + 1 if after in ids else 0
    return queue[start] if start < len(queue) else next(iter(queue), None)


def _keyed(likely: Sequence[Department], rest: Sequence[Department]) -> list[tuple[str, Department, bool]]:
    """Return keys with departments, and whether each is among the likeliest."""
    desks = [(desk, True) for desk in likely] + [(desk, False) for desk in rest]
    return [(key, desk, is_likely) for key, (desk, is_likely) in zip(_KEYS, desks, strict=False)]


def _why(journey: Journey, name: Callable[[str], str]) -> str:
    """Return in a sentence why a person is asked."""
    if journey.state is State.HELD:
        if journey.detail.startswith(SUSPICIOUS):
            return sentence(f"it looks like spam: {journey.detail.removeprefix(SUSPICIOUS)}")
        return sentence(f"it is held: {journey.detail or 'a person has to decide'}")
    return because(journey.present, name) if journey.present else ""


async def judge(console: Console, visit: Visit) -> web.StreamResponse:
    """Route and label one message, or leave it where it is; then the next one appears."""
    to, by, now = visit.form.get("to", ""), visit.viewer.email, console.now
    message_id = visit.named("message")

    def work(connection: Connection, acting: Acting) -> Done:
        if to == _KEEP:
            return acting.keep(connection, seen(visit), by=by)
        return acting.send_on(connection, seen(visit), to, by=by, note="", now=now, may_release=True)

    known = to if to in {_KEEP, *console.desks.departments} else ""
    try:
        done = await act(console, visit, "triage", f"message {message_id}", work, detail=known)
    except (Conflict, NotFound) as error:
        return console.see_other("/triage", sentence(str(error)))
    undo = f"?done={done.correction_id}" if done.correction_id else ""
    return console.see_other(f"/triage{undo}", f"{message_id}: {done.said}")


ROUTES = (
    Route(path="/triage", action=Action.TRIAGE, page=show),
    Route(path="/triage/{message}", action=Action.TRIAGE, page=judge, post=True, about=MESSAGE),
)
