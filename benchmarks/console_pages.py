"""Every page that a person can open, as each kind of person, in a store that holds a district's last year.

`python -m benchmarks.console_pages --rows 1000000 [--url URL]` measures more rows, or another database: an empty one is
filled first, one that was filled by `benchmarks.console_past` is used as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
from sqlalchemy import func, select

from benchmarks import console_past
from benchmarks.console_past import DEPARTMENTS, RARE, SCHOOLS, SURNAMES, day_before
from benchmarks.district import district, folder
from benchmarks.figures import Figure, load, percentile
from benchmarks.mails import sink
from benchmarks.postgres import databases
from benchmarks.processes import Failed, computed_s
from router.console.roles import Action, Role, Viewer
from router.console.sessions import digest, fresh_token
from router.store import accounts, sessions
from router.store.engine import open_store
from router.store.inbox_index import key_of
from router.store.scope import EVERYTHING, Scope
from router.store.tables import messages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from benchmarks.district import District

ROWS, ROWS_QUICK = 100_000, 5_000
LIMIT_MS, LIMIT_LARGE_MS = 50.0, 100.0  # of a page, with 100,000 messages and with a million
_LARGE = 500_000
_ROUNDS, _ROUNDS_QUICK = 60, 10
_SESSIONS = 8  # of each person, in turns: what one may ask for in a minute is limited
_TRIVIAL = "/livez"
_MESSAGE = re.compile(r"/console/messages/([A-Z0-9]{12})")
_SCHOOL = frozenset({SCHOOLS[3]})
PEOPLE: Mapping[str, tuple[Role, Scope]] = {
    "all": (Role.ADMINISTRATOR, EVERYTHING),
    "half": (Role.TRIAGE, Scope(departments=frozenset(DEPARTMENTS[:9]))),
    "desk": (Role.STAFF, Scope(departments=frozenset({DEPARTMENTS[2]}))),
    "school": (Role.STAFF, Scope(schools=_SCHOOL)),
    "both": (Role.VIEWER, Scope(departments=frozenset(DEPARTMENTS[:3]), schools=_SCHOOL)),
    "rare": (Role.TRIAGE, Scope(departments=frozenset({RARE}))),
}
_FILTERS = {
    "department": [f"department={each}" for each in DEPARTMENTS],
    "school": [f"school={each}" for each in SCHOOLS],
    "urgent": ["stands=urgent"],
    "held": ["stands=held"],
    "dead": ["stands=dead"],
    "filed": ["stands=filed"],
    "channel": ["channel=contact", "channel=mail-in"],
    "reason": ["how=abstained", "how=correction", "how=thread", "how=disputed"],
    "confidence": ["sure=low", "sure=middle", "sure=high"],
    "language": ["language=es", "language=so", "language=ko"],
    "several": ["stands=urgent&how=model&sure=low", "department=safety&school=school-1&language=es"],
    "word_common": ["q=the", "q=school", "q=de", "q=bus"],  # what is typed last may go on: busy, business
    "word_begun": ["q=sch", "q=co", "q=lun", "q=pe"],
    "word_middle": [f"q={word}" for word in ("teacher", "coach", "lunch", "invoice", "fever", "laptop", "autobús")],
    "word_rare": [f"q={name}" for name in SURNAMES[100:160]],
    "word_none": ["q=zxqv", "q=mxyzptlk"],
    "words": ["q=school+bus", "q=lunch+money", "q=the+coach+said", "q=my+son+is+sick", "q=teacher+email"],
    "words_apart": ["q=lice+invoice", "q=fever+stadium", "q=autobús+invoice"],
    "phrase": ["q=%22school+bus%22", "q=%22my+son%22", "q=%22thank+you%22"],
    "phrase_none": ["q=%22bus+the+the%22", "q=%22to+the+a%22", "q=%22school+the%22"],
    "without": ["q=-school", "q=the+-bus"],
    "address": [f"q=family-{number}%40families.example" for number in range(100, 160)],
    "number": [f"q=B{number:011d}" for number in range(100, 4100, 67)],
    "word_in_department": [
        "q=bus&department=safety",
        "q=school&department=multilingual&how=thread",
        "q=the&stands=held",
    ],
}
_SPANS = (7, 30, 92, 366)


@dataclass(frozen=True, slots=True)
class Page:
    """A page as one kind of person opens it, at one address after the other."""

    name: str
    tokens: Sequence[str]
    addresses: Sequence[str]


@dataclass(slots=True)
class Took:
    """What a page took, in seconds: the first time, and then each time in all and of the daemon's processor time."""

    first: float
    times: list[float] = field(default_factory=list)
    computed: list[float] = field(default_factory=list)


async def measure(*, quick: bool) -> list[Figure]:
    """Return the figures of both databases; raise `Failed` if a page fails."""
    rows, rounds = (ROWS_QUICK, _ROUNDS_QUICK) if quick else (ROWS, _ROUNDS)
    with folder() as where, databases(where, "pages") as (postgresql,):
        return [await measured(where, url, rows, rounds) for url in (f"sqlite:///{where}/signpost.db", postgresql)]


async def measured(
    where: Path, url: str, rows: int, rounds: int, *, only: str = "", people: Sequence[str] = tuple(PEOPLE)
) -> Figure:
    """Fill a store if it is empty, and open all pages of a daemon on it; `only` those with names like this."""
    tokens, detail = await prepared(url, rows, people)
    async with sink() as mails, district(where, sink_port=mails.port, store=url, console=True, schools=SCHOOLS,
                                         learning={"retrain_after": 0}) as ours:  # fmt: skip
        found = await _opened(ours, tokens, rounds, re.compile(only))
    return _figure(url.partition(":")[0], found, rows, rounds, detail)


async def prepared(url: str, rows: int, people: Sequence[str] = tuple(PEOPLE), each: int = _SESSIONS) -> Any:
    """Return tokens of sessions by person, and what making the past took."""
    store = open_store(url)
    await store.open()
    try:
        there = await store.read(lambda c: c.execute(select(func.count()).select_from(messages)).scalar_one())
        detail = {} if there else {"made": str(await console_past.make(store, rows))}
        tokens = {name: [fresh_token() for _ in range(each)] for name in people}
        await store.write(lambda c: _sign_in(c, store.clock.now(), tokens))
    finally:
        await store.close()
    return tokens, detail


def _sign_in(connection: Connection, now: datetime, tokens: Mapping[str, Sequence[str]]) -> None:
    for name, these in tokens.items():
        role, scope = PEOPLE[name]
        email = f"{name}-{these[0][:6]}@maple.example"
        number = accounts.add(connection, email, role=role.value, scope=scope, now=now)
        for token in these:
            ends_at = now + timedelta(days=300)
            sessions.begin(
                connection, number, digest(token), now=now, ends_at=ends_at, way="local", address="", browser=""
            )


# --- what is opened ---------------------------------------------------------------------------------------------------


def browser(token: str) -> aiohttp.ClientSession:
    """Return a browser in which somebody is signed in."""
    return aiohttp.ClientSession(headers={"Cookie": f"signpost-session={token}", "Accept": "text/html"})


async def get(client: aiohttp.ClientSession, url: str, *, token: str = "") -> float:
    """Open a page and return the seconds until all of it is there; raise `Failed` if it isn't shown."""
    headers = {"Cookie": f"signpost-session={token}"} if token else None
    began = time.perf_counter()
    async with client.get(url, allow_redirects=False, headers=headers) as answer:
        await answer.read()
        if answer.status != 200:
            raise Failed(f"{url} answered {answer.status}")
    return time.perf_counter() - began


async def _opened(
    ours: District, tokens: Mapping[str, Sequence[str]], rounds: int, only: re.Pattern[str]
) -> Mapping[str, Took]:
    """Return what each page took; all pages in turns, so that none finds everything as it left it."""
    root = f"http://127.0.0.1:{ours.port}"
    async with aiohttp.ClientSession(headers={"Accept": "text/html"}) as client:
        pages = [Page("trivial", [""], [_TRIVIAL]), *await _families(client, root)]
        for name, these in tokens.items():
            pages += await _pages_of(client, root, name, these)
        pages = [page for page in pages if only.search(page.name) or page.name == "trivial"]
        found = {page.name: Took(await get(client, root + page.addresses[0], token=page.tokens[0])) for page in pages}
        for number in range(rounds):
            for page in pages:
                address, token = (of[number % len(of)] for of in (page.addresses, page.tokens))
                before, took = computed_s(ours.process.pid), found[page.name]
                took.times.append(await get(client, root + address, token=token))
                took.computed.append(computed_s(ours.process.pid) - before)
    return found


async def _families(client: aiohttp.ClientSession, root: str) -> list[Page]:
    """Send a form, and return the families' pages with its receipt, which says how far it is."""
    said = {"message": "When does the bus come?", "email": "ana@families.example", "name": "Ana"}
    async with client.post(f"{root}/forms/contact", data=said, allow_redirects=False) as answer:
        receipt = answer.headers.get("Location", "").removeprefix(root)
        if answer.status != 303 or not receipt:
            raise Failed(f"a form was answered with {answer.status}")
    return [
        Page("families.form", [""], ["/", "/?lang=es"]),
        Page("families.search", [""], ["/?q=bus", "/?q=lunch"]),
        Page("families.status", [""], [receipt]),
    ]


async def _pages_of(client: aiohttp.ClientSession, root: str, name: str, tokens: Sequence[str]) -> list[Page]:
    role, scope = PEOPLE[name]
    viewer = Viewer(account_id=0, email="", name="", role=role, scope=scope)
    cookie = {"Cookie": f"signpost-session={tokens[0]}"}
    async with client.get(f"{root}/console/inbox", headers=cookie) as answer:
        seen = sorted(set(_MESSAGE.findall(await answer.text())))
    if not seen:
        raise Failed(f"{name} sees no message")
    found = {
        "start": (Action.OWN, ["/"]),
        "sessions": (Action.OWN, ["/sessions"]),
        "message": (Action.SEE, [f"/messages/{each}" for each in seen]),
        "why": (Action.SEE, [f"/messages/{each}/why" for each in seen]),
        "triage": (Action.TRIAGE, ["/triage"]),
        "channels": (Action.CHANNELS, ["/channels"]),
        "users": (Action.USERS, ["/users"]),
        "settings": (Action.SETTINGS, ["/settings"]),
        "access_log": (Action.ACCESS_LOG, ["/access-log"]),
    }
    found |= {f"inbox.{kind}": (Action.SEE, [f"/inbox?{each}" for each in asked]) for kind, asked in _inbox().items()}
    found |= {f"dashboard.{days}": (Action.FIGURES, [f"/dashboard?days={days}"]) for days in _SPANS}
    found |= {
        f"learning.{state}": (Action.TEACH, [f"/learning/corrections?state={state}"])
        for state in ("proposed", "confirmed", "withdrawn", "conflicts")
    }
    found |= {f"learning.figures.{days}": (Action.TEACH, [f"/learning/figures?days={days}"]) for days in _SPANS[:3]}
    found["learning.models"] = (Action.TEACH, ["/learning/models"])
    if audit := await _audit(client, root, tokens[0]):
        found["learning.audit"] = (Action.TEACH, [audit])
    return [
        Page(f"{name}.{kind}", tokens, [f"/console{each}" for each in addresses])
        for kind, (action, addresses) in found.items()
        if viewer.may(action)
    ]


async def _audit(client: aiohttp.ClientSession, root: str, token: str) -> str:
    cookie = {"Cookie": f"signpost-session={token}"}
    async with client.get(f"{root}/console/learning/audit", headers=cookie, allow_redirects=False) as answer:
        return answer.headers.get("Location", "").partition("/console")[2]


def _inbox() -> dict[str, list[str]]:
    """Return what the list is asked for, the pages far down among it."""
    now = console_past.utc_now()
    deep = [f"at=o{key_of(now - timedelta(days=days)):x}" for days in range(3, 363, 6)]
    back = [f"at=n{key_of(now - timedelta(days=days)):x}" for days in range(3, 363, 6)]
    days = [f"since={day_before(now, each + 20)}&until={day_before(now, each)}" for each in range(1, 300, 5)]
    words = ("school", "bus", "the", "teacher", "fever")
    far = [f"q={words[number % len(words)]}&{page}" for number, page in enumerate(deep)]
    return {"first": [""], "older": deep, "newer": back, "days": days, "word_older": far, **_FILTERS}


# --- what is told -----------------------------------------------------------------------------------------------------


def _figure(dialect: str, found: Mapping[str, Took], rows: int, rounds: int, detail: dict[str, Any]) -> Figure:
    told = {name: _ms(took) for name, took in found.items()}
    worst = max((name for name in told if name != "trivial"), key=lambda name: told[name]["p95"])
    limit = LIMIT_LARGE_MS if rows >= _LARGE else LIMIT_MS
    over = sorted((name for name in told if told[name]["p95"] >= limit), key=lambda name: -told[name]["p95"])
    for name in sorted(told, key=lambda name: -told[name]["p95"]):
        print(f"console: {name:32} {told[name]}", file=sys.stderr)
    return Figure(
        name=f"console.page.{dialect}",
        value=told[worst]["p95"],
        unit="ms",
        better="lower",
        limit=limit,
        n=rounds,
        note=f"the slowest of {len(told) - 1} pages ({worst}) over HTTP with {rows:,} messages, 95th percentile; "
        f"a trivial page took {told['trivial']['p95']} ms in the same turns",
        detail={"over": over, "ms": told, "load": load(), **detail},
    )


def _ms(took: Took) -> dict[str, float]:
    values = {"p50": percentile(took.times, 0.5), "p95": percentile(took.times, 0.95), "max": max(took.times)}
    values |= {
        "first": took.first,
        "cpu_p50": percentile(took.computed, 0.5),
        "cpu_p95": percentile(took.computed, 0.95),
    }
    return {name: round(1000 * value, 1) for name, value in values.items()}


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--url", default="", help="of a database; otherwise an SQLite file is made and removed")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--only", default="", metavar="PATTERN", help="only pages with such names: inbox, all.dash")
    parser.add_argument("--people", default=",".join(PEOPLE), help="who opens them (default: %(default)s)")
    given = parser.parse_args()
    with folder() as where:
        url = given.url or f"sqlite:///{where}/signpost.db"
        people = given.people.split(",")
        figure = asyncio.run(measured(where, url, given.rows, given.rounds, only=given.only, people=people))
    print(json.dumps(figure.as_json(), indent=1))


if __name__ == "__main__":
    _main()
