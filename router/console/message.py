"""The page of one message: what was written, its files, its way, what else that person wrote, what staff said of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from router.console import attachments, body
from router.console.journey import CONSOLE, timeline
from router.console.places import MESSAGE
from router.console.roles import Action
from router.console.routes import Route
from router.errors import SignpostError
from router.learning.corrections import NOTE_LIMIT
from router.records import CorrectionState, DeliveryState, Medium, State
from router.store import comments, journeys, messages, triage
from router.understand import CannotBeShown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from router.console.console import Console
    from router.console.routes import Visit
    from router.destinations import Desks
    from router.records import Correction, Decision, Department, Message
    from router.store.comments import Comment
    from router.store.journeys import Journey
    from router.store.scope import Scope

_LIKELIEST = 3
_STUCK = (DeliveryState.DEAD, DeliveryState.UNCLEAR)


@dataclass(frozen=True, slots=True)
class Known:
    """All that one page shows."""

    journey: Journey
    comments: Sequence[Comment]
    others: Sequence[Any]


def know(connection: Connection, message_id: str, scope: Scope) -> Known | None:
    """Return what the page of a message shows to somebody, None if there is no such message."""
    journey = journeys.of_message(connection, message_id)
    if journey is None:
        return None
    others = triage.others_of(connection, message_id, journey.message.content.sender, scope)
    return Known(journey, comments.of_message(connection, message_id), others)


def choices(desks: Desks, present: Decision | None, *, held: bool) -> tuple[list[Department], list[Department]]:
    """Return the likeliest departments and all others, without the one that has the message."""
    has = {present.department, *present.also} if present and not held else set()
    rest = {id_: desk for id_, desk in desks.departments.items() if id_ not in has}
    known = [id_ for id_ in dict.fromkeys(present.suggestions if present else ()) if id_ in rest]
    likely = [rest.pop(id_) for id_ in known[:_LIKELIEST]]
    return likely, list(rest.values())


def undoable(journey: Journey) -> Correction | None:
    """Return what brought the message to where it is, if a person may take it back here."""
    present = journey.present.id if journey.present else None
    for said in reversed(journey.corrections):
        if said.state is not CorrectionState.WITHDRAWN and journey.led_to.get(said.id) == present:
            return said if said.decision_id or said.via == CONSOLE else None
    return None


def unconfirmed(journey: Journey) -> Correction | None:
    """Return what sent the message on to where it is, if nobody has confirmed yet that it is theirs."""
    said, present = undoable(journey), journey.present
    asked = said is not None and present is not None and said.to_department == present.department
    return said if said and asked and said.state is CorrectionState.PROPOSED else None


def plain_facts(console: Console, journey: Journey) -> list[tuple[str, str]]:
    """Return names and values of what is known of a message, for people."""
    message, content, present = journey.message, journey.message.content, journey.present
    by = {"email": "mail", "sms": "text message", "web_form": "web form"}[message.medium.value]
    pairs = [
        ("From", body.one_line(" ".join(filter(None, [content.sender_name, _address(content.sender)])))),
        ("Reply to", content.reply_to if content.reply_to != content.sender else ""),
        ("Telephone", content.phone if content.phone != content.sender else ""),
        ("To", content.recipient),
        ("Received", f"{console.when(message.received_at)}, {by} by {message.channel}"),
        ("Topic chosen", body.one_line(content.topic)),
        ("School", console.desks.school_name(present.school if present else "")),
        ("Language", content.language),
        ("Looks like spam", body.one_line(content.suspicion)),
    ]
    return [(name, value) for name, value in pairs if value]


def _address(sender: str) -> str:
    return f"<{sender}>" if "@" in sender else sender


def heading(message: Message) -> str:
    """Return a message's subject, or, for it has none, what it is."""
    content = message.content
    if message.medium is Medium.SMS and content.sender:
        return f"Text message from {content.sender}"
    return body.one_line(content.subject) or "(no subject)"


async def show(console: Console, visit: Visit) -> web.StreamResponse:
    """Show a message."""
    message_id = visit.named("message")
    known = await console.store.read(partial(know, message_id=message_id, scope=visit.viewer.scope))
    if known is None:
        raise web.HTTPNotFound
    journey = known.journey
    present, content, held = journey.present, journey.message.content, journey.state is State.HELD
    likely, rest = choices(console.desks, present, held=held)
    return console.page(
        visit,
        "message.html",
        journey=journey,
        subject=heading(journey.message),
        facts=plain_facts(console, journey),
        text=body.readable(content.text),
        formatted=bool(content.html_text.strip()) and journey.message.medium.value == "email",
        files=attachments.listed(content.attachments),
        events=timeline(journey, console.desks.name),
        department=console.desks.name(present.department) if present else "",
        seen=present.id if present else "",
        held=held,
        likely=likely,
        rest=rest,
        stuck=[delivery for delivery in journey.deliveries if delivery.state in _STUCK],
        undo=undoable(journey),
        unconfirmed=unconfirmed(journey),
        comments=known.comments,
        others=[(other, body.one_line(other.content["subject"] if other.content else "")) for other in known.others],
        name=console.desks.name,
        note_limit=NOTE_LIMIT,
        comment_limit=comments.LIMIT,
        **_allowed(visit, present),
    )


def _allowed(visit: Visit, present: Decision | None) -> dict[str, bool]:
    """Return which forms the page has for this viewer."""
    where = (present.department, present.school) if present else ("", "")
    may = visit.viewer.may
    return {
        "may_flag": may(Action.FLAG, *where),
        "may_triage": may(Action.TRIAGE, *where),
        "may_comment": may(Action.COMMENT, *where),
    }


async def formatted(console: Console, visit: Visit) -> web.StreamResponse:
    """Answer the sandboxed frame: a mail's HTML made harmless, under a policy of its own that lets nothing load."""
    original = await _original(console, visit)
    document = await body.framed(console.parsers, original)
    answer = web.Response(text=document, content_type="text/html")
    answer.headers["Content-Security-Policy"] = body.FRAME_POLICY
    return answer


async def file(console: Console, visit: Visit) -> web.StreamResponse:
    """Hand out one of the files that came with a message."""
    number = _number(visit.named("number"))
    message = await console.store.read(lambda c: messages.get(c, visit.named("message")))
    if message is None or number is None or number >= len(message.content.attachments):
        raise web.HTTPNotFound
    attachment = message.content.attachments[number]
    try:
        data = await attachments.bytes_of(console.parsers, await _original(console, visit), number)
    except CannotBeShown as error:
        raise web.HTTPNotFound from error
    await console.note(visit, "download_file", f"message {message.id}", f"file {number}")
    return web.Response(body=data, headers=attachments.headers(attachment.name, attachment.content_type))


async def original(console: Console, visit: Visit) -> web.StreamResponse:
    """Hand out a message byte for byte as it was accepted."""
    data = await _original(console, visit)
    return web.Response(body=data, headers=attachments.headers(f"{visit.named('message')}.eml", "message/rfc822"))


async def why(console: Console, visit: Visit) -> web.StreamResponse:
    """Show which words spoke for which department, and what would have changed the decision."""
    try:
        view: dict[str, Any] = await console.commands.run("explain", {"message_id": visit.named("message")})
        problem = ""
    except SignpostError as error:
        view, problem = {}, str(error)
    return console.page(
        visit, "why.html", message_id=visit.named("message"), view=view, problem=problem, name=console.desks.name
    )


async def _original(console: Console, visit: Visit) -> bytes:
    found = await console.store.read(lambda c: messages.originals_of(c, [visit.named("message")]))
    if not found:
        raise web.HTTPNotFound
    return next(iter(found.values()))


def _number(given: str) -> int | None:
    return int(given) if given.isascii() and given.isdecimal() and len(given) <= 6 else None


_ONE = "/messages/{message}"
ROUTES = (
    Route(path=_ONE, action=Action.SEE, page=show, about=MESSAGE, noted="view_message"),
    Route(path=f"{_ONE}/formatted", action=Action.SEE, page=formatted, about=MESSAGE, noted="view_formatted"),
    Route(path=f"{_ONE}/files/{{number}}", action=Action.SEE, page=file, about=MESSAGE),
    Route(path=f"{_ONE}/original", action=Action.SEE, page=original, about=MESSAGE, noted="download_original"),
    Route(path=f"{_ONE}/why", action=Action.SEE, page=why, about=MESSAGE, noted="view_explanation"),
)
