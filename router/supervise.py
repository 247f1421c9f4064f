"""Keep things running: a source that fails is run again, for ever; any other part that fails ends the daemon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from router.errors import SignpostError, SourceRejected, SourceUnavailable
from router.records import Notice

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from random import Random

    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Accept, Source

_FIRST_S, _LONGEST_S, _REJECTED_S = 1.0, 60.0, 600.0
_STEADY_S = 60.0  # a source that ran this long starts its backoff afresh
_PATIENCE_S = 120.0  # a source that is down for longer is told: a blip mends itself


class Tasks:
    """The daemon's tasks. `fault` is done when one of them dies of an error: better no daemon than a lying one."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()
        self.fault: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something until it ends or is cancelled."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def running(self, *names: str) -> set[asyncio.Task[None]]:
        """Return what runs under these names, or what runs at all."""
        return {task for task in self._running if not names or task.get_name() in names}

    async def cancel(self) -> None:
        """End all that is left."""
        left = self.running()
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not self.fault.done():
            self.fault.set_exception(error)


async def keep_running(
    name: str,
    source: Source,
    accept: Accept,
    *,
    tell: Callable[[str, Notice], Awaitable[None]],
    rng: Random,
    log: FilteringBoundLogger,
    patience_s: float = _PATIENCE_S,
) -> None:
    """Run one source for ever. `tell` reaches operations, by kind of trouble, and doesn't repeat itself."""
    loop = asyncio.get_running_loop()
    failures, down_since = 0, loop.time()
    while True:
        began = loop.time()
        try:
            await source.run(accept)
            why = "it ended by itself"
        except SourceRejected as error:
            why = str(error)
            text = f"The channel {name} was refused: {error}\nIt will be tried again every ten minutes.\n"
            await try_to_tell(
                tell, f"rejected:{name}", Notice(subject=f"The channel {name} was refused", text=text), log
            )
            log.error("source_rejected", channel=name, why=why)
            await asyncio.sleep(_REJECTED_S)
            continue
        except SourceUnavailable as error:
            why = str(error)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            log.exception("source_failed", channel=name)
        if loop.time() - began > _STEADY_S:
            failures, down_since = 0, loop.time()
        failures += 1
        if loop.time() - down_since >= patience_s:
            text = f"The channel {name} takes nothing in: {why}\nIt is tried again all the time.\n"
            await try_to_tell(tell, f"down:{name}", Notice(subject=f"The channel {name} is down", text=text), log)
        pause = min(_LONGEST_S, _FIRST_S * 2.0 ** min(failures - 1, 10)) * rng.uniform(0.8, 1.2)
        log.warning("source_down", channel=name, why=why, retry_in_s=round(pause, 1))
        await asyncio.sleep(pause)


async def try_to_tell(
    tell: Callable[[str, Notice], Awaitable[None]], kind: str, notice: Notice, log: FilteringBoundLogger
) -> None:
    """Tell operations; a store that is busy is no reason to leave off."""
    try:
        await tell(kind, notice)
    except SignpostError as error:
        log.warning("alert_not_stored", kind=kind, error=str(error))
