"""Checks run side by side: each has its own time limit, and what one does wrong is its own affair."""

from __future__ import annotations

import asyncio
import threading

import pytest

from router.connect import Subject, examine
from router.findings import Level, failed, fine


async def good(what="All is well."):
    """A check that proves something."""
    yield "looking"
    yield fine(what)


async def hanging(released):
    """A check that proves one thing, and then hears nothing."""
    yield fine("Connected.")
    yield "signing in"
    try:
        await asyncio.Event().wait()
    finally:
        released.append(True)


async def broken():
    """A check with a fault of its own."""
    yield "thinking"
    raise ZeroDivisionError("division by zero")


async def refused():
    """A check that fails."""
    yield failed("Nothing listens.", "start it")


async def test_one_that_hangs_does_not_keep_the_others():
    """The good check's report is there before the hanging one's limit; what that had proved is told, and its place."""
    done, released = [], []
    subjects = [Subject("slow", "imap", hanging(released)), Subject("quick", "smtp", good())]
    reports = await examine(subjects, 0.2, done=lambda report: done.append(report.name))
    assert done == ["quick", "slow"]
    assert [report.name for report in reports] == ["slow", "quick"]
    slow = reports[0]
    assert [finding.level for finding in slow.findings] == [Level.FINE, Level.FAILED]
    assert slow.findings[1].what == "There was no answer within 0.2 s while signing in."
    assert "--within" in slow.findings[1].mend
    assert released == [True]


async def test_a_check_with_a_fault_of_its_own():
    """It is told as such, and the others go on."""
    reports = await examine([Subject("odd", "own", broken()), Subject("quick", "smtp", good())], 5)
    assert [report.ok for report in reports] == [False, True]
    (found,) = reports[0].findings
    assert found.what == "The check itself failed while thinking (ZeroDivisionError: division by zero)."


async def test_what_failed_makes_a_report_bad():
    """A report is good as long as nothing in it has failed."""
    (report,) = await examine([Subject("relay", "smtp", refused())], 5)
    assert not report.ok


async def in_threads(count, gate):
    """A check that blocks threads, as a name server does that doesn't answer."""
    yield "looking names up"
    await asyncio.gather(*(asyncio.to_thread(gate.wait) for _ in range(count)))
    yield fine("Found.")


async def in_a_thread():
    """A check that needs a thread for a moment."""
    await asyncio.to_thread(lambda: None)
    yield fine("All is well.")


@pytest.mark.parametrize("count", [200])
async def test_blocked_threads_do_not_keep_the_others(count):
    """However many threads one check blocks, another gets its own."""
    gate, done = threading.Event(), []
    subjects = [Subject("blocked", "imap", in_threads(count, gate)), Subject("quick", "maildir", in_a_thread())]

    def ended(report):
        done.append(report.name)
        gate.set()

    await examine(subjects, 30, done=ended)
    assert done == ["quick", "blocked"]
