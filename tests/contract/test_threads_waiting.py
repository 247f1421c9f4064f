"""What continues a message that waits for its decision comes after it and goes where it goes, on both stores."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from router.records import Content, Inbound, Medium, Reason
from router.routing import earlier
from router.routing.earlier import Earlier, PutOff
from router.routing.stage import BATCH, MOST_LOST_LEASES
from router.routing.threads import Threads
from router.routing.urgent import Urgent
from router.store import arrivals, daemons, decisions, messages, threads
from router.store.tables import messages as rows
from tests.contract.store_helpers import arrival
from tests.unit.router.district import RING, ByFirstWord, District

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
WINDOW = timedelta(minutes=30)
ANA, BEN, PHONE = "ana@home.example", "ben@home.example", "+15555550111"
ALARM = "meals he never came home"


async def plainly(original, facts, _medium):
    """Understand an original that is nothing but text; the facts say the rest."""
    known = {name: facts.get(name, "") for name in ("sender", "external_id", "in_reply_to")}
    return Content(text=original.decode(), references=tuple(facts.get("references", ())), language="en", **known)


class Line(District):
    """A line of messages that wait, and a daemon that decides them."""

    def __init__(self, store, log, rng, *, earlier=True):
        steps = (Urgent(), Threads(store, RING, "d.example", WINDOW), ByFirstWord())
        finder = Earlier(store, WINDOW) if earlier else None
        super().__init__(store, log, rng, steps=steps, understand=plainly, earlier=finder)
        self.length = 0

    async def accept(self, said="meals are good", *, medium=Medium.EMAIL, after_s=1.0, channel="", **facts):
        """Accept a message that comes a second after the one before; return its id."""
        self.length += 1
        self.at = getattr(self, "at", NOW) + timedelta(seconds=after_s)
        item = Inbound(
            source_key=f"k{self.length}",
            channel=channel or medium.value,
            medium=medium,
            received_at=self.at,
            original=said.encode(),
            facts={"sender": f"{self.length}@other.example"} | facts,
        )
        new = arrival(item, facts.get("external_id", "") if medium is Medium.EMAIL else "")
        return (await self.store.write_together(arrivals.accept, new)).message_id

    async def fill(self, count, **more):
        """Let others come."""
        return [await self.accept(**more) for _ in range(count)]

    async def went(self, message_id):
        """Return where a message went and why, None if it waits."""
        found = await self.store.read(lambda c: decisions.in_force(c, message_id))
        return found and (found.department, found.reason)

    async def lease(self, message_id, owner="d2"):
        """Let another daemon take up a message; return what it got."""
        return await self.store.write(lambda c: messages.lease_these(c, owner, [message_id]))

    async def free(self, message_id, owner="d2"):
        """Let that daemon give it back."""
        await self.store.write(lambda c: messages.give_back(c, owner, [message_id]))


@pytest.fixture
async def line(store, log, rng, monkeypatch):
    """An empty line, in which nobody pauses, and in which no time passes but by hand."""
    monkeypatch.setattr(earlier, "_PAUSE_S", 0.0)
    made = Line(store, log, rng)
    made.now = 0.0
    made.stage._put_off = PutOff(lambda: made.now)
    await made.register()
    return made


def mail(number, after=0, sender=ANA):
    """Return the facts of the nth mail of a thread, which answers an earlier one."""
    facts = {"sender": sender, "external_id": f"<{number}@home.example>"}
    return facts | ({"in_reply_to": f"<{after}@home.example>"} if after else {})


HEADS = {
    "mail": (Medium.EMAIL, mail(1)),
    "text": (Medium.SMS, {"sender": PHONE}),
    "form": (Medium.WEB_FORM, {"sender": ANA}),
}


def later(kind, head):
    """Return the medium and the facts of what continues a head, in another channel where that is possible."""
    if kind == "mail":
        return Medium.EMAIL, mail(2, 1)
    if kind == "text":
        return Medium.SMS, {"sender": PHONE}
    return Medium.EMAIL, {"sender": ANA, "references": [head]}


@pytest.mark.parametrize("kind", list(HEADS))
async def test_the_newest_went_before_what_it_continues(line, kind):
    """Of a backlog the newest are decided early: with what they continue, and before that where it goes."""
    medium, facts = HEADS[kind]
    await line.fill(2 * BATCH, medium=medium)
    head = await line.accept("buses are late", medium=medium, **facts)
    await line.fill(2 * BATCH, medium=medium, after_s=0.1)
    medium, facts = later(kind, head)
    reply = await line.accept("meals too", medium=medium, **facts)

    without = await line.store.write(lambda c: messages.lease_undecided(c, "d1", BATCH))
    taken = [each.id for each in without]
    await line.store.write(lambda c: messages.give_back(c, "d1", taken))
    assert (reply in taken, head in taken) == (True, False)

    assert await line.stage.run_once() == len(taken) + 1
    assert await line.went(head) == ("buses", Reason.MODEL)
    assert await line.went(reply) == ("buses", Reason.THREAD)


async def test_without_a_look_for_it_the_thread_was_broken(store, log, rng):
    """What the tests here are about: the reply is decided by its own words, and its thread goes elsewhere."""
    line = Line(store, log, rng, earlier=False)
    await line.fill(2 * BATCH)
    head = await line.accept("buses are late", **mail(1))
    await line.fill(2 * BATCH)
    reply = await line.accept("meals too", **mail(2, 1))
    await line.decide()
    assert (await line.went(head), await line.went(reply)) == (("buses", Reason.MODEL), ("meals", Reason.MODEL))


async def test_a_reply_in_its_heads_own_batch_follows_it(line):
    """Both are in one batch anyway: nothing is decided yet that the store could tell."""
    head = await line.accept("buses are late", **mail(1))
    reply = await line.accept("meals too", **mail(2, 1))
    stranger = await line.accept("meals I guess", **mail(3, 1, sender=BEN))
    assert await line.stage.run_once() == 3
    assert await line.went(head) == ("buses", Reason.MODEL)
    assert await line.went(reply) == ("buses", Reason.THREAD)
    assert await line.went(stranger) == ("meals", Reason.MODEL)


@pytest.mark.parametrize("medium", [Medium.EMAIL, Medium.SMS])
async def test_a_thread_is_followed_link_by_link(line, medium):
    """Each names only the one before it; all are taken along, and each follows."""
    await line.fill(BATCH)
    ids = []
    for number in range(1, 7):
        facts = mail(number, number - 1) if medium is Medium.EMAIL else {"sender": PHONE}
        ids.append(await line.accept("buses" if number == 1 else "meals", medium=medium, channel="c", **facts))
        await line.fill(BATCH, medium=medium, channel="c", after_s=0.1)
    newest = mail(7, 6) if medium is Medium.EMAIL else {"sender": PHONE}
    ids.append(await line.accept("meals", medium=medium, channel="c", **newest))
    await line.stage.run_once()
    assert [(await line.went(each))[0] for each in ids] == ["buses"] * 7


async def test_a_text_about_another_thing_or_much_later_takes_nothing_along(line):
    """It follows nothing, so nothing has to be decided before it."""
    await line.fill(2 * BATCH, medium=Medium.SMS)
    head = await line.accept("buses are late", medium=Medium.SMS, sender=PHONE)
    await line.fill(2 * BATCH, medium=Medium.SMS, after_s=0.1)
    other = await line.accept("meals another question", medium=Medium.SMS, sender=PHONE)
    late = await line.accept("meals", medium=Medium.SMS, sender=PHONE, after_s=WINDOW.total_seconds() + 60)
    await line.stage.run_once()
    assert await line.went(head) is None
    assert await line.went(other) == ("meals", Reason.MODEL)
    assert await line.went(late) == ("meals", Reason.MODEL)


async def test_what_another_daemon_has_is_waited_for(line):
    """Two batches side by side: the reply is given back while the others are decided, and follows later."""
    head = await line.accept("buses are late", **mail(1))
    [held] = await line.lease(head)
    other = await line.accept("meals are good")
    reply = await line.accept("meals too", **mail(2, 1))
    third = await line.accept("meals please", **mail(3, 2))

    assert await line.stage.run_once() == 3
    assert await line.went(other) == ("meals", Reason.MODEL)
    assert [await line.went(each) for each in (head, reply, third)] == [None] * 3
    assert await line.stage.run_once() == 2  # looked at again, and put off again
    assert await line.store.read(messages.waiting) == [reply, third]

    await line.free(held.id)
    assert await line.stage.run_once() == 3
    assert [(await line.went(each))[0] for each in (head, reply, third)] == ["buses"] * 3


async def test_what_is_put_off_leaves_its_place_to_others(line, monkeypatch):
    """It isn't taken up again at once, in the place of others, nor are the others held up."""
    monkeypatch.setattr(earlier, "_PAUSE_S", 5.0)
    await line.lease(await line.accept("buses are late", **mail(1)))
    reply = await line.accept("meals too", **mail(2, 1))
    await line.fill(3)
    assert await line.stage.run_once() == 4
    await line.fill(2)
    assert await line.stage.run_once() == 2
    line.now = 5.0
    await line.accept()
    assert await line.stage.run_once() == 2
    assert await line.went(reply) is None


async def test_nobody_waits_for_ever(line):
    """When whoever has the head doesn't decide it, the reply is decided by itself in the end."""
    await line.lease(await line.accept("buses are late", **mail(1)))
    reply = await line.accept("meals too", **mail(2, 1))
    await line.stage.run_once()
    line.now = earlier.PATIENCE_S - 1
    await line.stage.run_once()
    assert await line.went(reply) is None
    line.now = earlier.PATIENCE_S
    await line.stage.run_once()
    assert await line.went(reply) == ("meals", Reason.MODEL)


async def test_an_alarm_waits_for_nothing(line):
    """It is decided at once, whoever has the head of its thread."""
    await line.lease(await line.accept("buses are late", **mail(1)))
    alarm = await line.accept(ALARM, **mail(2, 1))
    assert await line.stage.run_once() == 1
    assert (await line.went(alarm))[0] == "meals"


async def test_an_alarm_that_comes_first_takes_nothing_along(line):
    """What the lookout found is decided alone: to read the head would take time."""
    head = await line.accept("buses are late", **mail(1))
    alarm = await line.accept(ALARM, **mail(2, 1))

    class Found:
        def take(self, _most):
            return [alarm]

        def recall(self, _message_id):
            return None

        def tell(self, *, behind):
            pass

    line.stage._lookout = Found()
    assert await line.stage.run_once() == 1
    assert (await line.went(alarm), await line.went(head)) == (("meals", Reason.MODEL), None)


async def test_what_a_process_died_over_is_neither_taken_along_nor_takes_others(line):
    """It comes alone; what continues it waits until it has been decided."""
    head = await line.accept("buses are late", **mail(1))
    reply = await line.accept("meals too", **mail(2, 1))
    lost = {"lost_leases": MOST_LOST_LEASES - 1}
    await line.store.write(lambda c: c.execute(update(rows).where(rows.c.id == head).values(**lost)))
    line.stage._suspects_from = float("inf")
    assert await line.stage.run_once() == 1
    assert (await line.went(head), await line.went(reply)) == (None, None)
    line.stage._suspects_from = 0.0
    assert await line.stage.run_once() == 1
    assert await line.stage.run_once() == 1
    assert (await line.went(reply))[0] == "buses"


async def test_a_thread_of_thousands_stops_nobody(line):
    """A batch grows by so many at most, and a share of it is everybody else's."""
    await line.accept("buses", **mail(1))
    for number in range(2, 600):
        references = [f"<{n}@home.example>" for n in range(max(1, number - 60), number)]
        await line.accept("meals", **mail(number, number - 1), references=references, after_s=0.01)
    forms = await line.fill(200, medium=Medium.WEB_FORM)
    sizes = [await line.stage.run_once() for _ in range(6)]
    assert max(sizes) <= BATCH + earlier.MOST
    decided = [each for each in forms if await line.went(each)]
    assert len(decided) >= 6 * (BATCH // 2)
    await line.decide()
    assert await line.store.read(messages.waiting) == []


async def test_two_daemons_on_one_backlog_break_no_thread(store, log, monkeypatch):
    """Batches side by side, threads all over them: each reply goes where its thread began, and all are decided once."""
    monkeypatch.setattr(earlier, "_PAUSE_S", 0.0)
    rng = Random(7)
    line = Line(store, log, rng)
    heads, replies = {}, {}
    for number in range(1, 61):
        heads[number] = await line.accept(rng.choice(["buses", "meals"]), **mail(number))
        await line.fill(rng.randrange(4))
        for turn in range(rng.randrange(3)):
            about = rng.choice(list(heads))
            name = 1000 * number + turn
            replies[await line.accept("office", **mail(name, about))] = heads[about]
    stages = []
    for name in ("d1", "d2"):
        other = Line(store, log, rng)
        other.stage._daemon_id = name
        await store.write(lambda c, name=name: daemons.register(c, name, NOW, alone=False))
        stages.append(other.stage)

    async def work(stage):
        while await store.read(messages.waiting) or await stage.run_once():
            await stage.run_once()

    async with asyncio.timeout(120):
        await asyncio.gather(*(work(stage) for stage in stages for _ in range(2)))
    went = {each: await line.went(each) for each in (*heads.values(), *replies)}
    assert {reply: went[reply] for reply in replies} == {
        reply: (went[head][0], Reason.THREAD) for reply, head in replies.items()
    }
    undecided = select(rows.c.id).where(rows.c.state != "routed")
    assert await store.read(lambda c: c.execute(undecided).all()) == []


async def test_what_waits_is_found_by_indexes(store):
    """However much waits, to look for what a batch continues reads a few rows."""

    def fill(connection):
        plain = {"channel": "c", "facts": {}, "state": "undecided", "sha256": "0" * 64, "medium": "email"}
        each = [
            plain
            | {"id": f"{n:012}", "source_key": str(n), "mail_id": f"<{n}@x>", "sender": str(n), "received_at": NOW}
            for n in range(3000)
        ]
        connection.execute(insert(rows), each)
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE messages"))

    await store.write(fill)
    dialect, explain = (
        (sqlite.dialect(), "EXPLAIN QUERY PLAN ") if store.dialect == "sqlite" else (postgresql.dialect(), "EXPLAIN ")
    )

    async def plan(statement, **values):
        compiled = statement.params(**values).compile(dialect=dialect, compile_kwargs={"literal_binds": True})
        return "\n".join(
            " ".join(map(str, row))
            for row in await store.read(lambda c: c.exec_driver_sql(explain + str(compiled)).all())
        )

    assert "ix_messages_undecided_mail" in await plan(threads.UNDECIDED_BY_MAIL_ID, these=["<7@x>", "<8@x>"])
    assert "ix_messages_undecided_from" in await plan(threads.UNDECIDED_TEXTS, ids=["000000000007"])
    assert "Seq Scan" not in await plan(threads.UNDECIDED_BY_ID, these=["000000000007"])
