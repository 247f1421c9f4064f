"""Put together what decides: the deciding stage, the look-out for alarms among what waits, and their escalation."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from router.answers.build import answers_of
from router.destinations import addresses
from router.learning.audit import Audit
from router.returns import Returns
from router.routing.earlier import Earlier
from router.routing.stage import DecideStage
from router.urgency import LOOK_S, Escalation
from router.workers import Worker

if TYPE_CHECKING:
    from router.parts import Parts

SUSPECTS_AFTER_S = 2.0  # what earlier daemons died over waits so long: one that dies sooner has not died of it
DECIDERS = 2  # batches under way at once: one is parsed while the other commits
POLL_S = 1.0


def add_deciders(parts: Parts) -> None:
    """Put what decides, what looks ahead of it, and what passes alarms on among the workers of these parts."""
    configuration = parts.configuration
    told = addresses(configuration.departments, configuration.schools, configuration.told)
    parts.stage = stage = DecideStage(
        parts.store,
        parts.router,
        daemon_id=parts.heartbeat.daemon_id,
        understand=parts.parsers.understand,
        glance=parts.parsers.glance,
        desks=parts.desks,
        alerts=parts.alerts,
        returns=Returns(parts.alerts, parts.desks, parts.rng),
        answers=answers_of(configuration, parts.desks, parts.keys, told),
        audit=Audit(configuration.learning.audit_rate),
        earlier=Earlier(parts.store, configuration.routing.thread_window),
        lookout=parts.lookout,
        wake=partial(parts.crew.wake, "dispatch"),
        metrics=parts.metrics,
        log=parts.log,
        suspects_after_s=SUSPECTS_AFTER_S,
    )
    poll_s = DECIDERS * POLL_S  # each seldom, for together they look as often
    parts.workers.extend(Worker(f"decide-{n}", stage.run_once, poll_s=poll_s, log=parts.log) for n in range(DECIDERS))
    parts.workers.append(Worker("lookout", parts.lookout.run_once, poll_s=POLL_S, log=parts.log))
    urgent, zone = configuration.routing.urgent, ZoneInfo(configuration.organization.timezone)
    then = [each.record() for each in urgent.then]
    escalation = Escalation(parts.store, parts.alerts, then=then, after=urgent.escalate_after, zone=zone, log=parts.log)
    parts.workers.append(Worker("urgent", escalation.run_once, poll_s=LOOK_S, log=parts.log))
