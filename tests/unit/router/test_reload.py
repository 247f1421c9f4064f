"""Reloads: one at a time, all of a configuration or nothing, and what becomes of one that can't be used."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from router.errors import ConfigError, Problem, SignpostError, StoreBusy
from router.notify import Notify
from router.reload import Reloads
from router.testing import FakeClock, until

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TYPO = ConfigError([Problem("s.yaml", 3, "rutes", "is unknown", "did you mean rules?"), Problem("s.yaml", 9, "x", "y")])
CHANGED = {"started": [], "stopped": [], "changed": ["relay"]}


class Watch:
    """A watch that tells what it is told to."""

    def __init__(self):
        self.has_changed = asyncio.Event()

    def note(self):
        """Take things as they are."""
        self.has_changed.clear()

    def changed(self):
        """Tell."""
        return self.has_changed.is_set()


class Told(Notify):
    """A line to the service manager that keeps what is said."""

    def __init__(self):
        super().__init__()
        self.said = []

    def reloading(self):
        """Keep it."""
        self.said.append("reloading")

    def ready(self, status):
        """Keep it."""
        self.said.append(status)


class Site:
    """Reloads, and everything around them."""

    def __init__(self, log):
        self.outcomes = []  # what reading gives: a configuration, problems, or what putting it to use raises
        self.applied, self.alerts = [], []
        self.watch, self.notify, self.clock = Watch(), Told(), FakeClock(NOON)
        self.may_apply = asyncio.Event()
        self.may_apply.set()
        self.reloads = Reloads(
            self.read, self.apply, self.watch, tell=self.tell, notify=self.notify, clock=self.clock, log=log
        )

    def read(self):
        """Read the next outcome; the last one stays."""
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, ConfigError):
            raise outcome
        return outcome

    async def apply(self, configuration):
        """Keep what is to be used."""
        await self.may_apply.wait()
        if isinstance(configuration, Exception):
            raise configuration
        self.applied.append(configuration)
        return CHANGED

    async def tell(self, kind, notice):
        """Keep what operations are told."""
        self.alerts.append((kind, notice))

    @asynccontextmanager
    async def running(self):
        """Reload as the daemon does, while the block runs."""
        task = asyncio.create_task(self.reloads.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def site(log):
    """What the tests look at."""
    return Site(log)


async def test_a_configuration_is_used(site):
    """The outcome names what changed, and the service manager hears when it begins and ends."""
    site.outcomes = ["new"]
    site.clock.advance(timedelta(minutes=3))
    assert await site.reloads.now() == {"applied": True, "invalid": False, "problems": [], **CHANGED}
    assert site.applied == ["new"]
    assert site.notify.said == ["reloading", "runs the configuration of 2026-03-02T12:03:00Z"]
    assert site.reloads.view() == {"since": "2026-03-02T12:03:00Z", "refused_at": None, "problems": []}


async def test_problems_are_told_and_nothing_is_used(site):
    """Each with its line, to whoever asks, to operations and to the service manager."""
    site.outcomes = [TYPO]
    site.clock.advance(timedelta(minutes=10))
    outcome = await site.reloads.now()
    lines = ["s.yaml:3: rutes: is unknown; did you mean rules?", "s.yaml:9: x: y"]
    assert outcome == {"applied": False, "invalid": True, "problems": lines}
    assert site.applied == []
    assert site.notify.said[-1] == (
        "runs the configuration of 2026-03-02T12:00:00Z; the file of 2026-03-02T12:10:00Z has 2 problems"
    )
    assert site.reloads.view()["problems"] == lines
    [(_kind, notice)] = site.alerts
    assert notice.subject == "The changed configuration is not used: 2 problems"
    assert all(line in notice.text for line in lines)


async def test_the_same_problems_are_told_once(site):
    """Other ones are told, and the same ones again after they were mended."""
    site.outcomes = [TYPO, TYPO, ConfigError(TYPO.problems[:1]), "mended", ConfigError(TYPO.problems[:1])]
    for _ in range(5):
        await site.reloads.now()
    assert [notice.subject.partition(": ")[2] for _, notice in site.alerts] == [
        "2 problems",
        "1 problem",
        "1 problem",
    ]
    assert len({kind for kind, _ in site.alerts}) == 2


@pytest.mark.parametrize(
    ("error", "told"),
    [(SignpostError("the port is taken"), "the port is taken"), (RuntimeError("secret"), "RuntimeError: see the log")],
)
async def test_what_goes_wrong_while_it_is_put_to_use_is_no_problem_of_the_file(site, error, told):
    """It is told as well, without the words of an error that nobody meant; the next reload may do better."""
    site.outcomes = [error, "new"]
    assert await site.reloads.now() == {"applied": False, "invalid": False, "problems": [told]}
    assert (await site.reloads.now())["applied"]


async def test_a_store_that_is_busy_is_no_reason_to_stop(site):
    """An alert that can't be stored is logged; the reload has its outcome all the same."""

    async def busy(_kind, _notice):
        raise StoreBusy("full")

    site.outcomes, site.reloads._tell = [TYPO], busy
    assert not (await site.reloads.now())["applied"]


async def test_to_ask_many_times_at_once_is_to_ask_once_more(site):
    """What is asked while a reload is under way is done after it, once."""
    site.outcomes = ["new"]
    site.may_apply.clear()
    async with site.running():
        site.reloads.ask()
        await until(lambda: site.notify.said == ["reloading"])
        for _ in range(50):
            site.reloads.ask()
        site.may_apply.set()
        await until(lambda: len(site.applied) == 2)
        assert await site.reloads.now()
    assert site.applied == ["new"] * 3


async def test_a_changed_file_is_read_again(site):
    """Without being asked for."""
    site.outcomes = ["new"]
    async with site.running():
        site.watch.has_changed.set()
        await until(lambda: site.applied == ["new"])
