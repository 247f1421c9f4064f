"""Build the parts of a daemon from its configuration. Nothing runs yet."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from channels import _mime
from classifiers._text import prepare
from router.alerts import Alerts
from router.commands import Commands
from router.destinations import Desks
from router.dispatch import Dispatcher
from router.forwarding import Forwarding
from router.intake import Intake
from router.interfaces import Context, mail_domain
from router.language import Language
from router.learning.corrections import Corrections
from router.metrics import Metrics
from router.model_commands import ModelCommands
from router.orphans import Orphans
from router.plugins import classifier_types
from router.records import Notice
from router.routing.model import Model
from router.routing.route import Router
from router.routing.rules import Rule, Rules
from router.routing.schools import Schools
from router.routing.stage import DecideStage
from router.routing.steps import Loops, OptOut, Suspicion, Unreadable
from router.routing.threads import Threads
from router.routing.urgent import Urgent
from router.serving import Serving
from router.signing import KeyRing
from router.store import keys
from router.store.cursors import StoredCursor
from router.understand import ParserPool
from router.upkeep import Heartbeat
from router.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from structlog.typing import FilteringBoundLogger

    from config.load import Configuration
    from config.schema import DestinationSettings
    from router.interfaces import Channel, Clock, Sink, Source, Step, Webhook
    from router.records import Destination
    from router.store.engine import Store

MAX_MESSAGE_BYTES = 26_214_400
THREAD_WINDOW = timedelta(minutes=30)
SUSPECTS_AFTER_S = 2.0  # what earlier daemons died over waits so long: one that dies sooner has not died of it
DECIDERS = 2  # batches under way at once: one is parsed while the other commits
_POLL_S = 1.0
_PARSE = "channels._mime:understand"


@dataclass(kw_only=True)
class Parts:
    """What a daemon is made of."""

    store: Store
    clock: Clock
    log: FilteringBoundLogger
    keys: KeyRing
    desks: Desks
    alerts: Alerts
    metrics: Metrics
    corrections: Corrections
    serving: Serving
    intake: Intake
    parsers: ParserPool
    heartbeat: Heartbeat
    orphans: Orphans = field(init=False)
    commands: Commands
    router: Router
    workers: list[Worker]
    dispatchers: list[Dispatcher] = field(default_factory=list)
    sinks: list[Sink] = field(default_factory=list)
    sources: dict[str, Source] = field(default_factory=dict)
    webhooks: dict[str, tuple[Channel, Webhook]] = field(default_factory=dict)

    def wake(self) -> None:
        """There may be work for any stage."""
        for worker in self.workers:
            worker.wake()

    async def tell(self, kind: str, notice: Notice) -> None:
        """Tell operations about trouble of one kind."""
        now = self.clock.now()
        if await self.store.write(lambda c: self.alerts.tell(c, kind, notice, now)):
            self.wake()

    async def refresh_model(self) -> None:
        """Follow the registry: another champion may have been promoted, here or by another daemon."""
        if await self.serving.refresh():
            self.metrics.serves(self.serving.version)
            self.log.info("model_serves", model=self.serving.version)


async def assemble(configuration: Configuration, store: Store, rng: Random, log: FilteringBoundLogger) -> Parts:
    """Return the parts of a daemon on an open store."""
    clock = store.clock
    signing, mail_secret = await store.write(lambda c: keys.load(c, clock.now()))
    ring = KeyRing(signing, mail_secret)
    desks = Desks(configuration.departments, configuration.schools, configuration.routing.fallback)
    alerts = Alerts(records(configuration.operations.alerts), records(configuration.routing.urgent.notify))
    corrections = Corrections(desks, alerts)
    metrics = Metrics()
    workers: list[Worker] = []

    def wake() -> None:
        for worker in workers:
            worker.wake()

    async def refused(why: str) -> None:
        log.error("model_refused", why=why)
        text = f"The champion can't be used: {why}\nThe last good model keeps serving.\n"
        notice = Notice(subject="A model was refused", text=text)
        await store.write(lambda c: alerts.tell(c, "model", notice, clock.now()))
        wake()

    serving = Serving(store, classifier_types(), configuration.routing.target_error, refused)
    parts = Parts(
        store=store,
        clock=clock,
        log=log,
        keys=ring,
        desks=desks,
        alerts=alerts,
        metrics=metrics,
        corrections=corrections,
        serving=serving,
        intake=Intake(
            store,
            mail_id=_mime.mail_id,
            wake=partial(_wake, workers, "decide"),
            max_message_bytes=MAX_MESSAGE_BYTES,
            metrics=metrics,
            log=log,
        ),
        parsers=ParserPool(_PARSE),
        heartbeat=Heartbeat(store, secrets.token_hex(8), log),
        commands=Commands(store, corrections, wake),
        router=_router(configuration, store, ring, serving, log),
        workers=workers,
    )
    ModelCommands(
        store,
        classifier_types(),
        departments=configuration.departments,
        fallback=configuration.routing.fallback,
        target_error=configuration.routing.target_error,
        refresh=parts.refresh_model,
    ).offer(parts.commands)
    _add_deciders(parts)
    _add_channels(parts, configuration, rng)
    return parts


def steps(
    configuration: Configuration, store: Store, keys_: KeyRing, serving: Serving, log: FilteringBoundLogger
) -> tuple[Step, ...]:
    """Return the path of a decision, in order: the first step with an answer wins, the last always answers."""
    fallback = configuration.routing.fallback
    domain = mail_domain(configuration.organization.public_url)
    schools = Schools(configuration.schools)
    rules = [
        Rule(name=rule.name, to=rule.to, conditions=rule.when.model_dump(mode="json", exclude_none=True))
        for rule in configuration.rules
    ]
    return (
        Urgent(),
        Loops(store, keys_, domain, _desk_addresses(configuration)),
        OptOut(),
        Threads(store, keys_, domain, THREAD_WINDOW),
        Rules(rules, schools.recognise),
        Unreadable(fallback),
        Suspicion(fallback),
        Model(serving.current, prepare, configuration.departments, fallback, log),
    )


def _desk_addresses(configuration: Configuration) -> frozenset[str]:
    """Return every address we deliver to, in lower case: automatic mail from there would go round in circles."""
    told = records((*configuration.operations.alerts, *configuration.routing.urgent.notify))
    at_schools = (to for school in configuration.schools for tos in school.deliver.values() for to in tos)
    at_desks = (to for department in configuration.departments for to in department.deliver)
    return frozenset(destination.to.casefold() for destination in (*told, *at_schools, *at_desks))


def _router(
    configuration: Configuration, store: Store, keys_: KeyRing, serving: Serving, log: FilteringBoundLogger
) -> Router:
    return Router(
        steps(configuration, store, keys_, serving, log),
        fallback=configuration.routing.fallback,
        schools=Schools(configuration.schools),
        observe=configuration.routing.mode == "observe",
        clock=store.clock,
        log=log,
    )


def _add_deciders(parts: Parts) -> None:
    language = Language()
    stage = DecideStage(
        parts.store,
        parts.router,
        daemon_id=parts.heartbeat.daemon_id,
        understand=parts.parsers.understand,
        glance=parts.parsers.glance,
        language_of=lambda content: language.detect(f"{content.subject}\n{content.text}"),
        desks=parts.desks,
        alerts=parts.alerts,
        wake=partial(_wake, parts.workers, "dispatch"),
        metrics=parts.metrics,
        log=parts.log,
        suspects_after_s=SUSPECTS_AFTER_S,
    )
    parts.orphans = Orphans(parts.store, parts.heartbeat.daemon_id, lambda: stage.holding, parts.dispatchers, parts.log)
    parts.workers.extend(Worker(f"decide-{n}", stage.run_once, poll_s=_POLL_S, log=parts.log) for n in range(DECIDERS))


def _wake(workers: Sequence[Worker], stage: str) -> None:
    """Wake the workers of one stage only: a look into the store for nothing costs as much as one for something."""
    for worker in workers:
        if worker.name.startswith(stage):
            worker.wake()


def _add_channels(parts: Parts, configuration: Configuration, rng: Random) -> None:
    forwarding = Forwarding(
        configuration.organization.name,
        configuration.organization.public_url,
        ZoneInfo(configuration.organization.timezone),
        parts.keys,
        parts.desks,
    )
    for name, configured in configuration.channels.items():
        channel, context = configured.channel, _context(parts, configuration, name)
        if channel.source is not None and channel.takes_in(configured.settings):
            parts.sources[name] = channel.source(configured.settings, context)
        if channel.webhook is not None:
            parts.webhooks[name] = (channel, channel.webhook(configured.settings, context))
        if channel.sink is not None:
            _add_sink(parts, name, channel.sink(configured.settings, context), forwarding, rng)


def _add_sink(parts: Parts, name: str, sink: Sink, forwarding: Forwarding, rng: Random) -> None:
    dispatcher = Dispatcher(
        name,
        sink,
        parts.store,
        daemon_id=parts.heartbeat.daemon_id,
        forwarding=forwarding,
        alerts=parts.alerts,
        alive=parts.heartbeat.alive,
        rng=rng,
        metrics=parts.metrics,
        log=parts.log,
        suspects_after_s=SUSPECTS_AFTER_S,
    )
    worker = Worker(f"dispatch-{name}", dispatcher.run_once, poll_s=_POLL_S, log=parts.log)
    dispatcher.wake = worker.wake
    parts.workers.append(worker)
    parts.dispatchers.append(dispatcher)
    parts.sinks.append(sink)


def _context(parts: Parts, configuration: Configuration, name: str) -> Context:
    return Context(
        name=name,
        organization=configuration.organization.name,
        public_url=configuration.organization.public_url,
        languages=tuple(configuration.organization.languages),
        clock=parts.clock,
        signer=parts.keys,
        departments=configuration.departments,
        schools=configuration.schools,
        fallback=configuration.routing.fallback,
        max_message_bytes=MAX_MESSAGE_BYTES,
        on_proof=partial(_proven, parts, name),
        cursor=partial(StoredCursor, parts.store, name),
    )


def _proven(parts: Parts, name: str) -> None:
    parts.metrics.proven(name, parts.clock.now().timestamp())


def records(settings: Sequence[DestinationSettings]) -> tuple[Destination, ...]:
    """Return destinations as the rest of the program knows them."""
    return tuple(destination.record() for destination in settings)
