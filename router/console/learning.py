"""The learning pages about people's words: corrections to confirm or withdraw, and messages to label."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from router.console import charts
from router.console.dashboard import SPANS, Names, audited, flagged, span_of
from router.console.places import CORRECTION, MESSAGE
from router.console.roles import Action
from router.console.routes import Route
from router.learning import corrections as rules
from router.learning.lessons import AUDIT
from router.learning.lessons import CORRECTION as WORD
from router.records import CorrectionState
from router.store import access, audits, figure_reads, figures, learning_reads, models
from router.views import beginning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web
    from sqlalchemy import Connection

    from router.console.console import Console
    from router.console.dashboard import Span
    from router.console.routes import Visit
    from router.store.scope import Scope

_PAGE, _MOST = 30, 300
_SPANS = [days for days in SPANS if days <= 92]  # what people said is read word by word
_CONSOLE = "console"
_STATES = {
    "proposed": "to confirm",
    "conflicts": "contradicted",
    "confirmed": "confirmed",
    "withdrawn": "withdrawn",
}


async def first(console: Console, _visit: Visit) -> web.StreamResponse:
    """Lead on to the corrections."""
    return console.see_other("/learning/corrections")


# --- corrections ------------------------------------------------------------------------------------------------------


async def corrections_page(console: Console, visit: Visit) -> web.StreamResponse:
    """Show corrections of one state, or those that something speaks against."""
    query = visit.request.query
    state = query.get("state", "") if query.get("state", "") in _STATES else "proposed"
    before = int(query["before"]) if query.get("before", "").isdecimal() and len(query["before"]) < 19 else None
    heirs = console.corrections.heirs()
    scope = visit.viewer.scope
    against = await console.disputes.find(console.store, heirs) if state == "conflicts" else {}
    rows, counts, others = await console.store.read(lambda c: _corrections(c, scope, state, before, against))
    names = Names(console)
    return console.page(
        visit,
        "corrections.html",
        tabs=tabs(console, visit),
        states=_STATES,
        state=state,
        counts={each: f"{n:,} or more" if n >= learning_reads.MOST else n for each, n in counts.items()},
        rows=[(row, beginning(row.content or {}), (row.content or {}).get("subject", "")) for row in rows],
        others=others,
        name=names.department,
        next=rows[-1].id if len(rows) == _PAGE and state != "conflicts" else None,
    )


def _corrections(
    connection: Connection, scope: Scope, state: str, before: int | None, words: Mapping[str, frozenset[str]]
) -> tuple[list[Any], dict[str, int], dict[int, list[str]]]:
    """Return rows, how many there are of each state, and what speaks against which."""
    counts = learning_reads.by_state(connection, scope)
    if state != "conflicts":
        return learning_reads.listed(connection, scope, state=state, before=before, limit=_PAGE), counts, {}
    _, doubted = models.doubted(connection)
    against = {key: sorted(words.get(key, ())) for key in {*words, *doubted} if key.startswith(WORD)}
    others = {int(key.removeprefix(f"{WORD} ")): said for key, said in against.items()}
    found = learning_reads.listed(connection, scope, ids=sorted(others), limit=_MOST)
    rows = [row for row in found if row.state != CorrectionState.WITHDRAWN.value]
    return rows, counts, _told(connection, scope, {row.id: others[row.id] for row in rows})


def _told(connection: Connection, scope: Scope, others: Mapping[int, list[str]]) -> dict[int, list[str]]:
    """Return what speaks against which as this viewer may know it: what lies elsewhere is named by no id."""
    about = {
        key: key.split()[1] for said in others.values() for key in said
    }  # a correction's number, or a message's id
    numbers = {int(name) for key, name in about.items() if not key.startswith(f"{AUDIT} ")}
    seen = learning_reads.seen(
        connection, scope, numbers, {name for key, name in about.items() if key.startswith(AUDIT)}
    )
    told = {}
    for row, said in others.items():
        inside = [key for key in said if about[key] in seen]
        told[row] = inside + ["what was said elsewhere"] * (len(inside) < len(said))
    return told


async def settle(console: Console, visit: Visit, state: CorrectionState, done: str) -> web.StreamResponse:
    """Confirm or withdraw a correction, and note that, in one commit."""
    number, by = int(visit.named("correction")), visit.viewer.email
    entry = console.entry(visit, f"correction_{state.value}", f"correction {number}")
    now = console.now

    def work(connection: Connection) -> None:
        rules.settle(connection, number, state, by, now, via=_CONSOLE)
        access.note(connection, entry)

    await console.store.write(work)
    back = visit.form.get("state", "")
    return console.see_other(f"/learning/corrections?state={back if back in _STATES else 'proposed'}", done)


_confirm = partial(settle, state=CorrectionState.CONFIRMED, done="Confirmed: the next model learns from it.")
_withdraw = partial(settle, state=CorrectionState.WITHDRAWN, done="Withdrawn: no model will learn from it.")


# --- labels -----------------------------------------------------------------------------------------------------------


async def next_audit(console: Console, visit: Visit) -> web.StreamResponse:
    """Lead on to the oldest message that waits for a label, or say that there is none."""
    scope = visit.viewer.scope
    _, oldest = await console.store.read(lambda c: learning_reads.unlabelled(c, scope, 1))
    if oldest:
        return console.see_other(f"/learning/audit/{oldest[0]}")
    return console.page(visit, "audit.html", tabs=tabs(console, visit), shown=None, waiting=0, departments=[])


async def audit_page(console: Console, visit: Visit) -> web.StreamResponse:
    """Show a message that was chosen at random, and ask whose it is; where it was sent isn't told before."""
    scope, named = visit.viewer.scope, visit.named("message")
    waiting, _ = await console.store.read(lambda c: learning_reads.unlabelled(c, scope, 1))
    shown = await console.commands.run("audit_show", {"message_id": named})
    desks = [console.desks.departments[each] for each in shown["departments"] if each in console.desks.departments]
    row = await console.store.read(lambda c: audits.get(c, named))
    return console.page(
        visit,
        "audit.html",
        tabs=tabs(console, visit),
        shown=shown,
        waiting=waiting,
        departments=sorted(desks, key=lambda desk: desk.name.casefold()),
        answered=row is not None and row.answered_at is not None,
        received=console.when(row.received_at) if row else "",
        fallback=console.desks.fallback,
    )


async def answer_audit(console: Console, visit: Visit) -> web.StreamResponse:
    """Keep an answer, tell where the message had been sent, and go on to the next."""
    named, department = visit.named("message"), visit.form.get("department", "")
    if not department:
        return console.see_other(f"/learning/audit/{named}", "Choose a department, or the one for nobody's business.")
    said = await console.commands.run(
        "audit_answer",
        {
            "message_id": named,
            "department": department,
            "urgent": visit.form.get("urgent") == "yes",
            "by": visit.viewer.email,
            "note": visit.form.get("note", ""),
        },
    )
    names = Names(console)
    verdict = "which was wrong" if said["misrouted"] else "which was right"
    told = f"Kept. Message {named} had been sent to {names.department(said['routed_to'])}, {verdict}."
    return console.see_other("/learning/audit", told)


# --- figures ----------------------------------------------------------------------------------------------------------


async def figures_page(console: Console, visit: Visit) -> web.StreamResponse:
    """Show how often messages go wrong over time, which departments are confused, and whether the model is honest."""
    span, scope = span_of(console, visit.request.query.get("days", "92"), _SPANS), visit.viewer.scope
    got = await console.store.read(lambda c: _figures(c, scope, span))
    names = Names(console)
    of_audits, of_corrections = ({_pair(names, pair): n for pair, n in each.items()} for each in got["confused"])
    firsts = [period[0] for period in span.periods]
    target = console.facts.target_error if console.facts else None
    return console.page(
        visit,
        "learning_figures.html",
        tabs=tabs(console, visit),
        spans=_SPANS,
        days=len(span.days),
        rates=[
            charts.rates("Misrouted, by audits", firsts, audited(got["audited"], span), "labelled", target=target),
            charts.rates("Misrouted, by flags", firsts, flagged(got["sent"], span), "sent by itself"),
        ],
        matrices=[
            charts.matrix("Confused, by audits", of_audits),
            charts.matrix("Confused, by confirmed corrections", of_corrections),
        ],
        honest=charts.honest("Can its confidence be believed?", got["believed"]),
        labelled=len(got["believed"]),
    )


def _figures(connection: Connection, scope: Scope, span: Span) -> dict[str, Any]:
    between = (scope, span.begin, span.end)
    return {
        "audited": figure_reads.audited_per(connection, *between),
        "sent": figure_reads.per_day(connection, scope, figures.SENT, span.since, span.until, months=span.by_month),
        "confused": figure_reads.confused(connection, *between),
        "believed": figure_reads.believed(connection, *between),
    }


def _pair(names: Names, pair: tuple[str, str]) -> tuple[str, str]:
    return names.department(pair[0]), names.department(pair[1])


def tabs(console: Console, visit: Visit) -> list[tuple[str, str, bool]]:
    """Return the learning pages: address, words, and whether it is here; audits only where messages are chosen."""
    chosen = console.facts is None or console.facts.audits
    pages = [
        ("/learning/corrections", "Corrections"),
        *([("/learning/audit", "Audit")] if chosen or visit.request.path.startswith("/console/learning/audit") else []),
        ("/learning/models", "Models"),
        ("/learning/figures", "Figures"),
    ]
    here = visit.request.path.removeprefix("/console")
    return [(path, words, here.startswith(path)) for path, words in pages]


ROUTES = (
    Route(path="/learning", action=Action.TEACH, page=first),
    Route(path="/learning/corrections", action=Action.TEACH, page=corrections_page, noted="corrections"),
    Route(
        path="/learning/corrections/{correction}/confirm",
        action=Action.TEACH,
        page=_confirm,
        post=True,
        about=CORRECTION,
    ),
    Route(
        path="/learning/corrections/{correction}/withdraw",
        action=Action.TEACH,
        page=_withdraw,
        post=True,
        about=CORRECTION,
    ),
    Route(path="/learning/audit", action=Action.TEACH, page=next_audit),
    Route(path="/learning/audit/{message}", action=Action.TEACH, page=audit_page, about=MESSAGE, noted="audit_shown"),
    Route(
        path="/learning/audit/{message}",
        action=Action.TEACH,
        page=answer_audit,
        post=True,
        about=MESSAGE,
        noted="audit_answered",
    ),
    Route(path="/learning/figures", action=Action.TEACH, page=figures_page, noted="learning_figures"),
)
