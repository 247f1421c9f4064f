"""An urgent message is somebody's: until one of those told has said so, the next is told, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from router.errors import NotFound
from router.records import DeliveryKind, DeliveryState, Destination, Notice
from router.store import alarms, deliveries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.alerts import Alerts
    from router.records import Delivery
    from router.store.alarms import Alarm
    from router.store.engine import Store

LOOK_S = 5.0  # between two looks for alarms that it is time to pass on
_BATCH = 20


class Escalation:
    """Tells the next in `then` of every alarm that nobody has acknowledged for `after`; after the last, operations.

    Where nobody stands in `then`, operations are the next.

    What has been told stands in the store, so that several daemons, and one that restarts, tell each but once.
    """

    def __init__(
        self,
        store: Store,
        alerts: Alerts,
        *,
        then: Sequence[Destination],
        after: timedelta,
        zone: ZoneInfo,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._then = tuple(then)
        self._after = after
        self._zone = zone
        self._log = log

    async def run_once(self) -> int:
        """Pass on what it is time for, and return how many alarms that were."""
        now = self._store.clock.now()
        steps = len(self._then) + 1  # the last one is operations'
        found = await self._store.read(lambda c: alarms.due(c, now - self._after, steps, _BATCH))
        passed_on = 0
        for alarm in found:
            if await self._store.write(partial(self._pass_on, alarm=alarm, now=now)):
                passed_on += 1
                self._log.warning("urgent_escalated", message_id=alarm.message_id, step=alarm.told + 1)
        return passed_on

    def _pass_on(self, connection: Connection, alarm: Alarm, now: datetime) -> bool:
        if not alarms.tell_next(connection, alarm, now):
            return False
        told = alarms.alerts_of(connection, alarm.message_id)
        if alarm.told < len(self._then):
            self._tell(connection, alarm, self._then[alarm.told], told, now)
        else:
            self._alerts.tell_unanswered(connection, alarm.message_id, self._so_far(told), now)
        return True

    def _tell(
        self, connection: Connection, alarm: Alarm, to: Destination, told: Sequence[Delivery], now: datetime
    ) -> None:
        text = (
            f"Message {alarm.message_id} looks urgent ({alarm.why}), and nobody has acknowledged it.\n\n"
            f"{self._so_far(told)}\n"
            "Please open the link to say that you have it; else the next person is told.\n"
        )
        deliveries.add(
            connection,
            [to],
            kind=DeliveryKind.ALERT,
            now=now,
            message_id=alarm.message_id,
            decision_id=alarm.decision_id,
            urgent=True,
            notice=Notice(subject=f"URGENT, not acknowledged: message {alarm.message_id}: {alarm.why}", text=text),
        )

    def _so_far(self, told: Sequence[Delivery]) -> str:
        """Return who was told when, a line each."""
        if not told:
            return "Nobody has been told so far.\n"
        lines = (
            f"  {delivery.created_at.astimezone(self._zone):%H:%M}  {delivery.to} ({_HOW[delivery.state]})\n"
            for delivery in told
        )
        return "Told so far:\n" + "".join(lines)


_HOW = {
    DeliveryState.WAITING: "not sent yet",
    DeliveryState.DELIVERED: "sent",
    DeliveryState.UNCLEAR: "probably sent",
    DeliveryState.DEAD: "could not be sent",
    DeliveryState.DROPPED: "not sent",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An alarm as the recipient of one alert sees it; `by` is the alert whose recipient has acknowledged it."""

    alarm: Alarm
    alert: Delivery
    by: Delivery | None

    @property
    def mine(self) -> bool:
        """Whether this very recipient has it."""
        return self.by is not None and (self.by.via, self.by.to) == (self.alert.via, self.alert.to)


def stand(connection: Connection, delivery_id: int) -> Standing:
    """Return how the alarm behind an alert stands; raise `NotFound` if it is gone."""
    alert = deliveries.get(connection, delivery_id)
    alarm = alarms.get(connection, alert.message_id) if alert and alert.message_id else None
    if alert is None or alarm is None or alert.kind is not DeliveryKind.ALERT:
        raise NotFound("this alert isn't kept here any more")
    by = deliveries.get(connection, alarm.acknowledged_by) if alarm.acknowledged_by else None
    return Standing(alarm=alarm, alert=alert, by=by)


def acknowledge(connection: Connection, delivery_id: int, now: datetime) -> bool:
    """Let the recipient of an alert have the alarm; return False if somebody has it already.

    What has not been sent to others isn't sent any more; those who were told get a short note, so that a family isn't
    called by everyone. Raise `NotFound` if the alarm is gone.
    """
    alert = stand(connection, delivery_id).alert
    message_id = str(alert.message_id)
    if not alarms.acknowledge(connection, message_id, delivery_id, now):
        return False
    alarms.drop_unsent(connection, message_id, now)
    reached = {
        (other.via, other.to): None
        for other in alarms.alerts_of(connection, message_id)
        if other.state in (DeliveryState.DELIVERED, DeliveryState.UNCLEAR, DeliveryState.WAITING)
    }
    reached.pop((alert.via, alert.to), None)
    text = f"{alert.to} has acknowledged the urgent message {message_id}. You need not do anything.\n"
    deliveries.add(
        connection,
        [Destination(via=via, to=to) for via, to in reached],
        kind=DeliveryKind.ALERT,
        now=now,
        urgent=True,
        notice=Notice(subject=f"Message {message_id} is taken care of", text=text),
    )
    return True
