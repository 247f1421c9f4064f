"""A store that comes out of a backup: no number is given twice, and what may be a repetition says so."""

from __future__ import annotations

import asyncio
import re
import secrets
import sqlite3
import subprocess
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import update

from router.again import with_remark
from router.alerts import Alerts
from router.errors import Conflict
from router.records import Content, DeliveryKind, DeliveryState, Medium, Message, Notice
from router.routing.restored import Restored
from router.routing.route import Router
from router.routing.schools import Schools
from router.routing.statutory import EVALUATION, Statutory
from router.store import daemons, decisions, deliveries, marks, restored
from router.store.backup import copy_sqlite
from router.store.tables import messages as messages_table
from router.upkeep import tell_restored
from tests.contract.store_helpers import DESK, NOW, accept, inbound, opened, routed
from tests.contract.test_store_backup import pg_programs  # noqa: F401  pytest finds it by its name here

HOUR = timedelta(hours=1)


async def send_something(store, now=NOW):
    """Put a delivery into the outbox and return its number."""
    [number] = await store.write(lambda c: deliveries.add(c, [DESK], kind=DeliveryKind.ALERT, now=now))
    return number


async def begin_again(store, now, backup_at=NOW):
    """Start a first daemon on a copy of that moment."""
    await store.write(lambda c: marks.claim(c, restored.BACKUP, backup_at, timedelta(0)))
    return await store.write(lambda c: restored.begin_again(c, now))


async def test_a_number_was_given_twice_after_a_restore(store):
    """Numbers go on above a thousand for each second since the backup, also if it is restored a second time."""
    before = await send_something(store)
    assert await begin_again(store, NOW + HOUR) == NOW
    first = await send_something(store)
    assert first > before + 3600 * 1000
    for n in range(20):  # of those that the second restore mustn't give again
        assert await send_something(store) == first + n + 1
    assert await begin_again(store, NOW + 2 * HOUR) == NOW
    assert await send_something(store) > first + 3600 * 1000


async def test_a_store_that_was_not_restored_is_left_alone(store):
    """No mark, no change; and the mark counts once, for one daemon."""
    number = await send_something(store)
    assert await store.write(lambda c: restored.begin_again(c, NOW)) is None
    assert await send_something(store) == number + 1
    assert await begin_again(store, NOW + HOUR) == NOW
    assert await store.write(lambda c: restored.begin_again(c, NOW + HOUR)) is None


async def test_what_waited_in_the_backup_says_that_it_may_have_been_sent(store):
    """Routes get a tag, alerts a sentence; automatic answers aren't sent again at all."""
    message_id = await routed(store)
    add = {"kind": DeliveryKind.ANSWER, "now": NOW, "message_id": message_id}
    [answer] = await store.write(lambda c: deliveries.add(c, [DESK], **add))
    notice = Notice(subject="Dead", text="A delivery is dead.")
    [alert] = await store.write(lambda c: deliveries.add(c, [DESK], kind=DeliveryKind.ALERT, now=NOW, notice=notice))

    await begin_again(store, NOW + HOUR)

    assert (await store.read(lambda c: decisions.in_force(c, message_id))).tags == (restored.AFTER_RESTORE,)
    told = await store.read(lambda c: deliveries.get(c, alert))
    assert (told.state, told.notice.text) == (DeliveryState.WAITING, with_remark("A delivery is dead."))
    dropped = await store.read(lambda c: deliveries.get(c, answer))
    assert (dropped.state, "restored" in dropped.last_error) == (DeliveryState.DROPPED, True)


async def test_what_was_in_the_mailbox_before_is_told_from_what_comes_now(store):
    """What counts is when a message came to us or to its mailbox, for a month; an odd time counts for nothing."""
    old, new, fetched, odd = [
        (await accept(store, inbound(key, key.encode(), at=NOW + later))).message_id
        for key, later in (("old", -HOUR), ("new", HOUR), ("fetched", HOUR), ("odd", HOUR))
    ]
    for which, at in ((fetched, (NOW - HOUR).isoformat()), (odd, "yesterday")):
        facts = update(messages_table).where(messages_table.c.id == which).values(facts={"arrived_at": at})
        await store.write(lambda c, facts=facts: c.execute(facts) and None)
    await begin_again(store, NOW, backup_at=NOW - 2 * HOUR)

    restored_at = await store.read(lambda c: restored.since(c, NOW + HOUR))
    batch = [
        Message(id=each, channel="mail", medium=Medium.EMAIL, received_at=NOW) for each in (old, new, fetched, odd)
    ]
    answers = await Restored(store, restored_at).decide(batch)
    assert [getattr(answer, "tags", ()) for answer in answers] == [("after-restore",), (), ("after-restore",), ()]
    assert await store.read(lambda c: restored.since(c, NOW + timedelta(days=31))) is None
    assert await Restored(store, None).decide(batch) == [None] * 4


async def test_a_copy_of_a_file_says_what_it_is(sqlite_store, sqlite_url, tmp_path):
    """The copy carries the mark, the store that goes on doesn't; nothing is left beside the copy."""
    await send_something(sqlite_store)
    (tmp_path / "kept").mkdir()
    to = tmp_path / "kept" / "copy.db"
    copy_sqlite(Path(sqlite_url.removeprefix("sqlite:///")), to, lambda _doing, _share: None)
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["copy.db"]
    with closing(sqlite3.connect(f"file:{to}?immutable=1", uri=True)) as look:
        assert look.execute("SELECT count(*) FROM marks WHERE name = 'backup'").fetchone() == (1,)
    async with opened(f"sqlite:///{to}") as copied:
        now = copied.clock.now()
        assert HOUR > now - await copied.write(lambda c: restored.begin_again(c, now)) >= timedelta(0)
    assert await sqlite_store.read(lambda c: marks.get(c, restored.BACKUP)) is None


async def test_a_daemon_that_starts_during_a_backup_is_not_misled(postgres_url):
    """While a database is being copied it carries the mark; who starts on it meanwhile leaves it as it is."""
    async with opened(postgres_url) as store:
        async with restored.marked(store):
            assert len(await carried(store)) == 1
            assert await store.write(lambda c: restored.begin_again(c, NOW)) is None
            assert len(await carried(store)) == 1
            with pytest.raises(Conflict, match="another backup"):
                async with restored.marked(store):
                    pass
        assert await carried(store) == {}


async def test_a_backup_that_broke_off_made_the_next_start_a_restore(postgres_url):
    """Its mark stays behind in the database that it was made of: that is this one, so nothing was restored."""
    async with opened(postgres_url) as store:
        await break_off(store)
        number = await send_something(store)
        assert len(await carried(store)) == 1
        assert await store.write(lambda c: restored.begin_again(c, NOW)) is None
        assert await carried(store) == {}
        assert await send_something(store) == number + 1


@pytest.mark.usefixtures("pg_programs")
@pytest.mark.parametrize("into", ["another database", "the same database"])
async def test_a_dump_that_was_restored_at_once_was_not_recognised(postgres, postgres_url, tmp_path, into):
    """Its daemons seem to live for 20 s more; it is another table all the same, in this database or another."""
    dump = tmp_path / "signpost.dump"
    async with opened(postgres_url) as store:
        await store.write(lambda c: daemons.register(c, "d1", None, alone=False))
        async with restored.marked(store):
            run("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={postgres_url}")
        number = await send_something(store)
    url, clean = postgres_url, ["--clean", "--if-exists"]
    if into == "another database":
        name = f"t{secrets.token_hex(6)}"
        postgres.psql(f"CREATE DATABASE {name}")
        url, clean = postgres.get_uri(database=name), []
    run("pg_restore", *clean, f"--dbname={url}", str(dump))
    async with opened(url) as store, opened(url) as other:
        assert await store.read(lambda c: daemons.living(c, None)) == 1
        both = (each.write(partial(restored.begin_again, now=store.clock.now())) for each in (store, other))
        done = [at for at in await asyncio.gather(*both) if at is not None]
        assert len(done) == 1
        assert await send_something(store) >= number + 1_000_000
    if url != postgres_url:
        postgres.psql(f"DROP DATABASE {name} WITH (FORCE)")


async def test_the_second_daemon_went_on_before_the_first_had_done_it(postgres_url):
    """Of two that start on a restored database at once one acts, and the other waits for the end of that."""
    async with opened(postgres_url) as store:
        await store.write(lambda c: marks.claim(c, restored.BACKUP, NOW, timedelta(0)) and None)
        async with store.line() as line:
            first = line.transaction()
            await first.start()
            await line.execute("DELETE FROM marks WHERE name = 'backup'")
            second = asyncio.create_task(store.write(lambda c: restored.begin_again(c, NOW)))
            async with asyncio.timeout(60):
                waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
                while not await line.fetchval(waits):
                    await asyncio.wait([second], timeout=0.01)
            assert not second.done()
            await first.commit()
        assert await second is None


async def test_a_start_that_failed_afterwards_left_nobody_told(store):
    """Operations are told by the next start that gets so far, and once."""
    alerts = Alerts([DESK], [])
    await begin_again(store, NOW + HOUR)
    for told in (NOW, None):
        assert await store.write(lambda c: tell_restored(c, alerts, NOW + 2 * HOUR)) == told
    [alert] = await store.read(lambda c: deliveries.in_states(c, [DeliveryState.WAITING.value], 9))
    assert alert.notice.subject == "Signpost was restored from a backup"


async def carried(store):
    """Return the marks of backups that a store carries."""
    return await store.read(lambda c: marks.beginning_with(c, restored.BACKUP))


async def break_off(store):
    """Begin a backup of a database and die."""
    async with store.line() as line:
        holding = restored.marked(store)
        await holding.__aenter__()
        its = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1"
        pid = await line.fetchval(its, restored._LOCK)
        await line.execute("SELECT pg_terminate_backend($1, 60000)", pid)  # and wait for its end
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await holding.__aexit__(None, None, None)


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


async def test_it_can_be_said_by_hand(store):
    """A snapshot carries no mark: the moment is the one that is named, or the last that the store knows of."""
    await accept(store, inbound("k", at=NOW))
    assert await store.write(lambda c: restored.say(c, None, NOW + HOUR)) == NOW
    assert await store.write(lambda c: restored.say(c, NOW - HOUR, NOW + HOUR)) == NOW - HOUR
    assert await store.write(lambda c: restored.begin_again(c, NOW + HOUR)) == NOW - HOUR
    now = None if store.dialect == "postgresql" else NOW
    await store.write(lambda c: daemons.register(c, "d1", now, alone=False))
    with pytest.raises(Conflict, match="stop it first"):
        await store.write(lambda c: restored.say(c, None, NOW))


async def test_a_remark_replaced_another(sqlite_store, log):
    """A request with a legal deadline that may come twice says both."""
    number = (await accept(sqlite_store, inbound("k"))).message_id
    content = Content(subject="IEP", text="I request an evaluation of my daughter for special education.")
    message = Message(id=number, channel="mail", medium=Medium.EMAIL, received_at=NOW, content=content)
    steps = (Statutory(), Restored(sqlite_store, NOW + HOUR))
    router = Router(steps, fallback="office", schools=Schools({}), observe=False, clock=sqlite_store.clock, log=log)
    [verdict] = await router.decide([message])
    assert verdict.decision.tags == (EVALUATION, restored.AFTER_RESTORE)


def test_no_two_locks_have_one_number():
    """Else a backup, which holds its own for as long as it takes, would hold up messages."""
    texts = [path.read_text() for path in Path(restored.__file__).parent.glob("*.py")]
    numbers = [found for each in texts for found in re.findall(r"^_LOCK = (\w+)", each, re.MULTILINE)]
    assert len(set(numbers)) == len(numbers) >= 4
