"""What every stage shares: work while there is some, wait to be woken, survive failures, stop when told."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from router.errors import SourceRejected, SourceUnavailable, StoreBroken, StoreBusy
from router.supervise import keep_running
from router.workers import Worker


async def finished(task):
    """Wait for a task, bounded."""
    async with asyncio.timeout(10):
        return await task


async def test_it_works_until_there_is_nothing_left(log):
    """Batches follow one another without waiting; then it sleeps until woken."""
    left = [3, 2, 1]
    asleep = asyncio.Event()

    async def run_once():
        if left:
            return left.pop()
        asleep.set()
        return 0

    worker = Worker("w", run_once, poll_s=3600, log=log)
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        await asleep.wait()
        asleep.clear()
        left.append(1)
        worker.wake()
        await asleep.wait()
    worker.stop()
    await finished(task)

    assert left == []


@pytest.mark.parametrize("error", [StoreBusy("later"), ValueError("a bug")])
async def test_a_failure_is_survived(log, error):
    """After a failure it tries again."""
    outcomes = [error]
    again = asyncio.Event()

    async def run_once():
        if outcomes:
            raise outcomes.pop()
        again.set()
        return 0

    worker = Worker("w", run_once, poll_s=3600, log=log)
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(10):
        await again.wait()
    worker.stop()
    await finished(task)


async def test_a_broken_store_ends_it(log):
    """Better no daemon than one that can't remember."""

    async def run_once():
        raise StoreBroken("gone")

    with pytest.raises(StoreBroken):
        await Worker("w", run_once, poll_s=1, log=log).run()


class Flaky:
    """A source that fails in the given ways, then runs."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.running = asyncio.Event()

    async def run(self, _accept):
        """Fail, or run for ever."""
        if self.failures:
            raise self.failures.pop(0)
        self.running.set()
        await asyncio.Event().wait()


@pytest.mark.parametrize("failure", [SourceUnavailable("no route"), OSError("reset"), ValueError("a bug")])
async def test_a_source_is_run_again(log, failure):
    """Whatever a source dies of, it is never disabled."""
    source = Flaky(failure)

    async def tell(_kind, _notice):
        raise AssertionError

    task = asyncio.create_task(keep_running("s", source, None, tell=tell, rng=Random(1), log=log))
    async with asyncio.timeout(10):
        await source.running.wait()
    task.cancel()


async def test_a_source_that_stays_down_is_told(log):
    """A channel that can't take messages in is a person's business, once it is no blip."""
    told = asyncio.Event()
    notices = []

    async def tell(kind, notice):
        notices.append((kind, notice.text))
        told.set()

    source = Flaky(SourceUnavailable("the port is taken"))
    task = asyncio.create_task(keep_running("mail-in", source, None, tell=tell, rng=Random(1), log=log, patience_s=0.0))
    async with asyncio.timeout(10):
        await told.wait()
    task.cancel()

    assert notices[0][0] == "down:mail-in"
    assert "the port is taken" in notices[0][1]


async def test_refused_credentials_are_told(log):
    """A person has to mend them, so a person hears of it."""
    told = asyncio.Event()
    notices = []

    async def tell(kind, notice):
        notices.append((kind, notice.text))
        told.set()

    source = Flaky(SourceRejected("LOGIN failed"))
    task = asyncio.create_task(keep_running("box", source, None, tell=tell, rng=Random(1), log=log))
    async with asyncio.timeout(10):
        await told.wait()
    task.cancel()

    assert notices[0][0] == "rejected:box"
    assert "LOGIN failed" in notices[0][1]
