"""The daemon: opens the store, puts a configuration to work, reloads it when asked, and drains on a signal."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from config.load import problem_at
from router import control, garbage
from router.assemble import MAX_MESSAGE_BYTES, assemble
from router.clock_watch import LOOK_S, ClockWatch
from router.console.build import add_console, figures_of, indexing_of, log_keeping_of
from router.errors import ConfigError, SignpostError
from router.figures import LOOK_S as FIGURES_S
from router.hints import Hints
from router.indexing import LOOK_S as INDEXING_S
from router.lag import watch_lag
from router.learning import registry
from router.learning.build import learner_of
from router.log_keeping import KEEPING_S
from router.notify import Notify
from router.parts import last_resort_of
from router.reload import Reloads
from router.shift import ENDING, STAGES, Shift
from router.store import restored
from router.store.daemons import BEAT_S
from router.store.engine import open_store
from router.supervise import Tasks
from router.upkeep import every, tell_restored
from router.web import server
from router.web.front import Behind, Front

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from aiohttp import web
    from structlog.typing import FilteringBoundLogger

    from config.load import Configuration
    from router.files import FileWatch
    from router.interfaces import Clock
    from router.parts import Parts
    from router.store.engine import Store

    Extend = Callable[[Parts, web.Application], None]

_HTTP_S, _BATCH_S, _DRAIN_S = 5.0, 6.0, 16.0  # for requests, batches and attempts under way: below 30 s in all
_END_S = 1.0  # for what ends then by itself
_REFRESH_S = 0.5  # a rollback by another daemon counts here within a second
_REFRESH_ALONE_S = 5.0  # with SQLite there is no other, and this one knows at once
_HEARTBEAT = "heartbeat"
_DIGEST_S = 60.0
_WATCH_S = 60.0
_STUCK_S = 60.0  # a store that has answered nothing for so long, not even no, is stuck: better to start afresh


class Daemon:
    """One running Signpost. `run` returns after a graceful stop.

    `provide` gives the first model (artifact and SHA-256) where the registry is empty; it runs in a thread.
    `read` reads the configuration again for a reload, when asked or when `watch` sees that its files have changed;
    without them it stays what it is.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        provide: Callable[[], tuple[bytes, str]],
        rng: Random,
        log: FilteringBoundLogger,
        clock: Clock,
        notify: Notify | None = None,
        read: Callable[[], Configuration] | None = None,
        watch: FileWatch | None = None,
    ) -> None:
        self._configuration = configuration
        self._provide = provide
        self._rng = rng
        self._log = log
        self._clock = clock
        self._notify = notify or Notify()
        self._read = read
        self._watch = watch
        self._stop = asyncio.Event()
        self._reloads: Reloads[Configuration] | None = None
        self._tasks: Tasks
        self._front: Front
        self._shift: Shift
        self._extend: Extend

    def stop(self) -> None:
        """Begin to stop."""
        self._stop.set()

    def hang_up(self) -> None:
        """Answer SIGHUP: read the configuration again."""
        if self._reloads is None:
            self._log.warning("reload_not_possible", why="it is starting, or its configuration is its own")
        else:
            self._reloads.ask()

    async def run(self, extend: Extend = lambda _parts, _app: None) -> None:
        """Run until stopped. `extend` may add pages (the demo's) before they are shown."""
        self._extend = extend
        store = open_store(self._configuration.store.url_with_password(), self._clock)
        await store.open()
        try:
            await store.write(lambda c: restored.begin_again(c, self._clock.now()))
            parts = await self._assemble(self._configuration, store)
            backup_at = await store.write(lambda c: tell_restored(c, parts.alerts, self._clock.now()))
            if backup_at is not None:
                self._log.warning("store_restored", backup_at=backup_at.isoformat())
            await registry.ensure_champion(store, self._provide)
            await parts.refresh_model()
            await self._have_a_model(parts)
            await parts.heartbeat.register()
            await self._run(parts)
            await parts.heartbeat.leave()
        finally:
            await store.close()
        self._log.info("stopped")

    async def _have_a_model(self, parts: Parts) -> None:
        """If neither the champion nor one before it can be used (made by another version of the program), use ours."""
        if parts.serving.classifier() is None:
            row = await registry.stand_in(parts.store, self._provide)
            await parts.stand_in(row.version)

    async def _run(self, parts: Parts) -> None:
        self._tasks, self._front = Tasks(), Front(_HTTP_S)
        self._shift = Shift(parts, Behind(self._application(parts)), self._tasks)
        async with control.serve(control.socket_path(parts.configuration.store.url), self._answer, self._log):
            try:
                await self._start()
                await self._until_stopped()
            finally:
                self._log.info("stopping")
                self._stop.set()  # no reload from here on
                self._notify.stopping()
                parts.intake.close()
                await self._front.aclose()
                await self._drain()

    async def _start(self) -> None:
        shift, parts = self._shift, self._shift.parts
        shift.begin()
        await shift.pages.prepare()
        self._front.use(shift.pages)
        address = parts.configuration.http.listen
        shift.site = await self._front.listen(address)
        shift.take_in()
        self._keep_up(parts)
        if self._read and self._watch:
            self._reloads = self._reloading(self._read, self._watch)
            self._tasks.start("reload", self._reloads.run())
        garbage.settle()
        self._notify.ready(f"takes messages in; pages on {address}, model {parts.serving.version}")
        self._log.info("ready", http=str(address), model=parts.serving.version)

    def _keep_up(self, parts: Parts) -> None:
        """Start what a daemon does beside its stages, whatever its configuration is."""
        refresh_s = _REFRESH_ALONE_S if parts.store.dialect == "sqlite" else _REFRESH_S
        learner = learner_of(parts, lambda: self._shift.parts.configuration)
        for name, seconds, act in (
            (_HEARTBEAT, BEAT_S, parts.heartbeat.beat),
            ("clock", LOOK_S, ClockWatch(parts.store, self._log).look),
            ("model", refresh_s, parts.lasting.refresh_model),
            ("orphans", BEAT_S, parts.orphans.sweep),
            ("last-resort", BEAT_S, last_resort_of(parts, lambda: self._shift.parts).look),
            ("watch", _WATCH_S, self._look),
            ("digest", _DIGEST_S, self._send_digest),
            ("figures", FIGURES_S, figures_of(parts, lambda: self._shift.parts.configuration).look),
            ("inbox", INDEXING_S, indexing_of(parts, lambda: self._shift.parts.configuration).look),
            ("access-log", KEEPING_S, log_keeping_of(parts, lambda: self._shift.parts.configuration).look),
            *learner.acts(),
        ):
            self._tasks.start(name, every(seconds, act, self._log, name))
        if parts.store.dialect == "postgresql":
            hints = Hints(parts.store, parts.heartbeat.daemon_id, parts.crew.wake, self._log)
            parts.crew.on_busy = partial(_tell_others, hints)
            self._tasks.start("hints", hints.run())
        self._tasks.start("lag", watch_lag(parts.metrics.lagged))
        heartbeat = parts.heartbeat
        self._tasks.start("watchdog", self._notify.keep_watchdog(lambda: heartbeat.silent_s() < _STUCK_S))

    async def _assemble(self, configuration: Configuration, store: Store, before: Parts | None = None) -> Parts:
        parts = await assemble(configuration, store, self._rng, self._log, before)
        parts.reread, parts.standing = self._read, lambda: self._reloads.view() if self._reloads else None
        parts.commands.add("reload", self._reload)
        parts.commands.add("status", partial(self._status, parts.commands.do_status))
        return parts

    def _application(self, parts: Parts) -> web.Application:
        organization = parts.configuration.organization
        application = server.build(
            webhooks=parts.webhooks,
            accept=parts.intake.accept,
            store=parts.store,
            corrections=parts.corrections,
            keys=parts.keys,
            desks=parts.desks,
            metrics=parts.metrics,
            ready=lambda: _not_ready(parts),
            degraded=lambda: _degraded(parts),
            channels=parts.lives.report,
            wake=parts.wake,
            public_url=organization.public_url,
            organization=organization.name,
            colour=organization.colour,
            max_message_bytes=MAX_MESSAGE_BYTES,
            zone=ZoneInfo(organization.timezone),
            log=self._log,
        )
        add_console(application, parts)
        self._extend(parts, application)
        return application

    async def _look(self) -> None:
        await self._shift.watch.look()

    async def _send_digest(self) -> None:
        await self._shift.digest.send_if_due()

    # --- commands -----------------------------------------------------------------------------------------------------

    async def _answer(self, command: str, arguments: dict[str, Any]) -> Any:
        return await self._shift.parts.commands.run(command, arguments)

    async def _status(self, ledger: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Return the ledger, and which configuration is in force."""
        told = await ledger()
        return {**told, "configuration": self._reloads.view()} if self._reloads else told

    async def _reload(self) -> dict[str, Any]:
        if self._reloads is None:
            raise SignpostError("this daemon doesn't read its configuration again: restart it")
        return await self._reloads.now()

    # --- reload -------------------------------------------------------------------------------------------------------

    def _reloading(self, read: Callable[[], Configuration], watch: FileWatch) -> Reloads[Configuration]:
        tell = self._shift.parts.lasting.tell
        return Reloads(read, self._apply, watch, tell=tell, notify=self._notify, clock=self._clock, log=self._log)

    async def _apply(self, configuration: Configuration) -> dict[str, Any]:
        """Follow another configuration from now on, and return what it changes; raise, and everything stays as it was.

        Whatever can fail comes first; then all is exchanged between two turns of the event loop.
        """
        before = self._shift
        if configuration.store != before.parts.configuration.store:
            raise _restart_for(configuration, "store", "can't change while Signpost runs")
        parts = await self._assemble(configuration, before.parts.store, before.parts)
        shift = Shift(parts, Behind(self._application(parts)), self._tasks)
        try:
            await shift.pages.prepare()
            await shift.prepare(before)
            shift.site = await self._site(configuration, before)
            if self._stop.is_set():
                raise SignpostError("Signpost is stopping")
        except BaseException:
            await shift.discard(before)
            raise
        self._front.use(shift.pages)
        shift.replace(before)
        self._shift = shift
        return shift.changes(before)

    async def _site(self, configuration: Configuration, before: Shift) -> web.TCPSite | None:
        address = configuration.http.listen
        if address == before.parts.configuration.http.listen:
            return before.site
        try:
            return await self._front.listen(address)
        except OSError as error:
            raise _restart_for(configuration, "http", f"can't listen on {address}: {error.strerror}") from error

    # --- the end ------------------------------------------------------------------------------------------------------

    async def _until_stopped(self) -> None:
        """Wait for the signal; raise what a part died of (the store is broken: better no daemon than a lying one)."""
        fault: asyncio.Future[Any] = self._tasks.fault
        stopped: asyncio.Future[Any] = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait([stopped, fault], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if fault.done():
            fault.result()

    async def _drain(self) -> None:
        """Finish what is under way, and let go of everything else."""
        shift, tasks, parts = self._shift, self._tasks, self._shift.parts
        parts.crew.stop()
        for task in tasks.running():
            if not task.get_name().startswith((*STAGES, ENDING, _HEARTBEAT)):  # what is under way needs its leases
                task.cancel()
        await _at_most(_BATCH_S, tasks.running() - tasks.running(ENDING, _HEARTBEAT))
        await asyncio.gather(*(dispatcher.drain(_DRAIN_S) for dispatcher in parts.sending))
        await _at_most(_END_S, tasks.running(ENDING))
        await tasks.cancel()
        await parts.parsers.aclose()
        await shift.aclose()


async def _at_most(seconds: float, tasks: set[asyncio.Task[None]]) -> None:
    """Wait for the end of tasks, for a while."""
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


def _restart_for(configuration: Configuration, section: str, what: str) -> ConfigError:
    hint = "restart Signpost to use it, or set it back"
    return ConfigError([problem_at(configuration.path, (section,), what, hint)])


def _tell_others(hints: Hints, worker: str) -> None:
    """Let other daemons help with what all of them do."""
    if worker.startswith(STAGES):
        hints.tell(worker)


def _not_ready(parts: Parts) -> list[str]:
    reasons = []
    if not parts.heartbeat.alive():
        reasons.append(parts.heartbeat.trouble or "the store hasn't answered for a while")
    return reasons


def _degraded(parts: Parts) -> dict[str, str]:
    found = parts.lives.degraded()
    if parts.serving.current() is None:
        found["classifier"] = "no model serves: everything goes to the fallback"
    return found


def run_until_signal(daemon: Daemon, extend: Extend = lambda _parts, _app: None) -> None:
    """Run a daemon in this process until SIGTERM or SIGINT."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, daemon.stop)
        loop.add_signal_handler(signal.SIGHUP, daemon.hang_up)
        await daemon.run(extend)

    asyncio.run(main())
