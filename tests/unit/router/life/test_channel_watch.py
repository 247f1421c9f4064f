"""Channels that fall silent, that nothing comes in by, or that run out of something are told: once, and when well."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from router.alerts import Alerts
from router.life.channel_watch import ChannelWatch
from router.life.lives import Lives, Watched
from router.life.proof import Side
from router.records import DeliveryKind, Destination, Notice
from router.store import deliveries
from router.store.engine import open_store
from router.testing import FakeClock
from tests.contract.store_helpers import accept, inbound
from tests.unit.router.district import ALERTS

IN = ("mail", Side.IN)
POLLED = Watched(polls=timedelta(minutes=4))
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
async def clocked(store_url):
    """A store whose time stands still."""
    opened = open_store(store_url, FakeClock(datetime(2026, 3, 2, 12, 0, tzinfo=UTC)))
    await opened.open()
    yield opened
    await opened.close()


async def subjects(store):
    """Return the subjects of the alerts in the outbox, the oldest first."""
    waiting = await store.read(lambda c: deliveries.in_states(c, ["waiting"], 100))
    return [d.notice.subject for d in reversed(waiting) if d.kind is DeliveryKind.ALERT]


class Runs:
    """Something of a channel that runs out."""

    def __init__(self, at):
        self.at = at

    def expiries(self):
        """Return when."""
        return [("the certificate", self.at)]


async def watching(store, watched, alerts=ALERTS):
    """Return the lives of a channel, and what looks at them."""
    lives = Lives(store)
    await lives.exchange()
    lives.follow({IN: watched})
    return lives, ChannelWatch(store, alerts, lives)


async def looks(store, watch, minutes, every=1):
    """Look once a minute, for so long."""
    for _ in range(0, minutes, every):
        store.clock.advance(every * MINUTE)
        await watch.look()


async def test_a_half_open_connection_was_never_told(clocked):
    """Ten minutes without a proven poll are told once; and once more when it works again for a while."""
    lives, watch = await watching(clocked, POLLED)
    lives.proven(IN)
    await looks(clocked, watch, 10)
    early = await subjects(clocked)
    await looks(clocked, watch, 300, 10)
    silent = await subjects(clocked)
    lives.proven(IN)
    await looks(clocked, watch, 6)

    assert early == []
    assert silent == ["The channel mail is silent"]
    assert await subjects(clocked) == [*silent, "The channel mail takes messages in again"]


async def test_a_secret_that_was_changed_on_one_side(clocked):
    """Requests that are refused one after the other, with none taken between them, are told, once a day at most."""
    lives, watch = await watching(clocked, Watched())
    lives.proven(IN)
    for _ in range(2):
        clocked.clock.advance(60)
        lives.turned_away(IN, "the signature is wrong")
    await watch.look()
    few = await subjects(clocked)
    for _ in range(50):
        clocked.clock.advance(60)
        lives.turned_away(IN, "the signature is wrong")
        await watch.look()

    assert few == []
    assert await subjects(clocked) == ["Requests to mail are refused"]


async def test_noise_between_good_requests_is_not_told(clocked):
    """A scanner that asks now and then, while messages come in, is nobody's business."""
    lives, watch = await watching(clocked, Watched())
    for _ in range(30):
        for _ in range(2):
            lives.turned_away(IN, "the signature is missing")
        await watch.look()
        clocked.clock.advance(60)
        lives.proven(IN)
    assert await subjects(clocked) == []


async def test_what_is_told_again_after_it_was_well(clocked):
    """The next time is a new alert."""
    lives, watch = await watching(clocked, POLLED)
    for _ in range(2):
        await looks(clocked, watch, 12)
        lives.proven(IN)
        await looks(clocked, watch, 6)

    assert len(await subjects(clocked)) == 4


async def test_a_daemon_that_has_just_started_tells_nothing(clocked):
    """It was off for a day: it has looked nowhere yet."""
    lives, _ = await watching(clocked, POLLED)
    lives.proven(IN)
    await lives.exchange()
    clocked.clock.advance(DAY)

    _, watch = await watching(clocked, POLLED)
    await watch.look()
    assert await subjects(clocked) == []
    await looks(clocked, watch, 3)
    assert await subjects(clocked) == ["The channel mail is silent"]


async def test_a_channel_that_is_down_was_also_told_as_silent(clocked):
    """One trouble, one alert, and one when it is over."""
    lives, watch = await watching(clocked, POLLED)
    now, notice = clocked.clock.now(), Notice(subject="The channel mail is down", text="x")
    await clocked.write(lambda c: [ALERTS.tell_once(c, "down:mail", notice, now) for _ in range(2)])
    lives.failed(IN, "away")
    await looks(clocked, watch, 20)
    assert await subjects(clocked) == ["The channel mail is down"]

    lives.proven(IN)
    await looks(clocked, watch, 6)
    assert (await subjects(clocked))[1:] == ["The channel mail takes messages in again"]


async def test_a_channel_that_comes_and_goes_is_told_once(clocked):
    """Three minutes up, one down, for an hour: no storm."""
    lives, watch = await watching(clocked, POLLED)
    now, notice = clocked.clock.now(), Notice(subject="down", text="x")
    for _ in range(15):
        lives.failed(IN, "away")
        await lives.exchange()
        await clocked.write(lambda c: ALERTS.tell_once(c, "down:mail", notice, now))
        await looks(clocked, watch, 1)
        lives.proven(IN)
        await looks(clocked, watch, 3)

    assert await subjects(clocked) == ["down"]


async def test_a_relay_that_delivers_again_is_told(clocked):
    """What was told as late is over when a delivery got through."""
    lives, watch = await watching(clocked, POLLED)
    out = ("relay", Side.OUT)
    lives.follow({out: Watched()})
    now, notice = clocked.clock.now(), Notice(subject="relay delivers nothing", text="x")
    await clocked.write(lambda c: ALERTS.tell_once(c, "late:relay", notice, now))
    lives.failed(out, "away")
    await looks(clocked, watch, 3)
    lives.proven(out)
    await looks(clocked, watch, 6)

    assert await subjects(clocked) == ["relay delivers nothing", "The channel relay delivers again"]


async def test_two_daemons_tell_once(clocked):
    """Whoever looks first tells; the other hears that it was told."""
    both = [await watching(clocked, POLLED) for _ in range(2)]
    clocked.clock.advance(11 * MINUTE)
    await asyncio.gather(*(watch.look() for _, watch in both))
    for lives, _ in both:
        lives.proven(IN)
        await lives.exchange()
    clocked.clock.advance(MINUTE)
    await asyncio.gather(*(watch.look() for _, watch in both))

    assert await subjects(clocked) == ["The channel mail is silent", "The channel mail takes messages in again"]


async def test_a_form_nobody_writes_by_is_no_trouble(clocked):
    """A channel that is only called may rest; a school has holidays."""
    _, watch = await watching(clocked, Watched())
    clocked.clock.advance(90 * DAY)
    await watch.look()

    assert await subjects(clocked) == []


async def test_nothing_comes_in_where_something_is_expected(clocked):
    """With `expect_every` a channel that stays empty is told once, and again when something comes."""
    lives, watch = await watching(clocked, Watched(expect_every=2 * DAY))
    await accept(clocked, inbound("k1", at=clocked.clock.now()))
    lives.proven(IN)  # a poll of an empty mailbox is no message
    clocked.clock.advance(2 * DAY)
    await watch.look()
    early = await subjects(clocked)
    await looks(clocked, watch, 30)
    quiet = await subjects(clocked)
    await accept(clocked, inbound("k2", b"another", at=clocked.clock.now()))
    await watch.look()

    assert (early, quiet) == ([], ["Nothing comes in by mail"])
    assert await subjects(clocked) == [*quiet, "Messages come in by mail again"]


async def test_what_never_came_counts_from_the_first_day(clocked):
    """A webhook that was never connected on the provider's side is told, too."""
    _, watch = await watching(clocked, Watched(expect_every=2 * DAY))
    clocked.clock.advance(3 * DAY)
    await watch.look()

    assert await subjects(clocked) == ["Nothing comes in by mail"]


async def test_what_runs_out_is_told_twice_and_when_it_is_renewed(clocked):
    """Fourteen and three days ahead, however often it is looked; then that it is good again."""
    runs = Runs(clocked.clock.now() + 20 * DAY)
    _, watch = await watching(clocked, Watched(part=runs))
    told = []
    for days in (5, 2, 0, 11, 0):
        clocked.clock.advance(days * DAY)
        await watch.look()
        told.append(len(await subjects(clocked)))
    runs.at += 365 * DAY
    await watch.look()
    await watch.look()

    assert told == [0, 1, 1, 2, 2]
    assert await subjects(clocked) == ["mail: the certificate expires on 2026-03-22"] * 2 + [
        "mail: the certificate is renewed"
    ]


async def test_a_district_that_named_nobody_is_told_nothing(clocked):
    """Without `operations.alerts` nothing is queued and nothing fails."""
    nobody = Alerts((), (Destination(via="relay", to="safety@district.example"),))
    _, watch = await watching(clocked, POLLED, nobody)
    await looks(clocked, watch, 15)

    assert await subjects(clocked) == []
