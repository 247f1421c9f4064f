"""What the inbox shows, as a table for a spreadsheet: RFC 4180, in UTF-8, sent page by page however long it is."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from router.console import attachments
from router.console.body import one_line
from router.console.inbox import HOW, asked_for
from router.console.journey_words import CHANNELS
from router.console.roles import Action
from router.console.routes import Route
from router.records import Reason
from router.store import inbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from router.console.console import Console
    from router.console.routes import Visit
    from router.store.inbox import Filters, Line

ROWS = 500  # that are read, and held, at once
_STALLED_S = 120.0  # without a page read by whoever asked
_PAUSE = 1.0  # after each page, times what it took: others are served meanwhile
_BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"  # or Excel takes UTF-8 for something else
_LONGEST = 1000  # characters of a field
# A spreadsheet takes these for the beginning of a formula (OWASP, CSV Injection), the wide ones, too.
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
_HEAD = (
    *("Reference", "Received", "Time zone", "Came as", "Channel", "From", "Address", "Subject", "Department"),
    *("Copies to", "School", "Language", "State", "Not delivered", "Urgent", "How it was routed", "Confidence"),
    "Sent on by a person",
)


class _Over(Exception):
    """Whoever asked isn't signed in any more, or may see something else now."""


async def export(console: Console, visit: Visit) -> web.StreamResponse:
    """Hand out all that the inbox shows with these filters and words, the newest first."""
    query = visit.request.query
    asked, fields = asked_for(console, visit.viewer, query)
    said = [f"{field.name}={field.chosen}" for field in fields if field.chosen]
    said += [f"{name}={query[name]}" for name in ("since", "until") if getattr(asked, name)]
    said += [f"q={asked.text}"] if asked.text else []
    today = console.now.astimezone(console.zone)
    answer = web.StreamResponse(headers=attachments.headers(f"messages-{today:%Y-%m-%d}.csv", "text/csv"))
    answer.content_type, answer.charset = "text/csv", "utf-8"
    with console.exports.one(visit.viewer.account_id):
        await console.note(visit, "export_messages", "", " ".join(said) or "all")
        if visit.request.method == "HEAD":
            return answer
        await answer.prepare(visit.request)
        await _send(console, visit, answer, asked)
    return answer


async def _send(console: Console, visit: Visit, answer: web.StreamResponse, asked: Filters) -> None:
    """Send the table and note how many messages it held; where that can't be ended the connection is cut."""
    rows, end = 0, ", then it broke off"
    try:
        async with asyncio.timeout(_STALLED_S) as patience:
            await answer.write((_BOM + _csv([_HEAD])).encode())
            async for page in _pages(console, visit, asked):
                await answer.write(_csv(_row(console, line) for line in page).encode())
                rows += len(page)
                patience.reschedule(asyncio.get_running_loop().time() + _STALLED_S)
        end = ""
    except (_Over, ConnectionError, TimeoutError):
        pass  # they have left, don't read, or may see nothing more
    finally:
        if end and visit.request.transport is not None:
            visit.request.transport.abort()  # or half a table would look like a whole one
        await console.note(visit, "exported_messages", "", f"{rows} messages{end}")


async def _pages(console: Console, visit: Visit, asked: Filters) -> AsyncIterator[tuple[Line, ...]]:
    """Yield the messages page by page, as long as whoever asked may still have them."""
    cursor, viewer = "", visit.viewer
    while True:
        began = time.monotonic()
        guest = await console.sessions.of(visit.request)
        if guest is None or guest.viewer != viewer:
            raise _Over
        page = await console.store.read(
            partial(inbox.page, scope=viewer.scope, filters=asked, cursor=cursor, limit=ROWS)
        )
        yield page.lines
        cursor = page.older
        if not cursor:
            return
        await asyncio.sleep(_PAUSE * (time.monotonic() - began))


def _row(console: Console, line: Line) -> tuple[str, ...]:
    at, name = line.received_at.astimezone(console.zone), console.desks.name
    return (
        line.id,
        f"{at:%Y-%m-%d %H:%M:%S}",
        f"{at:%Z}",
        CHANNELS.get(line.medium, line.medium).removeprefix("a "),
        line.channel,
        line.sender,
        line.address,
        line.subject,
        name(line.department) if line.department else "",
        "; ".join(name(each) for each in line.copies),
        console.desks.school_name(line.school),
        line.language,
        line.state.value,
        "yes" if line.delivery == "dead" else "",
        "yes" if line.urgent else "",
        HOW.get(Reason(line.reason), line.reason) if line.reason else "",
        "" if line.confidence is None else f"{line.confidence:.3f}",
        "yes" if line.corrected else "",
    )


def _csv(rows: Iterable[tuple[str, ...]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerows([defused(field) for field in row] for row in rows)
    return written.getvalue()


def defused(field: str) -> str:
    """Return a field in one line that no spreadsheet takes for a formula: with an apostrophe before it, if need be."""
    line = "".join(each for each in one_line(field) if each.isprintable())[:_LONGEST]
    return f"'{line}" if line.startswith(_FORMULA) else line  # blanks and what isn't seen are gone from before it


ROUTES = (Route(path="/inbox/export", action=Action.EXPORT, page=export),)
