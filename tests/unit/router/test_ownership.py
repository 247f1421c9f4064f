"""A polled mailbox belongs to one daemon at a time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from router.errors import SourceUnavailable
from router.ownership import OwnedSource, Ownership
from router.store import cursors, daemons, leases
from router.store.engine import open_store
from router.testing import FakeClock, RecordingIntake, until, within
from tests.contract.store_helpers import inbound


class Asking(Ownership):
    """A claim that counts how often it was refused."""

    refused = 0

    async def take(self):
        taken = await super().take()
        self.refused += not taken
        return taken


class Daemon:
    """What a daemon has of a mailbox: a claim, and whether its leases may be used."""

    def __init__(self, store, name):
        self.store, self.name, self.usable = store, name, True
        self.ownership = Asking(store, "mail", name, lambda: self.usable)

    @classmethod
    async def start(cls, store, name):
        """Return a daemon that has just registered."""
        await store.write(lambda c: daemons.register(c, name, _now(store), alone=False))
        return cls(store, name)

    async def die(self):
        """End its life, as the clock does when no heartbeat comes."""
        await self.store.write(lambda c: daemons.leave(c, self.name))


class Mailbox:
    """A source that says when it runs, and ends when it is told what to raise."""

    def __init__(self):
        self.running = 0
        self.accept = None
        self.end = asyncio.get_running_loop().create_future()

    async def run(self, accept):
        """Read until cancelled."""
        self.accept = accept
        self.running += 1
        try:
            await asyncio.shield(self.end)
        finally:
            self.running -= 1


def _now(store):
    return store.clock.now() if store.dialect == "sqlite" else None


@pytest.fixture
def clock():
    """On SQLite, time stands still; PostgreSQL has its own."""
    return FakeClock()


@asynccontextmanager
async def running(daemon, mailbox, log, accept=None):
    """Run a mailbox under a daemon's claim."""
    source = OwnedSource("mail", mailbox, daemon.ownership, log, turn_s=0.01, confirm_s=0.01)
    task = asyncio.create_task(source.run(accept or RecordingIntake().accept))
    try:
        yield task
    finally:
        task.cancel()
        await within(asyncio.wait([task]))


async def test_one_of_two_daemons_has_the_mailbox(store):
    """Whoever asks second waits, as often as it asks; the owner keeps it."""
    one, other = await Daemon.start(store, "d1"), await Daemon.start(store, "d2")

    assert [await one.ownership.take(), await other.ownership.take(), await other.ownership.take()] == [
        True,
        False,
        False,
    ]
    assert await one.ownership.confirm()


async def test_two_daemons_asked_at_the_same_moment(postgres_url):
    """Only one of them gets it."""
    stores = [open_store(postgres_url), open_store(postgres_url)]
    for store in stores:
        await store.open()
    claims = [await Daemon.start(store, f"d{n}") for n, store in enumerate(stores)]
    for channel in range(20):
        for claim in claims:
            claim.ownership = Ownership(claim.store, f"mail-{channel}", claim.name, lambda: True)
        taken = await asyncio.gather(*(claim.ownership.take() for claim in claims))
        assert sum(taken) == 1
    for store in stores:
        await store.close()


async def test_a_dead_daemons_mailbox_is_free(store):
    """The lease ends with the owner's life, and the next owner can be told from it."""
    one, other = await Daemon.start(store, "d1"), await Daemon.start(store, "d2")
    assert await one.ownership.take()
    await one.die()

    assert await other.ownership.take()
    assert not await one.ownership.confirm()


async def test_who_was_taken_for_dead_takes_nothing(store):
    """A daemon whose own life has ended in the store gets no mailbox: another could take it at once."""
    daemon = await Daemon.start(store, "d1")
    await daemon.die()

    assert not await daemon.ownership.take()


async def test_what_is_given_back_is_free_at_once(store):
    """A graceful stop, or a source that failed here, keeps nobody waiting."""
    one, other = await Daemon.start(store, "d1"), await Daemon.start(store, "d2")
    await one.ownership.take()
    await one.ownership.give_back()

    assert not one.ownership.held
    assert await other.ownership.take()


async def test_giving_back_late_took_the_mailbox_from_its_next_owner(store):
    """Who has lost the mailbox has nothing to give back."""
    one, other = await Daemon.start(store, "d1"), await Daemon.start(store, "d2")
    await one.ownership.take()
    await one.die()
    await other.ownership.take()

    await one.ownership.give_back()

    assert await other.ownership.confirm()


async def test_a_frozen_daemon_set_the_cursor_back(store):
    """Whoever wakes up after another has taken over can't move the cursor, and hears why."""
    one, other = await Daemon.start(store, "d1"), await Daemon.start(store, "d2")
    await one.ownership.take()
    await one.ownership.cursor("uid").set({"last": 5})
    await one.die()
    await other.ownership.take()
    await other.ownership.cursor("uid").set({"last": 9})

    with pytest.raises(SourceUnavailable, match="another daemon"):
        await one.ownership.cursor("uid").set({"last": 6})

    assert await one.ownership.cursor("uid").get() == {"last": 9}
    assert await store.read(lambda c: cursors.get(c, "mail", "uid")) == {"last": 9}


async def test_an_earlier_run_of_the_same_daemon_set_the_cursor_back(store):
    """Each time a mailbox is taken counts anew: what began before is over, in the same daemon too."""
    daemon = await Daemon.start(store, "d1")
    before = daemon.ownership
    await before.take()
    daemon.ownership = Ownership(store, "mail", "d1", lambda: True)
    assert await daemon.ownership.take()

    with pytest.raises(SourceUnavailable):
        await before.cursor("uid").set({"last": 1})


async def test_a_mailbox_is_read_when_its_turn_comes(store, log):
    """The second daemon's source doesn't run while the first one lives, and runs when it is gone."""
    one, other = await Daemon.start(store, "d1"), await Daemon.start(store, "d2")
    mine, theirs = Mailbox(), Mailbox()
    async with running(one, mine, log) as first:
        await until(lambda: mine.running)
        async with running(other, theirs, log):
            await until(lambda: other.ownership.refused > 1)
            assert await store.read(lambda c: leases.reader(c, "mail", _now(store))) == "d1"
            assert not theirs.running
            first.cancel()
            await until(lambda: theirs.running)
            assert not mine.running


async def test_a_daemon_that_lost_its_mailbox_stops_reading(store, log):
    """When the store says that another has it, the source is cancelled, and waits for its next turn."""
    one, other = await Daemon.start(store, "d1"), await Daemon.start(store, "d2")
    mailbox = Mailbox()
    async with running(one, mailbox, log):
        await until(lambda: mailbox.running)
        await one.die()
        assert await other.ownership.take()
        await until(lambda: not mailbox.running)
        await one.start(store, "d1")
        await other.ownership.give_back()
        await until(lambda: mailbox.running)


async def test_nothing_is_accepted_after_the_heartbeat_failed(store, log):
    """At the very moment at which others may take the mailbox, what is read is left where it is."""
    daemon, intake, mailbox = await Daemon.start(store, "d1"), RecordingIntake(), Mailbox()
    async with running(daemon, mailbox, log, intake.accept):
        await until(lambda: mailbox.running)
        await mailbox.accept(inbound("k1"))
        daemon.usable = False
        with pytest.raises(SourceUnavailable):
            await mailbox.accept(inbound("k2"))
        await until(lambda: not mailbox.running)
    assert list(intake.taken) == ["k1"]


async def test_what_a_source_ends_with_is_told(store, log):
    """A failure comes out as it is, and the mailbox is free for a daemon that may do better."""
    one, other, mailbox = await Daemon.start(store, "d1"), await Daemon.start(store, "d2"), Mailbox()
    async with running(one, mailbox, log) as task:
        await until(lambda: mailbox.running)
        mailbox.end.set_exception(SourceUnavailable("no way in"))
        await within(asyncio.wait([task]))
        assert str(task.exception()) == "no way in"
    assert await other.ownership.take()
