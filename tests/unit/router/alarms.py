"""What the tests of urgent messages share: a district whose alarms are passed on, and its clock."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from router.records import DeliveryKind, Destination
from router.routing.answer import MarkUrgent
from router.store import alarms, deliveries
from router.urgency import Escalation
from tests.unit.router.district import ALERTS, ByFirstWord, District

AFTER = timedelta(minutes=5)
THEN = (Destination(via="relay", to="principal@district.example"), Destination(via="text", to="+15555550123"))


class Danger:
    """A step that finds every message with the word "missing" urgent."""

    name = "danger"

    async def decide(self, batch):
        """Mark them."""
        return [MarkUrgent("child missing") if "missing" in m.content.text else None for m in batch]


def alarmed(store, log, rng, **more):
    """Return a district in which "missing" is urgent."""
    return District(store, log, rng, steps=(Danger(), ByFirstWord()), **more)


def escalation(store, log, then=THEN):
    """Return what one daemon passes alarms on with."""
    zone = ZoneInfo("America/Chicago")
    return Escalation(store, ALERTS, then=then, after=AFTER, zone=zone, log=log)


async def alerts(store, message_id):
    """Return the alerts about a message, oldest first."""
    return await store.read(lambda c: alarms.alerts_of(c, message_id))


async def told(store, message_id):
    """Return whom alerts about a message went to, in order."""
    return [delivery.to for delivery in await alerts(store, message_id)]


async def notes(store):
    """Return the alerts that are about no message: (to, subject)."""
    found = await store.read(lambda c: deliveries.in_states(c, ["waiting", "delivered"], 100))
    return [
        (each.to, each.notice.subject)
        for each in found
        if each.kind is DeliveryKind.ALERT and each.message_id is None and each.notice
    ]
