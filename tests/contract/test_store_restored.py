"""A store that comes out of a backup: no number is given twice, and what may be a repetition says so."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from router.errors import Conflict
from router.records import Content, DeliveryKind, DeliveryState, Medium, Message, Notice
from router.routing.restored import Restored
from router.routing.route import Router
from router.routing.schools import Schools
from router.routing.statutory import EVALUATION, Statutory
from router.store import answers, daemons, decisions, deliveries, marks, migrate, restored
from router.store.backup import copy_sqlite
from router.store.engine import open_store
from router.store.tables import messages as messages_table
from tests.contract.store_helpers import DESK, NOW, accept, inbound, routed

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
    assert (told.state, told.notice.text) == (DeliveryState.WAITING, f"{restored.AGAIN}\nA delivery is dead.")
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
    copied = open_store(f"sqlite:///{to}")
    await copied.open()
    now = copied.clock.now()
    assert HOUR > now - await copied.write(lambda c: restored.begin_again(c, now)) >= timedelta(0)
    await copied.close()
    assert await sqlite_store.read(lambda c: marks.get(c, restored.BACKUP)) is None


async def test_a_daemon_that_starts_during_a_backup_is_not_misled(postgres_url):
    """While a database is being copied it carries the mark; who starts on it meanwhile leaves it as it is."""
    store = open_store(postgres_url)
    await store.open()
    async with restored.marked(store):
        assert await store.read(lambda c: marks.get(c, restored.BACKUP)) is not None
        assert await store.write(lambda c: restored.begin_again(c, NOW)) is None
        with pytest.raises(Conflict, match="another backup"):
            async with restored.marked(store):
                pass
    assert await store.read(lambda c: marks.get(c, restored.BACKUP)) is None
    await store.write(lambda c: marks.claim(c, restored.BACKUP, NOW, timedelta(0)))
    await store.write(lambda c: daemons.register(c, "d1", None, alone=False))
    assert await store.write(lambda c: restored.begin_again(c, NOW)) is None  # where others are alive, nothing ended
    await store.close()


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
    numbers = [module._LOCK for module in (answers, migrate, restored)]
    assert len(set(numbers)) == len(numbers)
    defined = [path.name for path in Path(restored.__file__).parent.glob("*.py") if "\n_LOCK = " in path.read_text()]
    assert len(defined) == len(numbers)
