"""A district moves up: its SQLite store is copied into PostgreSQL, whole and compared, or not at all."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, text, update

from router.errors import Conflict, NotFound, SignpostError, StoreBusy
from router.records import DeliveryKind, Notice, State
from router.store import cursors, daemons, deliveries, keys, marks, messages
from router.store.copying import copy
from router.store.engine import open_store
from router.store.tables import decisions as decisions_table
from router.store.tables import deliveries as deliveries_table
from router.store.tables import messages as messages_table
from router.store.tables import metadata
from tests.contract.store_helpers import DESK, NOW, accept, inbound, routed

LETTERS = 1_100  # more than are held in memory at once
NOTHING = 1  # row of a store that is empty: which schemas fit


@pytest.fixture
async def filled(sqlite_url, rng):
    """An SQLite store with something of most kinds, closed."""
    store = open_store(sqlite_url)
    await store.open()
    await routed(store, "r1")
    letters = {n: inbound(f"p{n}", f"Subject: ñ{n}\r\n\r\n".encode() + rng.randbytes(n % 50)) for n in range(LETTERS)}
    await asyncio.gather(*(accept(store, letter, f"<{n}@home>") for n, letter in letters.items()))
    await accept(store, inbound("huge", rng.randbytes(9_000_000)))
    await store.write(lambda c: keys.load(c, NOW))
    await store.write(lambda c: marks.claim(c, "digest", NOW, timedelta(1)))
    await store.write(lambda c: cursors.put(c, "mailbox", "INBOX", {"last": 17, "nested": {"ü": [1.5, None, True]}}))
    await store.write(lambda c: daemons.register(c, "d1", NOW, alone=True))
    notice = Notice(subject="Something", text="happened")
    await store.write(lambda c: deliveries.add(c, [DESK], kind=DeliveryKind.ALERT, now=NOW, notice=notice))
    await store.close()
    return sqlite_url


def quiet(_doing, _share):
    """Take progress and say nothing."""


async def in_store(url, work, *, write=False):
    """Run one unit of work on a store that is opened for it."""
    store = open_store(url)
    await store.open()
    try:
        return await (store.write if write else store.read)(work)
    finally:
        await store.close()


def rows(connection):
    """Return how many rows a store has in all, without those of living daemons."""
    tables = [table for table in metadata.sorted_tables if table.name != "daemons"]
    return {t.name: connection.execute(select(func.count()).select_from(t)).scalar_one() for t in tables}


async def test_everything_is_the_same_after_a_move(filled, postgres_url):
    """Every table has as many rows, originals and JSON are what they were, and progress reaches the end once."""
    shares = []
    copied = await copy(filled, postgres_url, lambda _doing, share: shares.append(share))

    there = await in_store(postgres_url, rows)
    assert there == await in_store(filled, rows)
    assert {name: each.rows for name, each in copied.items()} == there
    assert there["messages"] == there["originals"] == LETTERS + 2
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    last = text("SELECT max(id) FROM messages")
    newest = await in_store(filled, lambda c: c.execute(last).scalar())
    for read in (lambda c: messages.original(c, newest), lambda c: cursors.get(c, "mailbox", "INBOX")):
        assert await in_store(postgres_url, read) == await in_store(filled, read)


async def test_daemons_go_on_where_the_file_ended(filled, postgres_url):
    """New rows get numbers that nobody has, what a dead daemon held is free, and the same mail is still a true copy."""
    await in_store(filled, lambda c: messages.lease_undecided(c, "d1", 3), write=True)
    await copy(filled, postgres_url, quiet)
    store = open_store(postgres_url)
    await store.open()
    try:
        highest = await store.read(lambda c: c.execute(select(func.max(deliveries_table.c.id))).scalar())
        assert await store.write(lambda c: daemons.register(c, "d2", NOW, alone=False)) == 3
        again = await accept(store, inbound("p7", b"whatever"))
        assert again.duplicate
        [new] = await store.write(lambda c: deliveries.add(c, [DESK], kind=DeliveryKind.ALERT, now=NOW))
        assert new == highest + 1
        latest = {
            "message_id": again.message_id,
            "department": "x",
            "reason": "rule",
            "suggestions": [],
            "decided_at": NOW,
        }
        add = insert(decisions_table).values(latest).returning(decisions_table.c.id)
        assert await store.write(lambda c: c.execute(add).scalar()) == 2
    finally:
        await store.close()


async def test_a_store_that_is_in_use_is_not_copied(filled, postgres_url):
    """A daemon that runs on the file would take in what stays behind."""
    daemon = open_store(filled)
    await daemon.open()
    try:
        with pytest.raises(StoreBusy, match="stop it first"):
            await copy(filled, postgres_url, quiet)
    finally:
        await daemon.close()


async def test_nothing_is_copied_over_something(filled, postgres_url):
    """A database in which a daemon has been, or a copy, is refused and stays as it is."""
    await in_store(postgres_url, lambda c: keys.load(c, NOW), write=True)
    with pytest.raises(Conflict, match=r"isn't empty \(keys"):
        await copy(filled, postgres_url, quiet)
    assert sum((await in_store(postgres_url, rows)).values()) == NOTHING + 2


async def test_no_file_is_made_where_none_is(tmp_path, postgres_url):
    """A misspelt path is said, and nothing appears there."""
    with pytest.raises(NotFound, match=r"there is no store at .*/gone\.db"):
        await copy(f"sqlite:///{tmp_path}/gone.db", postgres_url, quiet)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("when", ["copying", "comparing"])
async def test_a_copy_that_is_cut_short_leaves_nothing_and_can_be_begun_again(filled, postgres_url, when):
    """Whatever ends it, half a copy isn't there; the next try finds the database empty."""

    def cut(doing, _share):
        if doing == f"{when} originals":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await copy(filled, postgres_url, cut)
    assert sum((await in_store(postgres_url, rows)).values()) == NOTHING
    assert (await copy(filled, postgres_url, quiet))["messages"].rows == LETTERS + 2


async def test_what_postgresql_cannot_hold_is_named(filled, postgres_url):
    """A text that is too long for a column, or holds a NUL: its row is named, nothing of it is shown or copied."""
    for state, said in (("x" * 13, "has 13 characters, and PostgreSQL holds 12"), ("a\0b", "holds a NUL")):
        spoil = update(messages_table).where(messages_table.c.source_key == "p5").values(state=state)
        await in_store(filled, lambda c, s=spoil: c.execute(s) and None, write=True)
        with pytest.raises(SignpostError, match=rf"messages \(\w+\): state {said}.*nothing was copied"):
            await copy(filled, postgres_url, quiet)
    mend = update(messages_table).where(messages_table.c.source_key == "p5").values(state=State.UNDECIDED.value)
    await in_store(filled, lambda c: c.execute(mend) and None, write=True)
    await copy(filled, postgres_url, quiet)


async def test_what_arrives_otherwise_is_noticed(filled, postgres_url):
    """A database that changes one value on its way in gets nothing at all."""
    trigger = """CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW."to" := 'else@where.example'; RETURN NEW; END $$;"""
    on = "CREATE TRIGGER t BEFORE INSERT ON deliveries FOR EACH ROW EXECUTE FUNCTION spoil()"
    await in_store(postgres_url, lambda c: [c.execute(text(each)) for each in (trigger, on)] and None, write=True)
    with pytest.raises(SignpostError, match=r"deliveries \(\d+\) arrived otherwise; nothing was copied"):
        await copy(filled, postgres_url, quiet)
    assert sum((await in_store(postgres_url, rows)).values()) == NOTHING


async def test_a_table_of_somebody_else_stops_the_move(filled, postgres_url):
    """What this program doesn't know it can't copy, and a copy that leaves something behind isn't one."""
    made = text("CREATE TABLE notes (id INTEGER PRIMARY KEY)")
    await in_store(filled, lambda c: c.execute(made) and None, write=True)
    with pytest.raises(SignpostError, match="doesn't know: notes"):
        await copy(filled, postgres_url, quiet)


def test_every_table_with_numbers_is_counted_on():
    """Each table whose key counts up by itself is one that the copy sets the counter of."""
    numbered = {t.name for t in metadata.tables.values() if any(c.autoincrement is True for c in t.primary_key.columns)}
    assert {"decisions", "deliveries", "corrections", "votes", "model_events"} <= numbered
