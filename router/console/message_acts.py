"""What forms of a message's page do: send on, undo, release, hold, leave, try again, comment; each in one commit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web
from sqlalchemy import select

from router.console.acting import Acting, Done, Seen
from router.console.places import CORRECTION, MESSAGE, Place
from router.console.roles import Action
from router.console.routes import Route
from router.errors import Conflict, NotFound
from router.learning.corrections import NOTE_LIMIT
from router.records import State
from router.store import access, comments, corrections, tables
from router.web.pages import sentence

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from router.console.console import Console
    from router.console.places import Where
    from router.console.routes import Visit


async def act(
    console: Console,
    visit: Visit,
    word: str,
    about: str,
    work: Callable[[Connection, Acting], Done],
    *,
    detail: str = "",
) -> Done:
    """Do something and write it into the access log, in one commit; what can't be is said, and changes nothing.

    Raises `Conflict` or `NotFound` with a sentence.
    """
    entry = console.entry(visit, word, about, detail)
    acting = Acting(console.corrections, console.desks)

    def together(connection: Connection) -> Done:
        done = work(connection, acting)
        access.note(connection, entry)
        return done

    done = await console.store.write(together)
    console.wake()
    console.log.info("console_acted", action=word, about=about, account=visit.viewer.account_id)
    return done


def seen(visit: Visit) -> Seen:
    """Return how the message stood on the page whose form this is."""
    given, state = visit.form.get("decision", ""), visit.form.get("state", "")
    plain = given.isascii() and given.isdecimal() and len(given) <= 18
    known = State(state) if state in {each.value for each in State} else State.UNDECIDED
    return Seen(message_id=visit.named("message"), decision_id=int(given) if plain else None, state=known)


async def send_on(console: Console, visit: Visit) -> web.StreamResponse:
    """Send a message to another department."""
    to, note = visit.form.get("to", ""), visit.form.get("note", "").strip()[:NOTE_LIMIT]
    by, now, may_release = visit.viewer.email, console.now, visit.viewer.may(Action.TRIAGE)

    def work(connection: Connection, acting: Acting) -> Done:
        return acting.send_on(connection, seen(visit), to, by=by, note=note, now=now, may_release=may_release)

    return await _answer(console, visit, "send_on", work, detail=to if to in console.desks.departments else "")


async def ours(console: Console, visit: Visit) -> web.StreamResponse:
    """Confirm that a message which was sent on belongs where it is now."""
    by, now = visit.viewer.email, console.now
    return await _answer(console, visit, "ours", lambda c, acting: acting.ours(c, seen(visit), by=by, now=now))


async def release(console: Console, visit: Visit) -> web.StreamResponse:
    """Let a held message go wherever the router sends it."""
    work = partial(_release, visit=visit, by=visit.viewer.email, console=console)
    return await _answer(console, visit, "release", work)


def _release(connection: Connection, acting: Acting, *, visit: Visit, by: str, console: Console) -> Done:
    return acting.release(connection, seen(visit), by=by, now=console.now)


async def hold(console: Console, visit: Visit) -> web.StreamResponse:
    """Let a message wait for a person."""
    by, now = visit.viewer.email, console.now
    return await _answer(console, visit, "hold", lambda c, acting: acting.hold(c, seen(visit), by=by, now=now))


async def retry(console: Console, visit: Visit) -> web.StreamResponse:
    """Let a dead or unclear delivery start again."""
    given, now = visit.form.get("delivery", ""), console.now
    number = int(given) if given.isascii() and given.isdecimal() and len(given) <= 18 else -1
    message_id = visit.named("message")
    work: Callable[[Connection, Acting], Done] = lambda c, acting: acting.retry(c, message_id, number, now=now)  # noqa: E731
    return await _answer(console, visit, "retry", work, detail=f"delivery {number}")


async def comment(console: Console, visit: Visit) -> web.StreamResponse:
    """Append a comment, which colleagues see and no family."""
    text, viewer, now = visit.form.get("text", "").strip(), visit.viewer, console.now
    message_id = visit.named("message")

    def work(connection: Connection, _acting: Acting) -> Done:
        if not text:
            raise Conflict("there was nothing to add: the comment is empty")
        comments.add(connection, message_id, text, account_id=viewer.account_id, by=viewer.email, now=now)
        return Done("Your comment is there for your colleagues.")

    return await _answer(console, visit, "comment", work)


async def withdraw_comment(console: Console, visit: Visit) -> web.StreamResponse:
    """Take one's own comment back."""
    given, viewer, now = visit.form.get("comment", ""), visit.viewer, console.now
    number = int(given) if given.isascii() and given.isdecimal() and len(given) <= 18 else -1
    message_id = visit.named("message")

    def work(connection: Connection, _acting: Acting) -> Done:
        if not comments.withdraw(connection, number, message_id, viewer.account_id, now):
            raise NotFound("this comment isn't yours, or was taken back before")
        return Done("Your comment is taken back.")

    return await _answer(console, visit, "withdraw_comment", work, detail=f"comment {number}")


async def _answer(
    console: Console, visit: Visit, word: str, work: Callable[[Connection, Acting], Done], detail: str = ""
) -> web.StreamResponse:
    """Do it and see the message again; or, if it went where this viewer sees nothing, what was done."""
    message_id = visit.named("message")
    try:
        done = await act(console, visit, word, f"message {message_id}", work, detail=detail)
    except (Conflict, NotFound) as error:
        return await _back(console, visit, message_id, sentence(str(error)), None)
    return await _back(console, visit, message_id, done.said, done.correction_id)


async def _back(
    console: Console, visit: Visit, message_id: str, said: str, correction_id: int | None
) -> web.StreamResponse:
    where = await console.store.read(lambda c: MESSAGE.find(c, message_id))
    if any(visit.viewer.may(Action.SEE, *place) for place in where):
        return console.see_other(f"/messages/{message_id}", said)
    return console.see_other(f"/sent-on/{correction_id}" if correction_id else "/", said)


# --- what was sent on -------------------------------------------------------------------------------------------------


def _sent_from(connection: Connection, number: str) -> Where:
    """Return where what was said of a message counts: the department it was sent on from, too, for it may be undone."""
    where = CORRECTION.find(connection, number)[:1]
    if not where:
        return ()
    c, d = tables.corrections.c, tables.decisions.c
    before = select(c.from_department, d.school).join(tables.decisions, d.id == c.decision_id)
    row = connection.execute(before.where(c.id == int(number))).first()
    return (*where, (row.from_department, row.school)) if row else where


_SENT_ON = Place("correction", _sent_from, copies=False)


async def sent_on(console: Console, visit: Visit) -> web.StreamResponse:
    """Show what was done to a message that the viewer sees no more, and the button that undoes it."""
    number = int(visit.named("correction"))
    said = await console.store.read(lambda c: corrections.get(c, number))
    if said is None:
        raise web.HTTPNotFound
    return console.page(visit, "sent_on.html", sent=said, name=console.desks.name)


async def undo(console: Console, visit: Visit) -> web.StreamResponse:
    """Take back that a message was sent on."""
    number, by, now = int(visit.named("correction")), visit.viewer.email, console.now
    said = await console.store.read(lambda c: corrections.get(c, number))
    if said is None:
        raise web.HTTPNotFound
    about = f"message {said.message_id}"
    try:
        may_release = visit.viewer.may(Action.TRIAGE)
        work = lambda c, acting: acting.undo(c, number, by=by, now=now, may_release=may_release)  # noqa: E731
        done = await act(console, visit, "undo", about, work, detail=f"correction {number}")
    except (Conflict, NotFound) as error:
        return await _back(console, visit, said.message_id, sentence(str(error)), number)
    return await _back(console, visit, said.message_id, done.said, number)


_ONE = "/messages/{message}"
ROUTES = (
    Route(path=f"{_ONE}/send-on", action=Action.FLAG, page=send_on, post=True, about=MESSAGE),
    Route(path=f"{_ONE}/ours", action=Action.FLAG, page=ours, post=True, about=MESSAGE),
    Route(path=f"{_ONE}/release", action=Action.TRIAGE, page=release, post=True, about=MESSAGE),
    Route(path=f"{_ONE}/hold", action=Action.TRIAGE, page=hold, post=True, about=MESSAGE),
    Route(path=f"{_ONE}/retry", action=Action.TRIAGE, page=retry, post=True, about=MESSAGE),
    Route(path=f"{_ONE}/comment", action=Action.COMMENT, page=comment, post=True, about=MESSAGE),
    Route(path=f"{_ONE}/withdraw-comment", action=Action.COMMENT, page=withdraw_comment, post=True, about=MESSAGE),
    Route(path="/sent-on/{correction}", action=Action.FLAG, page=sent_on, about=_SENT_ON, noted="view_correction"),
    Route(path="/sent-on/{correction}/undo", action=Action.FLAG, page=undo, post=True, about=_SENT_ON),
)
