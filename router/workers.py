"""What every stage shares: do a batch, do the next at once while there is work, else wait to be woken."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from router.errors import StoreBroken, StoreBusy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from structlog.typing import FilteringBoundLogger

_LONGEST_PAUSE_S = 30.0


class Worker:
    """Runs `run_once` (one batch; returns how many it did) until stopped. A wake-up is a hint, the poll the promise."""

    def __init__(
        self,
        name: str,
        run_once: Callable[[], Awaitable[int]],
        *,
        poll_s: float,
        log: FilteringBoundLogger,
    ) -> None:
        self.name = name
        self._run_once = run_once
        self._poll_s = poll_s
        self._log = log.bind(worker=name)
        self._awake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._failures = 0
        self.on_busy: Callable[[str], None] = lambda _name: None  # called while there is more than is done at once

    def wake(self) -> None:
        """There may be work."""
        self._awake.set()

    def stop(self) -> None:
        """Finish the batch at hand, then return from `run`."""
        self._stopping.set()
        self._awake.set()

    async def run(self) -> None:
        """Work until stopped; only `StoreBroken` gets out."""
        did = 0
        while not self._stopping.is_set():
            self._awake.clear()
            before, did = did, await self._try_once()
            if did > 0:
                if before > 0:
                    self.on_busy(self.name)
                continue
            await self._pause(self._poll_s if did == 0 else min(_LONGEST_PAUSE_S, 2.0 ** min(self._failures, 5) / 2))

    async def _try_once(self) -> int:
        """Return how many were done, -1 after a failure."""
        try:
            did = await self._run_once()
        except StoreBroken:
            raise
        except StoreBusy as error:
            self._failures += 1
            self._log.warning("store_busy", error=str(error))
            return -1
        except Exception:
            self._failures += 1
            self._log.exception("worker_failed")
            return -1
        self._failures = 0
        return did

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                if self._failures:
                    await self._stopping.wait()  # a wake-up mustn't turn a failure into a storm
                else:
                    await self._awake.wait()
        except TimeoutError:
            pass


class Crew:
    """The workers that are at work now, so that whoever wakes them needn't know of a reload."""

    def __init__(self) -> None:
        self._workers: tuple[Worker, ...] = ()
        self.on_busy: Callable[[str], None] = lambda _name: None  # of a worker: other daemons might help (router.hints)

    def change(self, workers: Iterable[Worker]) -> None:
        """From now on it is these."""
        self._workers = tuple(workers)
        for worker in self._workers:
            worker.on_busy = self._busy

    def _busy(self, name: str) -> None:
        self.on_busy(name)

    def stop(self) -> None:
        """Let them finish the batch at hand, and no more."""
        for worker in self._workers:
            worker.stop()

    def wake(self, stage: str = "") -> None:
        """There may be work for the workers of one stage, or for any.

        A look into the store for nothing costs as much as one for something.
        """
        for worker in self._workers:
            if worker.name.startswith(stage):
                worker.wake()
