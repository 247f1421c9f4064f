"""The inbox: a list of what somebody sees, narrowed by filters and words, a page at a time, with news of what comes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import web

from router.console.journey_words import CHANNELS, percent
from router.console.roles import Action
from router.console.routes import Route
from router.console.sealed import Sealed
from router.records import Reason, State
from router.store import inbox, inbox_index, inbox_news
from router.store.inbox import Filters
from router.store.inbox_news import News

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from router.console.console import Console
    from router.console.roles import Viewer
    from router.console.routes import Visit
    from router.store.inbox import Line, Page
    from router.store.scope import Scope

_ROWS = 50
_LONGEST = 200  # characters of what is typed
_AGAIN_MS = 4000  # a browser asks for news so often
_MOST_DIGITS = 18
_FIRST_YEAR, _LAST_YEAR = 1970, 2200
HOW = {  # what the list of ways says of each reason
    Reason.MODEL: "by the model",
    Reason.RULE: "by a rule",
    Reason.THREAD: "continues a message",
    Reason.ABSTAINED: "the router wasn't sure",
    Reason.CORRECTION: "sent on by a person",
    Reason.DISPUTED: "disputed",
    Reason.UNREADABLE: "couldn't be read",
    Reason.MODEL_DOWN: "no model answered",
    Reason.OBSERVE: "observed only",
}
_STANDS = {"": "any", "urgent": "urgent", "held": "held", "dead": "couldn't be delivered", "filed": "filed"}
_SURE = {"": "any", "low": "below 50 %", "middle": "50 to 80 %", "high": "80 % and more"}
_BOUNDS = {"low": (None, 0.5), "middle": (0.5, 0.8), "high": (0.8, None)}
_LANGUAGES = {
    "en": "English", "es": "Spanish", "ar": "Arabic", "zh": "Chinese", "fr": "French", "ht": "Haitian Creole",
    "hmn": "Hmong", "ko": "Korean", "pt": "Portuguese", "ru": "Russian", "so": "Somali", "tl": "Tagalog",
    "uk": "Ukrainian", "ur": "Urdu", "vi": "Vietnamese",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Choice:
    """A field of the filter that is chosen from a list: value and words of each, and which one is chosen."""

    name: str
    label: str
    options: Sequence[tuple[str, str]]
    chosen: str


async def show(console: Console, visit: Visit) -> web.StreamResponse:
    """Show a page of the list."""
    query = visit.request.query
    asked, fields = asked_for(console, visit.viewer, query)
    scope, cursor = visit.viewer.scope, query.get("at", "")[:_MOST_DIGITS]
    version, page, count, missing = await console.store.read(partial(_look, scope=scope, filters=asked, cursor=cursor))
    kept = {name: value for name, value in query.items() if name != "at" and value}
    return console.page(
        visit,
        "inbox.html",
        lines=[_told(console, line) for line in page.lines],
        count=f"{inbox.MOST:,} or more" if count >= inbox.MOST else str(count),
        older=urlencode({**kept, "at": page.older}) if page.older else "",
        newer=urlencode({**kept, "at": page.newer}) if page.newer else "",
        fields=fields,
        words=asked.text,
        first=urlencode(kept),
        narrowed=asked != Filters(),
        since_day=query.get("since", "") if asked.since else "",
        until_day=query.get("until", "") if asked.until else "",
        after="" if asked.text else _sealed(console).seal(version),  # news can't be told by words
        missing=f"{missing.astimezone(console.zone):%d %b %Y}" if missing else "",
    )


def _look(
    connection: Connection, scope: Scope, filters: Filters, cursor: str
) -> tuple[int, Page, int, datetime | None]:
    """Return the version that this is, a page, how many there are, and before which time more are still missing."""
    version = inbox_news.version(connection)  # first: what comes just now is rather told twice than never
    page = inbox.page(connection, scope, filters, cursor, _ROWS)
    whole = not cursor and not page.older  # then there is nothing to count, which would be looking for it again
    count = len(page.lines) if whole else inbox.count(connection, scope, filters)
    return version, page, count, inbox_index.earlier_than(connection)


def _sealed(console: Console) -> Sealed:
    return Sealed(console.keys, "news")


async def news(console: Console, visit: Visit) -> web.StreamResponse:
    """Say how many messages have come or moved since a version, as a server-sent event (HTML standard, section 9.2).

    The answer ends at once, and the browser asks again with the last event's id: so a session that has ended hears
    nothing more, and nobody keeps a connection.
    """
    query, sealed = visit.request.query, _sealed(console)
    given = sealed.open(visit.request.headers.get("Last-Event-ID") or query.get("after", ""))
    last = await console.latest.version(console.store)
    found = News(last if given is None else given, 0)
    if found.version < last:
        asked, _ = asked_for(console, visit.viewer, query)
        found = await console.latest.news(console.store, visit.viewer.scope, asked, found.version)
    data = f"data: {found.messages}\n" if found.messages else ""
    text = f"retry: {_AGAIN_MS}\nid: {sealed.seal(found.version)}\n{data}\n"
    return web.Response(text=text, content_type="text/event-stream", headers={"Cache-Control": "no-store"})


def asked_for(console: Console, viewer: Viewer, query: Mapping[str, str]) -> tuple[Filters, list[Choice]]:
    """Return what is asked for, and the fields that say so. What no field offers is left open."""
    desks, scope = console.desks, viewer.scope
    seen = [each for each in desks.departments.values() if scope.departments is None or each.id in scope.departments]
    schools = [each for each in desks.schools.values() if scope.schools is None or each.id in scope.schools]
    offered = (
        ("department", "Department", [("", "all"), *((each.id, each.name) for each in seen)]),
        ("school", "School", [("", "all"), *((each.id, each.name) for each in schools)]),
        ("stands", "Status", [*_STANDS.items()]),
        ("channel", "Channel", [("", "all"), *((name, name) for name in console.channels)]),
        ("how", "Routed", [("", "any way"), *((reason.value, words) for reason, words in HOW.items())]),
        ("sure", "Confidence", [*_SURE.items()]),
        ("language", "Language", [("", "any"), *_LANGUAGES.items()]),
    )
    fields = [
        Choice(name, label, options, query.get(name, "") if query.get(name, "") in dict(options) else "")
        for name, label, options in offered
        if len(options) > 1
    ]
    chosen = {field.name: field.chosen for field in fields}
    stands, (at_least, below) = chosen["stands"], _BOUNDS.get(chosen["sure"], (None, None))
    asked = Filters(
        channel=chosen.get("channel", ""),
        department=chosen.get("department", ""),
        school=chosen.get("school", ""),
        language=chosen["language"],
        reason=chosen["how"],
        state=State(stands) if stands in {State.HELD, State.FILED} else None,
        at_least=at_least,
        below=below,
        urgent=stands == "urgent",
        dead=stands == "dead",
        text=query.get("q", "").strip()[:_LONGEST],
    )
    return _within(console, asked, query), fields


def _within(console: Console, asked: Filters, query: Mapping[str, str]) -> Filters:
    """Return filters with the days that are asked for, the last one included."""
    days = {name: _day(query.get(name, "")) for name in ("since", "until")}
    since, until = days["since"], days["until"]
    return replace(
        asked,
        since=_midnight(console, since) if since else None,
        until=_midnight(console, until + timedelta(1)) if until else None,
    )


def _day(text: str) -> datetime | None:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    return day if _FIRST_YEAR <= day.year < _LAST_YEAR else None  # a year that is being typed


def _midnight(console: Console, day: datetime) -> datetime:
    return datetime.combine(day.date(), time(), tzinfo=console.zone).astimezone(UTC)


def _told(console: Console, line: Line) -> dict[str, Any]:
    """Return what the list says of a message."""
    reason = HOW.get(Reason(line.reason), line.reason) if line.reason else ""
    sure = f", {percent(line.confidence)}" if line.confidence is not None and line.reason == Reason.MODEL else ""
    return {
        "id": line.id,
        "at": line.received_at,
        "sender": line.sender or "unknown",
        "subject": line.subject[:_LONGEST] or "(nothing written)",
        "medium": CHANNELS.get(line.medium, line.medium).removeprefix("a "),
        "channel": line.channel,
        "department": console.desks.name(line.department) if line.department else "",
        "copies": [console.desks.name(each) for each in line.copies],
        "school": console.desks.school_name(line.school) if line.school else "",
        "how": f"{reason}{sure}",
        "urgent": bool(line.urgent),
        "state": line.state.value,
        "dead": line.delivery == "dead",
        "language": _LANGUAGES.get(line.language, "") if line.language != "en" else "",
    }


ROUTES = (
    Route(path="/inbox", action=Action.SEE, page=show, noted="list_messages"),
    Route(path="/inbox/news", action=Action.SEE, page=news, quiet=True),
)
