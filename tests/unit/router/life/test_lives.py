"""Proofs of life are collected, kept and shared."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
import structlog

from router.errors import Permanent, Retryable, SourceRejected, SourceUnavailable, Unclear
from router.interfaces import Channel, Settings
from router.life.care import Care, watched
from router.life.lives import Lives, Watched
from router.life.proof import Side
from router.ownership import OwnedSource
from router.settings import TakesIn
from router.store.engine import open_store
from router.testing import FakeClock
from router.testing_sinks import RecordingSink, sample_context

IN, OUT = ("mail", Side.IN), ("mail", Side.OUT)


@pytest.fixture
async def clocked(store_url):
    """A store whose time stands still."""
    opened = open_store(store_url, FakeClock())
    await opened.open()
    yield opened
    await opened.close()


async def lives_of(store, **settings):
    """Return the lives of one channel that takes in and delivers."""
    lives = Lives(store)
    await lives.exchange()
    lives.follow({IN: Watched(**settings), OUT: Watched()})
    return lives


def row(lives, direction="in"):
    return next(row for row in lives.report() if row["direction"] == direction)


async def test_a_report_names_the_age_of_the_last_proof_and_the_error_since(clocked):
    """What a person asks of a channel: does it work, since when not, and why."""
    lives = await lives_of(clocked)
    lives.proven(IN)
    clocked.clock.advance(90)
    lives.failed(IN, "the server is away\nfor ana@home.example")

    assert row(lives) == {
        "channel": "mail",
        "direction": "in",
        "health": "failing",
        "proven_at": "2026-09-01T12:00:00Z",
        "proven_ago_s": 90.0,
        "error": "the server is away for (address)",
        "refused": 0,
        "refused_at": None,
        "refused_ago_s": None,
        "refusal": "",
        "expires": [],
    }
    lives.proven(IN)
    assert (row(lives)["health"], row(lives)["error"]) == ("well", "")


async def test_one_direction_fails_while_the_other_works(clocked):
    """Texts that come in don't hide that none goes out."""
    lives = await lives_of(clocked)
    lives.failed(OUT, "401 refused")
    lives.proven(IN)

    assert [row(lives, side)["health"] for side in ("in", "out")] == ["well", "failing"]
    assert lives.degraded() == {"mail": "delivering fails: 401 refused"}


async def test_a_half_open_connection_is_degraded(clocked):
    """A channel that should look and proves nothing is named, though it reports no error."""
    lives = await lives_of(clocked, polls=timedelta(minutes=4))
    lives.proven(IN)
    clocked.clock.advance(timedelta(minutes=11))

    assert lives.degraded() == {"mail": "it hasn't proved since 2026-09-01T12:00:00Z that it looks for messages"}


async def test_another_daemon_knows_of_the_last_proof(clocked):
    """What one daemon has seen the others report, and whoever starts later."""
    one, other = await lives_of(clocked), await lives_of(clocked)
    one.proven(IN)
    clocked.clock.advance(10)
    one.failed(OUT, "away")
    await one.exchange()
    await other.exchange()
    later = await lives_of(clocked)

    for lives in (other, later):
        assert row(lives)["proven_ago_s"] == 10.0
        assert row(lives, "out")["error"] == "away"


async def test_an_old_failure_hid_a_newer_proof_of_another_daemon(clocked):
    """Who keeps what it knows later doesn't undo what is newer."""
    one, other = await lives_of(clocked), await lives_of(clocked)
    one.failed(IN, "away")
    clocked.clock.advance(5)
    other.proven(IN)
    await other.exchange()
    await one.exchange()

    assert [row(lives)["health"] for lives in (one, other, await lives_of(clocked))] == ["well"] * 3


@pytest.mark.parametrize(("listens", "health"), [(True, "failing"), (False, "well")])
async def test_another_daemons_listener_hid_that_ours_cannot_listen(clocked, listens, health):
    """Mail that comes in elsewhere doesn't prove our own port; a relay that answers another daemon answers us, too."""
    one, other = await lives_of(clocked, listens=listens), await lives_of(clocked, listens=listens)
    one.failed(IN, "can't listen: the address is in use")
    clocked.clock.advance(5)
    other.proven(IN)
    await other.exchange()
    await one.exchange()

    assert (row(one)["health"], row(other)["health"]) == (health, "well")


async def test_proofs_are_written_seldom(clocked):
    """A mailbox that is polled every second costs one write in half a minute."""
    lives = await lives_of(clocked)
    lives.proven(IN)
    kept = [await lives.keep()]
    lives.proven(IN)
    kept += [await lives.keep(), await lives.keep()]

    assert kept == [True, False, False]


async def test_a_channel_that_is_gone_is_reported_no_more(clocked):
    """After a reload without it; one that comes back remembers."""
    lives = await lives_of(clocked)
    lives.proven(IN)
    await lives.exchange()
    lives.follow({OUT: Watched()})
    assert [row["direction"] for row in lives.report()] == ["out"]

    lives.follow({IN: Watched()})
    assert row(lives)["proven_at"] is not None


# --- what is seen -----------------------------------------------------------------------------------------------------


@dataclass
class Reader:
    """A source that ends as it is told."""

    outcome: Exception | None = None
    token_expires_at: datetime | None = None
    runs_out: list = field(default_factory=list)

    async def run(self, _accept):
        """End."""
        if self.outcome:
            raise self.outcome

    def expiries(self):
        """Return what runs out."""
        return self.runs_out


def polled(reader, polls=timedelta(seconds=1)):
    """Return a channel type with this source."""
    return Channel(summary="a mailbox", settings=Settings, source=lambda *_: reader, polls=lambda _settings: polls)


def care_of(store, lives, log):
    """Return what builds channels."""
    return Care(store, lives, "d1", lambda: True, log)


async def run_once(source):
    """Run a source to its end."""
    try:
        async with asyncio.timeout(10):
            await source.run(None)
    except SourceUnavailable:
        pass


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (SourceUnavailable("no way in"), "no way in"),
        (SourceRejected("the password is wrong"), "the password is wrong"),
        (KeyError("ana@home.example"), "an unexpected KeyError"),
        (None, "it ended by itself"),
    ],
)
async def test_why_a_source_ended_is_noted(sqlite_store, log, outcome, said):
    """In its own words, if it meant to be read; of anything else only what it was."""
    lives = await lives_of(sqlite_store)
    source = care_of(sqlite_store, lives, log).source(polled(Reader(outcome)), Settings(), sample_context(name="mail"))

    result = (await asyncio.gather(source.run(None), return_exceptions=True))[0]

    assert result is outcome
    assert row(lives)["error"] == said


@pytest.mark.parametrize(
    ("failure", "health"),
    [
        (None, "well"),
        (Retryable("535 refused"), "failing"),
        (Retryable("mailbox full", host=False), "well"),
        (Permanent("no such user"), "well"),
        (Unclear("the line went dead"), "unproven"),
        (RuntimeError("unforeseen"), "failing"),
    ],
)
async def test_what_an_attempt_says_of_a_sink(sqlite_store, log, failure, health):
    """Who refuses one recipient is alive; a whole server that refuses is not."""
    lives = await lives_of(sqlite_store)
    channel = Channel(
        summary="a relay", settings=Settings, sink=lambda *_: RecordingSink(*([failure] if failure else []))
    )
    sink = care_of(sqlite_store, lives, log).sink(channel, Settings(), sample_context(name="mail"))

    await asyncio.gather(sink.send(None), return_exceptions=True)

    assert row(lives, "out")["health"] == health


async def test_a_channel_says_by_its_context_that_it_works_and_what_fails(sqlite_store, log):
    """`on_proof` and `on_trouble` count for the direction that the part is for."""
    lives = await lives_of(sqlite_store)
    contexts = []
    channel = Channel(summary="a hook", settings=Settings, webhook=lambda _settings, context: contexts.append(context))
    care_of(sqlite_store, lives, log).webhook(channel, Settings(), sample_context(name="mail"))

    contexts[0].on_trouble("a request wasn't signed by the provider")
    before = row(lives)["error"]
    contexts[0].on_proof()

    assert before == "a request wasn't signed by the provider"
    assert row(lives)["health"] == "well"


async def test_strangers_requests_are_counted_apart(sqlite_store):
    """However many come, the channel is no worse; they are told by number and reason, and logged now and then."""
    counted, logged = [], []
    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[lambda *event: logged.append(event) or ""])
    lives = await lives_of(sqlite_store)
    contexts = []
    channel = Channel(summary="a hook", settings=Settings, webhook=lambda _settings, context: contexts.append(context))
    care = Care(sqlite_store, lives, "d1", lambda: True, log, count_refusal=counted.append)
    care.webhook(channel, Settings(), sample_context(name="mail"))

    contexts[0].on_proof()
    for _ in range(5):
        contexts[0].on_refusal("the signature is missing")
    await lives.exchange()
    found = row(lives)
    contexts[0].on_proof()
    after = row(lives)

    assert (found["health"], found["error"]) == ("well", "")
    assert (found["refused"], found["refusal"]) == (5, "the signature is missing")
    assert counted == ["mail"] * 5
    assert [(name, event["event"]) for _, name, event in logged] == [("warning", "request_refused")]
    assert (after["refused"], after["refused_at"]) == (0, found["refused_at"])


async def test_only_a_polled_mailbox_of_a_shared_store_has_an_owner(store, log):
    """A listener runs in every daemon; on SQLite there is one daemon, and nothing to agree on."""
    care = care_of(store, await lives_of(store), log)
    context = sample_context(name="mail")

    owned = [
        isinstance(care.source(polled(Reader(), polls), Settings(), context), OwnedSource)
        for polls in (timedelta(seconds=1), None)
    ]

    assert owned == [store.dialect == "postgresql", False]


async def test_what_runs_out_is_reported_wherever_the_part_is_wrapped(store, log):
    """The access token, and what a channel names itself."""
    at = store.clock.now()
    reader = Reader(token_expires_at=at, runs_out=[("the certificate", at)])
    lives = Lives(store)
    source = care_of(store, lives, log).source(polled(reader), Settings(), sample_context(name="mail"))
    lives.follow(watched("mail", polled(reader), Settings(), source, None))

    assert [expiry["what"] for expiry in row(lives)["expires"]] == ["the certificate", "the access token"]


async def test_what_a_channel_is_looked_after_for_follows_from_its_settings():
    """One that takes nothing in isn't silent; what is expected is said in its settings."""
    sends = Channel(summary="x", settings=Settings, source=Reader, sink=RecordingSink, takes_in=lambda _settings: False)
    hears = Channel(summary="x", settings=TakesIn, webhook=Reader)
    settings = TakesIn.model_validate({"expect_every": "2d"})

    assert list(watched("a", sends, Settings(), None, None)) == [("a", Side.OUT)]
    assert watched("b", hears, settings, None, None)["b", Side.IN].expect_every == timedelta(days=2)
