"""Start and stop the processes of a measurement, each by its own id, and read what they use from /proc."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[1]
_STOP_S = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A process of the measurement didn't do what it was started for; the text says which and why."""


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(
    module: str, *arguments: str, errors: Path | None = None, output: Path | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module of this repository as a process; it gets SIGTERM at the end.

    Its output goes to a file, or to a pipe without one; its errors to a file, or where ours go without one.
    """
    with ExitStack() as files:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            cwd=ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=files.enter_context(output.open("ab")) if output else asyncio.subprocess.PIPE,
            stderr=files.enter_context(errors.open("ab")) if errors else None,
        )
    try:
        yield process
    finally:
        await stop(process)


async def stop(process: asyncio.subprocess.Process) -> None:
    """End a process: ask, wait, insist."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.communicate()  # reads what is left, so that a full pipe can't keep it alive
    except TimeoutError:
        process.kill()
        await process.wait()


async def line_of(process: asyncio.subprocess.Process, within_s: float) -> str:
    """Return the next line a process prints; raise `Failed` if none comes."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(within_s):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise Failed(f"the process {process.pid} said nothing for {within_s:g} s") from error
    if not line:
        raise Failed(f"the process {process.pid} ended early")
    return line.decode().rstrip("\n")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its descendants use: megabytes (10^6 bytes) and seconds of processor time."""

    processes: int
    pss_mb: float
    rss_mb: float
    cpu_s: float


def usage(pid: int) -> Usage:
    """Return what a process and all its descendants use now.

    PSS (proc(5), smaps_rollup) counts a page shared by n processes as 1/n to each, so that the sum is honest.
    """
    pids = family(pid)
    memory = [_memory(each) for each in pids]
    return Usage(
        processes=len(pids),
        pss_mb=round(sum(pss for pss, _ in memory) * 1024 / 1e6, 1),
        rss_mb=round(sum(rss for _, rss in memory) * 1024 / 1e6, 1),
        cpu_s=sum(_cpu_s(each) for each in pids),
    )


def computed_s(pid: int) -> float:
    """Return the processor time of a process's threads, to the nanosecond (sched-stats.rst of the kernel's manual)."""
    found = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # a thread that has just ended
            found += int(file.read_text().split()[0])
    return found / 1e9


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for parent in found:  # grows while it is walked
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, children.read_text().split())
    return found


def _memory(pid: int) -> tuple[int, int]:
    """Return PSS and RSS in KiB."""
    fields = dict.fromkeys(("Pss", "Rss"), 0)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in fields:
            fields[name] = int(rest.split()[0])
    return fields["Pss"], fields["Rss"]


def _cpu_s(pid: int) -> float:
    """Return user and system time (proc(5), fields 14 and 15 of stat, counted after the name in brackets)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
