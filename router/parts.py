"""What a daemon is made of: the parts that last as long as it runs, and those that follow from one configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from router.last_resort import LastResort

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from random import Random

    from structlog.typing import FilteringBoundLogger

    from config.load import Configuration
    from router.alerts import Alerts
    from router.commands import Commands
    from router.destinations import Desks
    from router.dispatch import Dispatcher
    from router.forwarding import Forwarding
    from router.intake import Intake
    from router.interfaces import Channel, Clock, Sink, Source, Webhook
    from router.learning.corrections import Corrections
    from router.life.lives import Lives, Watched
    from router.metrics import Metrics
    from router.orphans import Orphans
    from router.records import Notice
    from router.routing.lookout import Lookout
    from router.routing.route import Router
    from router.routing.stage import DecideStage
    from router.serving import Serving
    from router.signing import KeyRing
    from router.store.engine import Store
    from router.store.lives import Key
    from router.understand import ParserPool
    from router.upkeep import Heartbeat
    from router.workers import Crew, Worker


@dataclass(kw_only=True)
class Lasting:
    """What a reload leaves as it is: the store, the model, the readers of messages, and what is under way."""

    store: Store
    clock: Clock
    rng: Random
    log: FilteringBoundLogger
    keys: KeyRing
    alerts: Alerts
    metrics: Metrics
    serving: Serving
    crew: Crew
    intake: Intake
    parsers: ParserPool
    heartbeat: Heartbeat
    orphans: Orphans
    lives: Lives
    looker: Worker  # at how the channels are
    lookout: Lookout  # for alarms among what waits
    restored_at: datetime | None  # if the store comes out of a backup: when a daemon first ran on it
    deciding: list[DecideStage]  # the stages that hold messages, and
    sending: list[Dispatcher]  # the dispatchers that hold deliveries: those of former configurations until they end

    def wake(self) -> None:
        """There may be work for any stage."""
        self.crew.wake()

    async def tell(self, kind: str, notice: Notice) -> None:
        """Tell operations about trouble of one kind."""
        now = self.clock.now()
        if await self.store.write(lambda c: self.alerts.tell(c, kind, notice, now)):
            self.wake()

    async def tell_once(self, kind: str, notice: Notice) -> None:
        """Tell operations about trouble of one kind that is told when it is over, too (`router.life.channel_watch`)."""
        now = self.clock.now()
        if await self.store.write(lambda c: self.alerts.tell_once(c, kind, notice, now)):
            self.wake()

    async def refresh_model(self) -> None:
        """Follow the registry: another champion may have been promoted, here or by another daemon."""
        if await self.serving.refresh():
            self._serves()

    async def stand_in(self, version: str) -> None:
        """Let a version serve for a champion that can't be used."""
        await self.serving.stand_in(version)
        self._serves()

    def _serves(self) -> None:
        self.metrics.serves(self.serving.version)
        self.log.info("model_serves", model=self.serving.version)


@dataclass(frozen=True, eq=False, kw_only=True)
class Outlet:
    """A sink and what sends by it."""

    sink: Sink
    dispatcher: Dispatcher
    worker: Worker


@dataclass(kw_only=True)
class Parts(Lasting):
    """Everything, as it follows from one configuration.

    Sources and outlets of channels that a reload doesn't change are the former ones: the very same objects.
    """

    lasting: Lasting
    configuration: Configuration
    desks: Desks
    corrections: Corrections
    commands: Commands
    forwarding: Forwarding
    router: Router
    stage: DecideStage = field(init=False)
    workers: list[Worker] = field(default_factory=list)
    marks: dict[str, object] = field(default_factory=dict)  # by channel: what it is built from
    sources: dict[str, Source] = field(default_factory=dict)
    webhooks: dict[str, tuple[Channel, Webhook]] = field(default_factory=dict)
    outlets: dict[str, Outlet] = field(default_factory=dict)
    watched: dict[Key, Watched] = field(default_factory=dict)  # how each channel is looked after
    reread: Callable[[], Configuration] | None = None  # reads the files again, where the daemon reloads
    standing: Callable[[], dict[str, Any] | None] = lambda: None  # `Reloads.view`, where it does


def last_resort_of(parts: Parts, present: Callable[[], Parts]) -> LastResort:
    """Return what tells operations that nothing can be stored, by the ways out of the `present` configuration."""

    def ways() -> dict[str, Sink]:
        return {name: outlet.sink for name, outlet in present().outlets.items()}

    return LastResort(
        parts.store,
        parts.heartbeat,
        parts.alerts,
        ways,
        organization=parts.configuration.organization.name,
        domain=parts.forwarding.domain,
        wake=parts.wake,
        log=parts.log,
    )
