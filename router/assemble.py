"""Build the parts of a daemon from its configuration, at the start and for a reload. Nothing runs yet."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from channels import _failures, _mime
from classifiers._text import prepare, readings
from config.files import named_in
from router.alerts import Alerts
from router.commands import Commands
from router.destinations import Desks, addresses
from router.dispatch import Dispatcher
from router.files import content
from router.forwarding import Forwarding
from router.hearing import Hearing
from router.ids import normalise
from router.intake import Intake
from router.interfaces import Context, mail_domain
from router.learning.build import corrections_of, learning_workers, offer_commands
from router.life.care import Care, watched
from router.life.channel_watch import ChannelWatch
from router.life.lives import KEEP_S, Lives
from router.metrics import Metrics
from router.orphans import Orphans
from router.parts import Lasting, Outlet, Parts
from router.plugins import classifier_types
from router.records import Notice
from router.returns import Returns
from router.routing.breakers import Breakers, Limits
from router.routing.build import POLL_S, SUSPECTS_AFTER_S, add_deciders
from router.routing.lookout import Lookout
from router.routing.model import Model
from router.routing.quotes import Quotes
from router.routing.reports import Reports
from router.routing.restored import Restored
from router.routing.route import Router
from router.routing.rules import Rule, Rules
from router.routing.schools import Schools
from router.routing.spam import Spam
from router.routing.statutory import Statutory
from router.routing.steps import Loops, OptOut, Suspicion, Unreadable
from router.routing.threads import Threads
from router.routing.urgent import Urgent
from router.serving import Serving
from router.signing import KeyRing
from router.store import keys, restored, whereabouts
from router.store.cursors import StoredCursor
from router.understand import ParserPool
from router.upkeep import Heartbeat
from router.user_commands import UserCommands
from router.workers import Crew, Worker

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from structlog.typing import FilteringBoundLogger

    from config.load import Configuration
    from config.schema import DestinationSettings
    from router.interfaces import Sink
    from router.records import Destination
    from router.routing.answer import Step
    from router.routing.stage import DecideStage
    from router.store.engine import Store
    from router.whereabouts import Whereabouts

MAX_MESSAGE_BYTES = 26_214_400
_PARSE = "channels._mime:understand"


async def assemble(
    configuration: Configuration,
    store: Store,
    rng: Random,
    log: FilteringBoundLogger,
    before: Parts | None = None,
) -> Parts:
    """Return the parts of a daemon on an open store.

    For a reload they are made with what lasts, and what hasn't changed, of those `before`. Nothing of these is touched:
    see `take_over`.
    """
    marks = await asyncio.to_thread(_marks, configuration)
    schools = await asyncio.to_thread(_schools, configuration, log)
    lasting = before.lasting if before else await _lasting(configuration, store, rng, log)
    routing = configuration.routing
    desks = Desks(configuration.departments, configuration.schools, routing.fallback, routing.copies())
    parts = Parts(
        **{each.name: getattr(lasting, each.name) for each in fields(Lasting)},
        lasting=lasting,
        configuration=configuration,
        desks=desks,
        corrections=(corrections := corrections_of(configuration, desks, lasting.alerts)),
        commands=Commands(store, corrections, lasting.wake, channels=lasting.lives.fresh_report),
        forwarding=Forwarding(
            configuration.organization.name,
            configuration.organization.public_url,
            ZoneInfo(configuration.organization.timezone),
            lasting.keys,
            desks,
            console=configuration.console is not None,
        ),
        router=_router(configuration, schools, lasting),
        workers=[lasting.looker],
        marks=marks,
    )
    offer_commands(parts, schools)
    UserCommands(store, desks.departments, desks.schools).offer(parts.commands)
    add_deciders(parts)
    parts.workers.extend(learning_workers(parts))
    _add_channels(parts, before)
    return parts


async def _lasting(configuration: Configuration, store: Store, rng: Random, log: FilteringBoundLogger) -> Lasting:
    """Return what is made once."""
    signing, mail_secret = await store.write(lambda c: keys.load(c, store.clock.now()))
    alerts, metrics, crew, lives = Alerts(*_alerted(configuration)), Metrics(), Crew(), Lives(store)
    await lives.exchange()
    heartbeat = Heartbeat(store, secrets.token_hex(8), log)
    deciding: list[DecideStage] = []
    sending: list[Dispatcher] = []

    async def refused(why: str) -> None:
        log.error("model_refused", why=why)
        text = f"The champion can't be used: {why}\nThe last good model serves, or the bundled one.\n\n"
        text += "No training runs until a model that can be used is the champion:\n"
        text += "  signpost models list\n  signpost models promote VERSION\n"
        await lasting.tell("model", Notice(subject="A model was refused", text=text))

    async def reduced(why: str) -> None:
        log.error("model_reduced", why=why)
        text = f"Messages are routed, but less of them and less surely: {why}.\nMend it, then restart the daemon.\n"
        await lasting.tell("model", Notice(subject="The model serves without its encoder", text=text))

    def held() -> set[str]:
        return {message_id for stage in deciding for message_id in stage.holding}

    serving = Serving(store, classifier_types(), configuration.routing.target_error, refused, reduced)
    parsers = ParserPool(_PARSE)
    wake, urgent = partial(crew.wake, "lookout"), Urgent(serving.classifier, readings, log)
    lookout = Lookout(store, parsers.understand, urgent, wake=wake, log=log)
    lasting = Lasting(
        store=store,
        clock=store.clock,
        rng=rng,
        log=log,
        keys=KeyRing(signing, mail_secret),
        alerts=alerts,
        metrics=metrics,
        serving=serving,
        crew=crew,
        intake=Intake(
            store,
            mail_id=_mime.mail_id,
            wake=partial(crew.wake, "decide"),
            note=lookout.note,
            max_message_bytes=MAX_MESSAGE_BYTES,
            metrics=metrics,
            log=log,
        ),
        parsers=parsers,
        heartbeat=heartbeat,
        orphans=Orphans(store, heartbeat.daemon_id, held, sending, log),
        lives=lives,
        looker=_looker(store, alerts, lives, log),
        lookout=lookout,
        restored_at=await store.read(lambda c: restored.since(c, store.clock.now())),
        deciding=deciding,
        sending=sending,
    )
    return lasting


def _looker(store: Store, alerts: Alerts, lives: Lives, log: FilteringBoundLogger) -> Worker:
    """Return what looks at how the channels are."""
    watch = ChannelWatch(store, alerts, lives)

    async def run_once() -> int:
        if await lives.keep():
            await watch.look()
        return 0

    return Worker("lives", run_once, poll_s=KEEP_S, log=log)


def _marks(configuration: Configuration) -> dict[str, object]:
    """Return what each channel's source and sink are built from: where that stays the same, so do they.

    What departments there are is no part of it: of a channel, only a page shows them, and webhooks are built anew.
    """
    organization = configuration.organization
    common = (organization.name, organization.public_url, tuple(organization.languages))
    return {
        name: (channel.channel, channel.settings, content(named_in(channel.settings)), *common)
        for name, channel in configuration.channels.items()
    }


def take_over(parts: Parts) -> None:
    """Let what lasts follow the configuration of these parts from now on."""
    parts.alerts.change(*_alerted(parts.configuration))
    parts.serving.aim(parts.configuration.routing.target_error)
    parts.lives.follow(parts.watched)
    for outlet in parts.outlets.values():
        outlet.dispatcher.forwarding = parts.forwarding
    parts.crew.change(parts.workers)


def _schools(configuration: Configuration, log: FilteringBoundLogger) -> Schools:
    organization = configuration.organization
    schools = Schools.reading(configuration.schools, organization.name, organization.contacts_file)
    if contacts := schools.contacts:
        log.info("contacts_read", rows=contacts.rows, contacts=len(contacts), unknown_schools=contacts.unknown)
    return schools


def steps(configuration: Configuration, schools: Schools, lasting: Lasting) -> tuple[Step, ...]:
    """Return the path of a decision, in order: the first step with an answer wins, the last always answers."""
    store, keys_, routing = lasting.store, lasting.keys, configuration.routing
    spam = Spam(fallback=routing.fallback, where=routing.spam)
    zone = ZoneInfo(configuration.organization.timezone)
    domain = mail_domain(configuration.organization.public_url)
    quotes, desks = Quotes(store, keys_, domain), _desk_addresses(configuration)
    rules = [Rule(name=rule.name, to=rule.to, conditions=rule.conditions()) for rule in configuration.rules]
    return (
        Urgent(lasting.serving.classifier, readings, lasting.log, quotes.said_anew),
        Statutory(),
        Restored(store, lasting.restored_at),
        Reports(store, keys_, domain, _mailboxes(configuration), _failures.is_for_good),
        Loops(store, keys_, domain, desks),
        Breakers(
            store,
            desks,
            Limits(**dict(routing.loops)),
            lambda content: prepare(content, "email").body,
            addresses(configuration.departments, configuration.schools, ()),
        ),
        OptOut(),
        Threads(store, keys_, domain, routing.thread_window),
        Rules(rules, schools.recognise, zone),
        Unreadable(routing.fallback),
        Suspicion(spam),
        Model(lasting.serving.current, prepare, configuration.departments, spam, lasting.log, split=routing.split),
    )


def _mailboxes(configuration: Configuration) -> frozenset[str]:
    """Return the channels that mail comes in by as a mail server wrote it."""
    channels = configuration.channels.items()
    return frozenset(name for name, each in channels if each.channel.source and each.channel.takes_in(each.settings))


def _desk_addresses(configuration: Configuration) -> frozenset[str]:
    return addresses(configuration.departments, configuration.schools, configuration.told)


def _router(configuration: Configuration, schools: Schools, lasting: Lasting) -> Router:
    return Router(
        steps(configuration, schools, lasting),
        fallback=configuration.routing.fallback,
        schools=schools,
        observe=configuration.routing.mode == "observe",
        clock=lasting.clock,
        log=lasting.log,
    )


def _add_channels(parts: Parts, before: Parts | None) -> None:
    heartbeat = parts.heartbeat
    count = parts.metrics.refused
    care = Care(parts.store, parts.lives, heartbeat.daemon_id, heartbeat.alive, parts.log, count_refusal=count)
    for name, configured in parts.configuration.channels.items():
        channel, settings, context = configured.channel, configured.settings, _context(parts, name)
        same = before if before and before.marks.get(name) == parts.marks[name] else None
        source = webhook = sink = None
        if channel.source is not None and channel.takes_in(settings):
            source = same.sources[name] if same else care.source(channel, settings, context)
            parts.sources[name] = source
        if channel.webhook is not None:
            webhook = care.webhook(channel, settings, context)
            parts.webhooks[name] = (channel, webhook)
        if channel.sink is not None:
            outlet = same.outlets[name] if same else _outlet(parts, name, care.sink(channel, settings, context))
            sink = outlet.sink
            parts.outlets[name] = outlet
            parts.workers.append(outlet.worker)
        parts.watched |= watched(name, channel, settings, source or webhook, sink)


def _outlet(parts: Parts, name: str, sink: Sink) -> Outlet:
    dispatcher = Dispatcher(
        name,
        sink,
        parts.store,
        daemon_id=parts.heartbeat.daemon_id,
        forwarding=parts.forwarding,
        alerts=parts.alerts,
        alive=parts.heartbeat.alive,
        rng=parts.rng,
        metrics=parts.metrics,
        log=parts.log,
        suspects_after_s=SUSPECTS_AFTER_S,
    )
    worker = Worker(f"dispatch-{name}", dispatcher.run_once, poll_s=POLL_S, log=parts.log)
    dispatcher.wake = worker.wake
    return Outlet(sink=sink, dispatcher=dispatcher, worker=worker)


def _context(parts: Parts, name: str) -> Context:
    configuration = parts.configuration
    returns = Returns(parts.alerts, parts.desks, parts.rng)
    hearing = Hearing(parts.store, returns, partial(parts.crew.wake, "dispatch"), parts.log)
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
        cursor=partial(StoredCursor, parts.store, name),
        hear=partial(hearing.hear, name),
        whereabouts=partial(_whereabouts, parts, name),
    )


async def _whereabouts(parts: Parts, channel: str, reference: str) -> Whereabouts | None:
    zone = ZoneInfo(parts.configuration.organization.timezone)
    return await parts.store.read(lambda c: whereabouts.of(c, normalise(reference), channel, zone))


def _alerted(configuration: Configuration) -> tuple[tuple[Destination, ...], tuple[Destination, ...]]:
    return records(configuration.operations.alerts), records(configuration.routing.urgent.notify)


def records(settings: Sequence[DestinationSettings]) -> tuple[Destination, ...]:
    """Return destinations as the rest of the program knows them."""
    return tuple(destination.record() for destination in settings)
