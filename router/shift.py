"""One configuration at work: its stages, pages and sources run until another one's take over from them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from router.assemble import take_over
from router.errors import SignpostError
from router.life.watch import Watch
from router.store import deliveries
from router.supervise import keep_running
from router.upkeep import Digest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import Any

    from aiohttp import web

    from router.interfaces import Source
    from router.parts import Outlet, Parts
    from router.supervise import Tasks
    from router.web.front import Behind
    from router.workers import Worker

_FINISH_S = 1.0  # for requests that were cut off to notice it
_LEAVE_S = 10.0  # for a source to leave its mailbox before its successor enters

STAGES = (
    "decide-",
    "lookout",
    "dispatch-",
    "lives",
    "urgent",
    "learning-",
)  # how the names of the tasks begin that end after the batch at hand, once told
ENDING = "ending"  # the name of the task that sees a former shift off


class Shift:
    """Parts at work. What its successor has, too, goes on undisturbed: those are the very same objects."""

    def __init__(self, parts: Parts, pages: Behind, tasks: Tasks) -> None:
        configuration = parts.configuration
        self.parts = parts
        self.pages = pages
        self.site: web.TCPSite | None = None
        self.watch = Watch(parts.store, parts.alerts, list(parts.outlets))
        self.digest = Digest(
            parts.store,
            parts.alerts,
            configuration.operations.daily_digest,
            ZoneInfo(configuration.organization.timezone),
        )
        self._tasks = tasks
        self._working: dict[Worker, asyncio.Task[None]] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}

    def begin(self, before: Shift | None = None) -> None:
        """Put the stages to work."""
        parts = self.parts
        take_over(parts)
        if parts.workers:  # else they are paused
            parts.deciding.append(parts.stage)
        for outlet in parts.outlets.values():
            if outlet.dispatcher not in parts.sending:
                parts.sending.append(outlet.dispatcher)
        for worker in parts.workers:
            at_work = before._working.get(worker) if before else None
            self._working[worker] = at_work or self._tasks.start(worker.name, worker.run())

    def take_in(self, before: Shift | None = None) -> None:
        """Run the sources, after ending those of a former shift that are gone or have changed."""
        former = before._reading if before else {}
        kept = {name for name in former if before and self.parts.sources.get(name) is before.parts.sources[name]}
        for name in self.parts.sources:
            self._reading[name] = former[name] if name in kept else self._read(name, former.get(name))
        for name in former.keys() - kept:  # after their successors have begun: a listener leaves no gap
            former[name].cancel()

    async def prepare(self, before: Shift) -> None:
        """Have new sources make sure that they can take over from those that leave; raise `SignpostError` if not."""
        present = self.parts.sources.values()
        leaving = [source for source in before.parts.sources.values() if all(source is not each for each in present)]
        for name, source in self._new_sources(before):
            if prepare := getattr(source, "prepare", None):
                try:
                    await prepare(leaving)
                except SignpostError as error:
                    raise SignpostError(f"channels.{name}: {error}") from error

    def _new_sources(self, before: Shift) -> list[tuple[str, Source]]:
        former = before.parts.sources
        return [(name, source) for name, source in self.parts.sources.items() if former.get(name) is not source]

    def replace(self, before: Shift) -> None:
        """Take everything over from a former shift, at once; what is under way there ends there."""
        self.begin(before)
        self.take_in(before)
        self._tasks.start(ENDING, before._end(self))

    def changes(self, before: Shift) -> dict[str, Any]:
        """Return the channels that came, went and changed since a former shift."""
        ours, theirs = self.parts.marks, before.parts.marks
        return {
            "started": sorted(ours.keys() - theirs.keys()),
            "stopped": sorted(theirs.keys() - ours.keys()),
            "changed": sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]),
        }

    def _read(self, name: str, former: asyncio.Task[None] | None) -> asyncio.Task[None]:
        parts, configured = self.parts, self.parts.configuration.channels[name]
        polled = configured.channel.polls(configured.settings) is not None
        run = partial(
            keep_running,
            name,
            parts.sources[name],
            parts.intake.accept,
            tell=parts.lasting.tell_once,
            rng=parts.rng,
            log=parts.log,
        )
        return self._tasks.start(f"source-{name}", _after(former if polled else None, run))

    # --- the end of a shift -------------------------------------------------------------------------------------------

    async def discard(self, before: Shift) -> None:
        """Let go of what was made for a shift that doesn't begin after all."""
        if self.site is not None and self.site is not before.site:
            await self.site.stop()
        for _, source in self._new_sources(before):
            if abandon := getattr(source, "abandon", None):
                await abandon()
        await self._close(
            outlet for via, outlet in self.parts.outlets.items() if before.parts.outlets.get(via) is not outlet
        )

    async def aclose(self) -> None:
        """Let go of everything, at the daemon's end."""
        await self._close(self.parts.outlets.values())

    async def _close(self, outlets: Iterable[Outlet]) -> None:
        sinks = [outlet.sink.aclose() for outlet in outlets]
        try:
            async with asyncio.timeout(_FINISH_S):
                await self.pages.finish()
        except TimeoutError:
            self.parts.log.warning("requests_cut_off")
        await asyncio.gather(*sinks, return_exceptions=True)

    async def _end(self, after: Shift) -> None:
        """See to what only this shift has: let what is under way end, then let go of it."""
        ending = {
            via: outlet for via, outlet in self.parts.outlets.items() if after.parts.outlets.get(via) is not outlet
        }
        gone = [worker for worker in self._working if worker not in after._working]
        for worker in gone:
            worker.stop()
        for outlet in ending.values():
            outlet.dispatcher.retire()
        after.parts.wake()
        try:
            if self.site is not None and self.site is not after.site:
                await self.site.stop()
            await asyncio.gather(
                self._end_stage([self._working[worker] for worker in gone]),
                self.pages.finish(),
                *(self._end_outlet(via, outlet, after) for via, outlet in ending.items()),
            )
        except SignpostError as error:
            self.parts.log.warning("former_parts_not_ended", why=str(error))
        except Exception:
            self.parts.log.exception("former_parts_not_ended")

    async def _end_stage(self, working: list[asyncio.Task[None]]) -> None:
        if working:
            await asyncio.wait(working)
        if self.parts.stage in self.parts.deciding:
            self.parts.deciding.remove(self.parts.stage)

    async def _end_outlet(self, via: str, outlet: Outlet, after: Shift) -> None:
        """Let attempts under way end. What else waits is tried at once by the new settings: they may have mended it."""
        await self._hasten(via, after)
        await asyncio.wait({self._working[outlet.worker]})
        await outlet.dispatcher.settled()
        self.parts.sending.remove(outlet.dispatcher)
        await self._hasten(via, after)
        await outlet.sink.aclose()

    async def _hasten(self, via: str, after: Shift) -> None:
        successor = after.parts.outlets.get(via)
        if successor is not None:
            now = self.parts.clock.now()
            await self.parts.store.write(lambda connection: deliveries.hasten(connection, via, now))
            successor.worker.wake()


async def _after(former: asyncio.Task[None] | None, run: Callable[[], Awaitable[None]]) -> None:
    """Run a source once the former one has left the mailbox; a listener takes the port over at once instead."""
    if former is not None:
        await asyncio.wait({former}, timeout=_LEAVE_S)
        del former  # or each would keep its predecessor, and that one its own
    await run()
