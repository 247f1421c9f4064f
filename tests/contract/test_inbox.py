"""The console's list and search: nothing beyond a scope, no page twice or missing, and the same words found by both."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from itertools import product
from random import Random

import pytest
from sqlalchemy import delete, insert, select, text, update

from router.errors import Malformed
from router.records import State
from router.store import inbox, inbox_index
from router.store.engine import open_store
from router.store.inbox import Filters
from router.store.inbox_news import News, version
from router.store.inbox_tables import inbox_rows
from router.store.scope import EVERYTHING, Scope
from router.store.tables import corrections, decisions, deliveries, messages
from router.testing import FakeClock
from tests.contract.figured import CHANNELS, NOW, decide, fill
from tests.contract.indexed import Indexed

SCOPES = (
    EVERYTHING,
    Scope(departments=frozenset({"buses"})),
    Scope(departments=frozenset({"buses", "office"}), schools=frozenset({"lincoln"})),
    Scope(schools=frozenset({"parks"})),
    Scope(departments=frozenset()),
    Scope(schools=frozenset()),
)
FILTERS = (
    Filters(),
    Filters(department="buses"),
    Filters(channel=CHANNELS[0], school="parks"),
    Filters(language="es", reason="model"),
    Filters(urgent=True),
    Filters(dead=True),
    Filters(dead=True, channel=CHANNELS[1], language="es"),
    Filters(state=State.HELD),
    Filters(since=NOW - timedelta(days=3), until=NOW - timedelta(days=1)),
    Filters(text="no such words"),
)


@pytest.fixture
async def indexed(store_url):
    clock = FakeClock(NOW + timedelta(minutes=30))
    store = open_store(store_url, clock)
    await store.open()
    yield await Indexed(store, clock).begin()
    await store.close()


async def slowly(store, scope, filters):
    """Return the ids that a look at every message finds, newest first."""

    def work(connection):
        beside = messages.outerjoin(decisions, decisions.c.id == messages.c.decision_id)
        dead = set(connection.execute(select(deliveries.c.message_id).where(deliveries.c.state == "dead")).scalars())
        rows = connection.execute(select(messages, *_DECIDED).select_from(beside)).all()
        passed = connection.execute(select(corrections).where(corrections.c.state != "withdrawn")).all()
        return {row.id for row in rows if _is_seen(row, scope, passed) and _fits(row, filters, dead, passed)}

    return await store.read(work)


_DECIDED = [decisions.c[name] for name in ("department", "school", "reason", "urgent", "prediction")]


def _holders(row, passed):
    """Return who has a message: its department, those that got a copy, those to which one was passed on."""
    also = (row.prediction or {}).get("also", ())
    got = [c.to_department for c in passed if row.decision_id and row.decision_id == c.decision_id == c.new_decision_id]
    return {row.department or "", *also, *got}


def _is_seen(row, scope, passed):
    return any(scope.sees(each, row.school or "") for each in _holders(row, passed))


def _fits(row, filters, dead, passed):
    language = (row.content or {}).get("language", "")
    same = (
        (filters.channel, row.channel),
        (filters.school, row.school),
        (filters.language, language),
        (filters.reason, row.reason),
        (filters.state and filters.state.value, row.state),
    )
    return (
        all(not wanted or wanted == there for wanted, there in same)
        and (not filters.department or filters.department in _holders(row, passed))
        and (not filters.urgent or bool(row.urgent))
        and (not filters.dead or row.id in dead)
        and (filters.since is None or row.received_at >= filters.since)
        and (filters.until is None or row.received_at < filters.until)
        and not filters.text
    )


def copy_some(connection, random):
    """Let a third of the messages have gone to another department, too."""
    for decision_id in connection.execute(select(decisions.c.id).order_by(decisions.c.id)).scalars().all():
        if random.random() < 0.3:
            also = {"also": [random.choice(("office", "buses", "meals"))]}
            connection.execute(update(decisions).where(decisions.c.id == decision_id).values(prediction=also))


# --- who sees what ----------------------------------------------------------------------------------------------------


async def test_every_list_and_count_is_what_the_scope_sees(indexed, seed):
    """Each filter with each scope shows what `Scope.sees` says of every message, no more and no less."""
    await fill(indexed.store, Random(seed), 200)
    await indexed.store.write(partial(copy_some, random=Random(seed)))
    await indexed.follow()
    shown = 0
    for scope, filters in product(SCOPES, FILTERS):
        wanted = await slowly(indexed.store, scope, filters)
        found = await indexed.all(scope, filters)
        assert len(found) == len(set(found))
        assert set(found) == wanted, (scope, filters)
        assert await indexed.store.read(lambda c, s=scope, f=filters: inbox.count(c, s, f)) == len(wanted)
        shown += len(found)
    assert shown > 500


async def test_what_has_moved_is_not_shown_where_it_was(indexed):
    """Even before it is indexed again: the list reads the decision in force. Then it is shown where it is now."""
    await indexed.write("M1")
    await indexed.follow()
    await indexed.store.write(lambda c: decide(c, Random(1), "M1", NOW, ("meals",), first=False))
    buses, meals = (Scope(departments=frozenset({name})) for name in ("buses", "meals"))

    assert await indexed.all(buses) == []
    assert [line.department for line in (await indexed.page()).lines] == ["meals"]
    await indexed.follow()
    assert (await indexed.all(buses), await indexed.all(meals)) == ([], ["M1"])


async def test_held_let_go_and_undone_are_followed(indexed):
    """A message that moves without a decision is found where it is: held, let go, put back by who undid it."""
    await indexed.write("M1")
    first = await indexed.store.read(lambda c: c.execute(select(messages.c.decision_id)).scalar())
    await indexed.follow()

    async def change(**values):
        await indexed.store.write(lambda c: c.execute(update(messages).values(**values)))
        await indexed.follow()

    await change(state="held")
    assert await indexed.all(filters=Filters(state=State.HELD)) == ["M1"]
    await change(state="routed")
    assert await indexed.all(filters=Filters(state=State.HELD)) == []
    assert await indexed.all(filters=Filters(state=State.ROUTED)) == ["M1"]
    await indexed.store.write(lambda c: decide(c, Random(1), "M1", NOW, ("meals",), first=False))
    await indexed.follow()
    withdrawn = {"message_id": "M1", "from_department": "buses", "to_department": "meals", "via": "link"}
    withdrawn |= {"state": "withdrawn", "at": NOW, "settled_at": NOW}
    await indexed.store.write(lambda c: c.execute(insert(corrections), withdrawn))
    await change(decision_id=first)
    assert await indexed.all(filters=Filters(department="buses")) == ["M1"]


async def test_what_is_erased_is_found_no_more(indexed):
    """Neither in the list nor by a word, and no word of it is left."""
    await indexed.write("M1", text="a lost umbrella")
    await indexed.follow()
    assert await indexed.find("umbrella") == {"M1"}
    await indexed.store.write(lambda c: inbox_index.forget(c, ["M1"]))

    left = await indexed.store.read(lambda c: c.execute(text("SELECT count(*) FROM inbox_words")).scalar())
    assert (await indexed.find("umbrella"), await indexed.all(), left) == (set(), [], 0)


async def test_a_copy_is_found_by_the_department_that_got_it(indexed):
    """In list, count, search and news, from the moment it is decided on; and where a copy was passed on, there."""
    await indexed.follow()
    await indexed.write("M1", text="two matters")
    copied = {"ranking": [], "also": ["meals"]}
    await indexed.store.write(lambda c: c.execute(update(decisions).values(prediction=copied)))
    await indexed.follow()
    meals, rooms = (Scope(departments=frozenset({name})) for name in ("meals", "rooms"))

    async def found(scope):
        count = await indexed.store.read(lambda c: inbox.count(c, scope, Filters()))
        return (
            await indexed.all(scope),
            await indexed.find("matters", scope),
            count,
            (await indexed.news(0, scope)).messages,
        )

    assert await found(meals) == (["M1"], {"M1"}, 1, 1)
    assert await found(rooms) == ([], set(), 0, 0)
    (line,) = (await indexed.page(meals)).lines
    assert (line.department, line.copies) == ("buses", ("meals",))

    passed = {"message_id": "M1", "from_department": "meals", "to_department": "rooms", "via": "link", "at": NOW}
    passed |= {"state": "proposed", "decision_id": 1, "new_decision_id": 1}
    await indexed.store.write(lambda c: c.execute(insert(corrections), passed))
    await indexed.follow()
    assert await found(rooms) == (["M1"], {"M1"}, 1, 1)
    await indexed.store.write(lambda c: c.execute(update(corrections).values(state="withdrawn")))
    assert await found(rooms) == ([], set(), 0, 0)
    assert await indexed.indexing.look() == 0  # and then there is nothing more to do
    await indexed.store.write(lambda c: decide(c, Random(1), "M1", NOW, ("office",), first=False))
    assert (await found(meals))[0] == []  # it went to another desk as a whole


# --- pages ------------------------------------------------------------------------------------------------------------


async def test_pages_of_equal_times_with_arrivals_between(indexed):
    """Going on shows none twice and none missing, though all came in at once and others arrive meanwhile; and back."""
    for number in range(25):
        await indexed.write(f"M{number}")
    await indexed.follow()
    first = await indexed.page(limit=10)
    await indexed.write("LATER", NOW + timedelta(seconds=1))
    await indexed.follow()
    second = await indexed.page(cursor=first.older, limit=10)
    third = await indexed.page(cursor=second.older, limit=10)

    found = [line.id for page in (first, second, third) for line in page.lines]
    assert sorted(found) == sorted(f"M{number}" for number in range(25))
    assert third.older == ""
    back = await indexed.page(cursor=second.newer, limit=10)
    assert back.lines == first.lines
    assert [line.id for line in (await indexed.page(cursor=back.newer, limit=10)).lines] == ["LATER"]


@pytest.mark.parametrize("cursor", ["x", "o", "oXYZ", "o-1", "o" + "f" * 16, "n1 ", "'; --", "o٣"])
async def test_a_cursor_of_somebodys_making_is_refused_in_words(indexed, cursor):
    """Whatever stands in the address, the answer is a sentence."""
    with pytest.raises(Malformed, match="begin again"):
        await indexed.page(cursor=cursor)


async def test_news_since(indexed):
    """Who watches asks for what came or changed since, and is told once."""
    await indexed.write("M1")
    await indexed.follow()
    seen = await indexed.store.read(version)
    assert await indexed.news(seen) == News(seen, 0)
    await indexed.write("M2")
    await indexed.follow()
    last = await indexed.store.read(version)
    assert await indexed.news(seen) == News(last, 1)
    assert await indexed.news(seen, Scope(departments=frozenset({"meals"}))) == News(last, 0)
    assert await indexed.news(seen, Scope(departments=frozenset())) == News(last, 0)
    assert await indexed.news(seen, filters=Filters(department="meals")) == News(last, 0)
    assert await indexed.news(seen, filters=Filters(channel="mail", department="buses")) == News(last, 1)


async def test_what_was_committed_out_of_order_is_found(indexed):
    """A message that isn't in the index though later ones are comes in a minute later, on PostgreSQL."""
    await indexed.write("M1", NOW)
    await indexed.follow()
    await indexed.store.write(lambda c: c.execute(delete(inbox_rows)))
    again = "DELETE FROM inbox_follow WHERE name = 'again'"
    await indexed.store.write(lambda c: [c.execute(text(each)) for each in (again, "DELETE FROM inbox_words")])
    await indexed.follow()
    assert await indexed.all() == (["M1"] if indexed.store.dialect == "postgresql" else [])


# --- plans ------------------------------------------------------------------------------------------------------------


async def test_no_list_scans_or_sorts_everything(sqlite_url):
    """SQLite walks the words, or the keys, in order, and looks up the rest; it sorts what is dead alone."""
    store = open_store(sqlite_url)
    await store.open()
    for scope, filters in product(SCOPES[:4], FILTERS):

        def plan(connection, scope=scope, filters=filters):
            statement = inbox._found(connection, scope, filters, *inbox._COLUMNS, beyond=5)
            compiled = statement.limit(50).compile(connection, compile_kwargs={"render_postcompile": True})
            parameters = compiled.construct_params()
            values = tuple(parameters[name] for name in compiled.positiontup)
            return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)]

        steps = await store.read(plan)
        assert filters.dead or not [step for step in steps if "TEMP B-TREE" in step], steps
        scanned = [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
        assert not scanned, steps  # words, and the few departments in one decision, are looked through
    await store.close()
