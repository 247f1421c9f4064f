"""Build what governs learning from the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from router.audit_commands import AuditCommands
from router.learning import tacit, turn, vigilance
from router.learning.corrections import Corrections
from router.learning.drift import Drift, Limits, Present
from router.learning.heirs import heirs
from router.learning.learner import LEASE, Learner
from router.learning.lessons import Rules
from router.learning.order import Order
from router.learning.retrain import Surroundings
from router.learning.terms import Terms
from router.model_commands import ModelCommands
from router.ownership import Ownership
from router.plugins import classifier_types
from router.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.load import Configuration
    from router.alerts import Alerts
    from router.destinations import Desks
    from router.parts import Parts
    from router.routing.schools import Schools
    from router.store.engine import Store


def corrections_of(configuration: Configuration, desks: Desks, alerts: Alerts) -> Corrections:
    """Return the rules of flagging and confirming."""
    return Corrections(desks, alerts, flags_per_hour=configuration.learning.caps.flags_per_hour)


def offer_commands(parts: Parts, schools: Schools) -> None:
    """Add the commands about models and audits to a daemon's others."""
    configuration = parts.configuration
    ModelCommands(
        parts.store,
        classifier_types(),
        departments=configuration.departments,
        fallback=configuration.routing.fallback,
        target_error=configuration.routing.target_error,
        schools=lambda: schools,
        refresh=parts.lasting.refresh_model,
        keep=configuration.learning.keep_models,
    ).offer(parts.commands)
    audit_commands(configuration, parts.store).offer(parts.commands)
    turn.offer(parts.commands, parts.store)


def audit_commands(configuration: Configuration, store: Store) -> AuditCommands:
    """Return the commands about audits."""
    zone = ZoneInfo(configuration.organization.timezone)
    departments = configuration.departments
    return AuditCommands(store, [desk.id for desk in departments], zone, heirs=heirs(departments))


def learning_workers(parts: Parts) -> list[Worker]:
    """Return what confirms what was kept, and what looks out for floods."""
    learning, store, log = parts.configuration.learning, parts.store, parts.log
    kept = tacit.Tacit(
        store,
        learning.tacit_confirmation,
        zone=ZoneInfo(parts.configuration.organization.timezone),
        holidays=learning.holidays,
        log=log,
    )
    watch = vigilance.Vigilance(store, parts.alerts, log, flags_per_hour=learning.caps.flags_per_hour)
    return [
        Worker("learning-tacit", kept.run_once, poll_s=tacit.LOOK_S, log=log),
        Worker("learning-watch", watch.run_once, poll_s=vigilance.LOOK_S, log=log),
    ]


def rules_of(configuration: Configuration) -> Rules:
    """Return how far each kind of word counts."""
    learning = configuration.learning
    silence, caps = learning.silence, learning.caps
    return Rules(
        silence_weight=silence.weight,
        silence_confidence=silence.min_confidence,
        silence_after=silence.after,
        silence_most=silence.most,
        person=caps.person,
        department=caps.department,
        cycle=caps.cycle,
        votes_address=caps.votes.address,
        votes_department=caps.votes.department,
        votes_cycle=caps.votes.cycle,
        outvote=learning.outvote.corrections,
        outvote_share=learning.outvote.share,
        heirs=heirs(configuration.departments),
    )


def learner_of(parts: Parts, present: Callable[[], Configuration]) -> Learner:
    """Return what trains and tries models in this daemon, by whatever configuration is in force."""
    lasting, heartbeat = parts.lasting, parts.heartbeat
    around = Surroundings(
        store=lasting.store,
        lease=Ownership(lasting.store, LEASE, heartbeat.daemon_id, heartbeat.alive),
        terms=lambda: terms_of(present()),
        refresh=lasting.refresh_model,
        tell=lasting.tell,
        log=lasting.log,
    )
    return Learner(around, drift_of(parts, around.lease, present))


def drift_of(parts: Parts, lease: Ownership, present: Callable[[], Configuration]) -> Drift:
    """Return what sees in this daemon whether anything is changing, by whatever configuration is in force."""
    lasting = parts.lasting

    def now() -> Present:
        configuration = present()
        drift = configuration.learning.drift
        return Present(
            limits=Limits(
                window=drift.window, reference=drift.reference, least=drift.least, false_alarms=drift.false_alarms
            ),
            zone=ZoneInfo(configuration.organization.timezone),
            classifier=lasting.serving.classifier(),
        )

    return Drift(lasting.store, lease, lasting.alerts, now, lasting.log)


def terms_of(configuration: Configuration) -> Terms:
    """Return when to train, and how far a challenger is tried."""
    learning = configuration.learning
    return Terms(
        order=lambda: order_of(configuration),
        departments=configuration.departments,
        target_error=configuration.routing.target_error,
        zone=ZoneInfo(configuration.organization.timezone),
        retrain_after=learning.retrain_after,
        retrain_at=learning.retrain_at,
        within=learning.retrain_within,
        shadow=learning.shadow,
        shadow_for=learning.shadow_for,
        keep=learning.keep_models,
    )


def order_of(configuration: Configuration, *, of_store: bool = True) -> Order:
    """Return what the process that trains is told; reads the store's password, if it learns from the store."""
    classifier, learning = configuration.classifier, configuration.learning
    return Order(
        store_url=configuration.store.url_with_password() if of_store else "",
        classifier=classifier.type,
        settings=classifier.settings.model_dump(mode="json"),
        departments=tuple(configuration.departments),
        fallback=configuration.routing.fallback,
        target_error=configuration.routing.target_error,
        rules=rules_of(configuration),
        files=learning.data,
        corpus=learning.corpus,
        memory=learning.retrain_memory << 20,
    )
