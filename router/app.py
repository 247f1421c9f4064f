"""The daemon: opens the store, runs every part in one task group, and drains on a signal."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from aiohttp import web

from router import control
from router.assemble import MAX_MESSAGE_BYTES, Parts, assemble
from router.learning import registry
from router.store.daemons import BEAT_S
from router.store.engine import open_store
from router.supervise import keep_running
from router.upkeep import Digest, every
from router.watch import Watch
from router.web import server

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from structlog.typing import FilteringBoundLogger

    from config.load import Configuration
    from router.interfaces import Clock

_HTTP_S, _BATCH_S, _DRAIN_S = 5.0, 6.0, 16.0  # for requests, batches and attempts under way: below 30 s in all
_REFRESH_S = 2.0
_HEARTBEAT = "heartbeat"
_DIGEST_S = 60.0
_WATCH_S = 60.0


class Daemon:
    """One running Signpost. `run` returns after a graceful stop.

    `provide` gives the first model (artifact and SHA-256) where the registry is empty; it runs in a thread.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        provide: Callable[[], tuple[bytes, str]],
        rng: Random,
        log: FilteringBoundLogger,
        clock: Clock,
    ) -> None:
        self._configuration = configuration
        self._provide = provide
        self._rng = rng
        self._log = log
        self._clock = clock
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Begin to stop."""
        self._stop.set()

    def hang_up(self) -> None:
        """Answer SIGHUP: a terminal that closes, or a reload that this version doesn't know, stops nothing."""
        self._log.warning("reload_not_supported", hint="restart to use a changed configuration")

    async def run(self, extend: Callable[[Parts, web.Application], None] = lambda _parts, _app: None) -> None:
        """Run until stopped. `extend` may add pages (the demo's) before the web server starts."""
        store = open_store(self._configuration.store.url_with_password(), self._clock)
        await store.open()
        try:
            parts = await assemble(self._configuration, store, self._rng, self._log)
            await registry.ensure_champion(store, self._provide)
            await parts.refresh_model()
            await parts.heartbeat.register()
            await self._run(parts, extend)
            await parts.heartbeat.leave()
        finally:
            await store.close()
        self._log.info("stopped")

    async def _run(self, parts: Parts, extend: Callable[[Parts, web.Application], None]) -> None:
        runner = web.AppRunner(self._application(parts, extend), access_log=None, shutdown_timeout=_HTTP_S)
        tasks: list[asyncio.Task[None]] = []
        async with control.serve(control.socket_path(self._configuration.store.url), parts.commands, self._log):
            try:
                tasks += self._start_stages(parts)
                await runner.setup()
                address = self._configuration.http.listen
                await web.TCPSite(runner, address.host, address.port).start()
                tasks += self._start_sources(parts)
                self._log.info("ready", http=str(address), model=parts.serving.version)
                await self._until_stopped(tasks)
            finally:
                self._log.info("stopping")
                parts.intake.close()
                await runner.cleanup()
                await _drain(parts, tasks)

    def _application(self, parts: Parts, extend: Callable[[Parts, web.Application], None]) -> web.Application:
        application = server.build(
            webhooks=parts.webhooks,
            accept=parts.intake.accept,
            store=parts.store,
            corrections=parts.corrections,
            keys=parts.keys,
            desks=parts.desks,
            metrics=parts.metrics,
            ready=lambda: _not_ready(parts),
            wake=parts.wake,
            public_url=self._configuration.organization.public_url,
            organization=self._configuration.organization.name,
            max_message_bytes=MAX_MESSAGE_BYTES,
            log=self._log,
        )
        extend(parts, application)
        return application

    def _start_stages(self, parts: Parts) -> list[asyncio.Task[None]]:
        digest = Digest(
            parts.store,
            parts.alerts,
            self._configuration.operations.daily_digest,
            ZoneInfo(self._configuration.organization.timezone),
        )
        log = self._log
        watch = Watch(parts.store, parts.alerts, [dispatcher.via for dispatcher in parts.dispatchers])
        return [
            *(asyncio.create_task(worker.run(), name=worker.name) for worker in parts.workers),
            asyncio.create_task(every(BEAT_S, parts.heartbeat.beat, log, "heartbeat"), name=_HEARTBEAT),
            asyncio.create_task(every(_REFRESH_S, parts.refresh_model, log, "model"), name="model"),
            asyncio.create_task(every(BEAT_S, parts.orphans.sweep, log, "orphans"), name="orphans"),
            asyncio.create_task(every(_WATCH_S, watch.look, log, "watch"), name="watch"),
            asyncio.create_task(every(_DIGEST_S, digest.send_if_due, log, "digest"), name="digest"),
        ]

    def _start_sources(self, parts: Parts) -> list[asyncio.Task[None]]:
        return [
            asyncio.create_task(
                keep_running(name, source, parts.intake.accept, tell=parts.tell, rng=self._rng, log=self._log),
                name=f"source-{name}",
            )
            for name, source in parts.sources.items()
        ]

    async def _until_stopped(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for the signal; raise what a part died of (the store is broken: better no daemon than a lying one)."""
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        done, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        for task in done - {stopped}:
            task.result()


async def _drain(parts: Parts, tasks: list[asyncio.Task[None]]) -> None:
    """Stop taking in, finish what is under way, let go of everything else."""
    working = {worker.name for worker in parts.workers}
    for worker in parts.workers:
        worker.stop()
    for task in tasks:
        if task.get_name() not in working | {_HEARTBEAT}:  # what is under way needs its leases
            task.cancel()
    ending = [task for task in tasks if task.get_name() != _HEARTBEAT]
    await asyncio.wait(ending, timeout=_BATCH_S)
    await asyncio.gather(*(dispatcher.drain(_DRAIN_S) for dispatcher in parts.dispatchers))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await parts.parsers.aclose()
    await asyncio.gather(*(sink.aclose() for sink in parts.sinks), return_exceptions=True)


def _not_ready(parts: Parts) -> list[str]:
    reasons = []
    if not parts.heartbeat.alive():
        reasons.append("the store hasn't answered for a while")
    if parts.serving.current() is None:
        reasons.append("no model serves: everything goes to the fallback")
    return reasons


def run_until_signal(daemon: Daemon, extend: Callable[[Parts, web.Application], None]) -> None:
    """Run a daemon in this process until SIGTERM or SIGINT."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        loop.add_signal_handler(signal.SIGHUP, daemon.hang_up)
        await daemon.run(extend)

    asyncio.run(main())
