"""A backlog doesn't delay an alarm: what waits is looked through, and what is urgent is decided before the rest."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from random import Random

import pytest

from config.load import load
from router.assemble import assemble
from router.errors import StoreBusy
from router.records import Inbound, Medium
from router.routing import lookout
from router.routing.lookout import FEWEST, Lookout
from router.routing.stage import BATCH
from router.routing.urgent import Urgent
from router.store import decisions, messages
from router.understand import ParserFailed
from tests.unit.router.commandline import write_district
from tests.unit.router.district import ByFirstWord, District, plain_text

ALARM = "buses: he never came home"


class Ahead(District):
    """A district with a lookout, whose worker is the test; `woken` counts how often it was woken."""

    def __init__(self, store, log, rng, **more):
        self.woken = 0
        self.looked = []
        self.urgent = Urgent()
        self.lookout = Lookout(store, self.look, self.urgent, wake=self.wake, log=log)
        super().__init__(store, log, rng, steps=(self.urgent, ByFirstWord()), lookout=self.lookout, **more)

    async def look(self, original, facts, medium):
        """Understand, and note that it was looked at."""
        self.looked.append(original.decode())
        return await plain_text(original, facts, medium)

    def wake(self):
        """Count."""
        self.woken += 1

    async def accept(self, text="buses are late", key=None, **facts):
        """Accept, as the intake does."""
        message_id = await super().accept(text, key, **facts)
        self.lookout.note(message_id)
        return message_id

    async def undecided(self):
        """Return how many messages wait."""
        return len(await self.store.read(messages.waiting))


@pytest.fixture
async def district(sqlite_store, log, rng):
    """A living daemon's stages."""
    made = Ahead(sqlite_store, log, rng)
    await made.register()
    return made


async def fill(district, count, name="buses"):
    """Let messages wait that are no alarms."""
    return [await district.accept(f"{name} {n}") for n in range(count)]


async def until_found(district):
    """Decide a batch, look through a page, in turns, until something is found; return how many pages it took."""
    for pages in range(100):
        await district.stage.run_once()
        await district.lookout.run_once()
        if district.lookout.found:
            return pages + 1
    raise AssertionError("nothing was found")


async def test_an_alarm_in_a_backlog_comes_before_the_rest(district):
    """It waits behind 400 messages, with 100 behind it: it is decided fourth batch, with 300 still waiting."""
    await fill(district, 400)
    alarm = await district.accept(ALARM)
    await fill(district, 100, "meals")
    assert await until_found(district) == 3  # pages of 32, from the newest, of which some were decided meanwhile
    before = await district.undecided()
    assert await district.stage.run_once() == 1
    [decided] = [await district.store.read(partial(messages.state_of, message_id=alarm))]
    assert decided == "routed"
    assert before > 300
    assert await district.undecided() == before - 1


async def test_an_alarm_that_comes_into_a_backlog_is_looked_at_next(district):
    """What comes in later is looked at before what waited already."""
    await fill(district, 300)
    await district.stage.run_once()
    await district.lookout.run_once()
    await district.accept(ALARM)
    await district.lookout.run_once()
    assert await district.stage.run_once() == 1
    assert district.lookout.take(1) == []


async def test_everything_is_decided_once_whatever_the_order(district):
    """Looking changes nothing but the order."""
    ids = await fill(district, 200) + [await district.accept(f"{ALARM} {n}") for n in range(40)]
    total = 0
    while did := await district.stage.run_once():
        total += did
        await district.lookout.run_once()
    assert total == len(ids)
    assert await district.undecided() == 0
    for message_id in ids:
        assert len(await district.deliveries(message_id)) >= 1


async def test_what_was_looked_at_is_neither_read_nor_judged_again(district):
    """The deciders go by what was found while a message waited: in all, each is read once and judged once."""
    read = []

    async def understand(original, facts, medium):
        read.append(original)
        return await plain_text(original, facts, medium)

    district.understand = understand
    ids = await fill(district, 300)
    await district.stage.run_once()
    while await district.lookout.run_once():
        pass
    assert len(district.looked) == 300 - BATCH
    judge, again = district.urgent._look, []
    district.urgent._look = lambda model, pair: again.append(pair) or judge(model, pair)
    await district.decide()
    assert len(read) == BATCH
    assert again == []
    for message_id in ids:
        assert len(await district.deliveries(message_id)) == 1
    assert not district.lookout._seen
    assert district.lookout._kept == 0


async def test_what_was_found_takes_only_so_much_memory(district, monkeypatch):
    """What doesn't fit is read again when its turn comes; what comes next is what is kept."""
    monkeypatch.setattr(lookout, "MOST_KEPT", 100 * 2_010)
    ids = await fill(district, 300)
    await district.stage.run_once()
    while await district.lookout.run_once():
        pass
    assert 90 <= len(district.lookout._seen) <= 100
    assert ids[BATCH] in district.lookout._seen
    assert await district.decide() == 300 - BATCH


async def test_a_content_is_that_of_the_lookout_with_its_language_and_reason(district):
    """What was found of an alarm goes into its decision as it is."""
    await fill(district, 300)
    alarm = await district.accept(ALARM)
    await fill(district, BATCH, "meals")
    await until_found(district)
    seen = district.lookout._seen[alarm]
    await district.stage.run_once()
    decided = await district.store.read(lambda c: decisions.in_force(c, alarm))
    assert decided.urgent == seen.look.reason != ""
    stored = await district.store.read(lambda c: messages.get(c, alarm))
    assert stored.content == seen.content


async def test_nobody_looks_while_the_deciders_keep_up(district):
    """A batch that isn't full, and a backlog that is decided in a moment, cost no look."""
    await fill(district, BATCH - 1)
    await district.stage.run_once()
    assert (district.woken, await district.lookout.run_once()) == (0, 0)
    await fill(district, FEWEST)
    await district.stage.run_once()
    assert (district.woken, await district.lookout.run_once()) == (1, 0)
    assert district.looked == []


async def test_looking_ends_with_the_backlog(district):
    """When a batch isn't full any more, what is left unseen is forgotten."""
    await fill(district, 2 * FEWEST)
    await district.stage.run_once()
    assert await district.lookout.run_once() > 0
    await district.decide()
    assert await district.lookout.run_once() == 0


async def test_a_batch_that_is_full_of_octets_tells_of_a_backlog_as_well(district):
    """Of large mails few are taken at once: that isn't the end of what waits."""
    for number in range(20):
        await district.accept(f"buses {number}" + " x" * 1_000_000)
    await fill(district, FEWEST, "meals")
    assert await district.stage.run_once() < BATCH
    assert district.woken == 1


async def test_a_large_message_waits_its_turn(district):
    """To read one costs as much as a hundred others."""
    await fill(district, 300)
    await district.accept(ALARM + " x" * 200_000)
    await district.stage.run_once()
    await district.lookout.run_once()
    assert district.lookout.take(1) == []


async def test_an_alarm_in_a_batch_that_failed_comes_first_again(district):
    """A store that was busy doesn't send it back to the end."""
    await fill(district, 300)
    alarm = await district.accept(ALARM)
    await fill(district, BATCH, "meals")
    await until_found(district)

    decide = district.stage.router.decide

    async def fail(_batch):
        raise RuntimeError("boom")

    district.stage.router.decide = fail
    with pytest.raises(RuntimeError):
        await district.stage.run_once()
    district.stage.router.decide = decide
    assert await district.stage.run_once() == 1
    assert await district.store.read(partial(messages.state_of, message_id=alarm)) == "routed"


async def test_an_alarm_whose_lease_failed_comes_first_again(district):
    """A store that was busy when it was to be leased doesn't send it back to the end, either."""
    await fill(district, 300)
    alarm = await district.accept(ALARM)
    await fill(district, BATCH, "meals")
    await until_found(district)
    write = district.store.write

    async def busy(_work):
        raise StoreBusy("not now")

    district.store.write = busy
    with pytest.raises(StoreBusy):
        await district.stage.run_once()
    district.store.write = write
    assert await district.stage.run_once() == 1
    assert await district.store.read(partial(messages.state_of, message_id=alarm)) == "routed"


async def test_a_page_that_failed_is_looked_at_again_after_the_others(district):
    """What can't be read just now neither hides an alarm beside it for good nor keeps the other pages waiting."""
    alarm = await district.accept(ALARM)
    await fill(district, 300)
    later = await district.accept(f"{ALARM} either")
    good, district.failing = district.look, True

    async def look(original, facts, medium):
        if district.failing:
            raise ParserFailed("no child")
        return await good(original, facts, medium)

    district.lookout._understand = look
    district.lookout.tell(behind=True)
    with pytest.raises(ParserFailed):
        await district.lookout.run_once()
    district.failing = False
    while await district.lookout.run_once():
        pass
    assert list(district.lookout.found) == [alarm, later]


async def test_only_so_many_are_remembered(district, monkeypatch):
    """Of a backlog that is longer, and that grows faster than it is looked through, the newest."""
    monkeypatch.setattr(lookout, "MOST", FEWEST)
    await district.accept(ALARM)
    await fill(district, FEWEST)
    district.lookout.tell(behind=True)
    await district.lookout.run_once()
    await fill(district, FEWEST, "meals")
    while await district.lookout.run_once():
        pass
    assert not district.lookout.found
    assert len(district.looked) <= FEWEST + BATCH


async def test_a_daemon_looks_ahead(tmp_path, sqlite_store, log):
    """Its intake notes what comes in, its deciders say when they are behind, and what is found comes first."""
    parts = await assemble(load(write_district(tmp_path), env={}), sqlite_store, Random(0), log)
    try:
        await parts.heartbeat.register()
        assert "lookout" in [worker.name for worker in parts.workers]
        for number in range(2 * FEWEST):
            await parts.intake.accept(mail(f"when is picture day {number}?"))
        await parts.stage.run_once()
        await parts.lookout.run_once()
        receipt = await parts.intake.accept(mail("my son never came home"))
        await parts.lookout.run_once()
        assert list(parts.lookout.found) == [receipt.message_id]
        assert await parts.stage.run_once() == 1
        assert await sqlite_store.read(partial(messages.state_of, message_id=receipt.message_id)) == "routed"
    finally:
        await parts.parsers.aclose()


def mail(text):
    """Return a mail that came in."""
    original = f"From: ana@home.example\r\nSubject: hello\r\n\r\n{text}\r\n".encode()
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return Inbound(source_key=text, channel="mail", medium=Medium.EMAIL, received_at=at, original=original)
