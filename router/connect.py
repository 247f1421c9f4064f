"""Run checks side by side, each within a time limit of its own: one that hangs doesn't keep the others' answers."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from router.findings import Checking, Finding, Level, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: its name, what it is (a type of channel), and its check, not yet begun."""

    name: str
    kind: str
    check: Checking


@dataclass(slots=True)
class Report:
    """What the check of one subject found, and for how long it took; `doing` is what it does just now."""

    name: str
    kind: str
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    doing: str = "beginning"

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(finding.level is not Level.FAILED for finding in self.findings)


async def examine(
    subjects: Iterable[Subject],
    within_s: float,
    *,
    begun: Callable[[Report], None] = lambda _report: None,
    done: Callable[[Report], None] = lambda _report: None,
) -> list[Report]:
    """Run all checks at once and return their reports, in the order of the subjects.

    `begun` and `done` are called with each report, the second as soon as its check has ended.
    """
    asyncio.get_running_loop().set_default_executor(_ThreadEach())
    reports = [(subject, Report(subject.name, subject.kind)) for subject in subjects]
    for _, report in reports:
        begun(report)
    await asyncio.gather(*(_examine(subject, report, within_s, done) for subject, report in reports))
    return [report for _, report in reports]


async def _examine(subject: Subject, report: Report, within_s: float, done: Callable[[Report], None]) -> None:
    clock = asyncio.get_running_loop().time
    begun_at = clock()
    try:
        async with asyncio.timeout(within_s):
            await _collect(subject.check, report)
    except TimeoutError:
        what = f"There was no answer within {within_s:g} s while {report.doing}."
        mend = "see whether it is overloaded, or whether a firewall swallows the connection; --within gives it longer"
        report.findings.append(failed(what, mend))
    except Exception as error:
        what = f"The check itself failed while {report.doing} ({type(error).__name__}: {_line(error)})."
        report.findings.append(failed(what, "tell those who wrote this type of channel"))
    report.seconds = clock() - begun_at
    done(report)


async def _collect(check: Checking, report: Report) -> None:
    async with aclosing(check) as steps:
        async for step in steps:
            if isinstance(step, str):
                report.doing = step
            else:
                report.findings.append(step)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


class _ThreadEach(ThreadPoolExecutor):
    """Runs everything in a thread of its own that doesn't outlive the process.

    A name server or a file system that hangs then neither keeps a thread from the others nor the command from ending.
    """

    def submit(self, work: Callable[..., T], /, *args: Any, **more: Any) -> Future[T]:
        """Begin at once."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work(*args, **more)
            except BaseException as error:
                with suppress(Exception):
                    future.set_exception(error)
            else:
                future.set_result(result)

        Thread(target=run, daemon=True).start()
        return future
