"""Deliveries that came back: a dead letter that people hear of and whose message the fallback gets, or another attempt.

Everything here happens in the transaction that files the report, so that it happens once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from router.records import DeliveryKind, DeliveryState, Notice
from router.retry import RetryPolicy
from router.store import decisions, deliveries, marks, reports

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from sqlalchemy import Connection

    from router.alerts import Alerts
    from router.destinations import Desks
    from router.records import Decision, Delivery, Returned

_ONE_ALERT = timedelta(days=1)  # that one address takes no alerts is told so often: that alert may come back, too


class Returns:
    """Takes deliveries back."""

    def __init__(self, alerts: Alerts, desks: Desks, rng: Random, policy: RetryPolicy | None = None) -> None:
        self._alerts = alerts
        self._desks = desks
        self._rng = rng
        self._policy = policy or RetryPolicy()

    def take(self, connection: Connection, returned: Returned, now: datetime) -> None:
        """Do what a report on a delivery of ours asks for; nothing if that delivery has come back already."""
        delivery = deliveries.get(connection, returned.delivery_id)
        if delivery is None:
            return
        again = None if returned.lasting else self._policy.after_return(delivery, now, self._rng)
        if again is not None and reports.is_wanted(connection, delivery):
            if reports.send_again(connection, delivery.id, again, returned.reason):
                self._tell(connection, delivery, returned.reason, now, is_over=False)
        elif reports.bury(connection, delivery.id, returned.reason, now):
            self._tell(connection, delivery, returned.reason, now, is_over=True)

    def _tell(self, connection: Connection, delivery: Delivery, reason: str, now: datetime, *, is_over: bool) -> None:
        if delivery.kind is DeliveryKind.ALERT:
            self._tell_others(connection, delivery, reason, now)
            return
        decision = decisions.get(connection, delivery.decision_id) if delivery.decision_id else None
        instead = False
        if decision is not None and (is_over or decision.urgent):
            instead = self._let_fallback_stand_in(connection, delivery, decision, now)
        fallback = self._desks.name(self._desks.fallback)
        text = (
            f"Delivery {delivery.id} of message {delivery.message_id} came back: {reason}\n"
            + ("" if is_over else "It will be sent again.\n")
            + (f"{fallback} gets the message as well.\n" if instead else "")
            + f"\nLook at the message:  signpost messages show {delivery.message_id}\n"
            + (f"Send it again:        signpost deliveries retry {delivery.id}\n" if is_over else "")
        )
        notice = Notice(subject=f"Delivery {delivery.id} came back", text=text)
        self._alerts.tell(connection, DeliveryState.DEAD.value if is_over else "returned", notice, now)

    def _let_fallback_stand_in(
        self, connection: Connection, delivery: Delivery, decision: Decision, now: datetime
    ) -> bool:
        """Deliver the message to the fallback, too, unless it was sent there already, or passed on to others."""
        fallback = self._desks.fallback
        if not reports.is_wanted(connection, delivery):
            return False
        taken = {
            (other.via, other.to)
            for other in deliveries.of_message(connection, decision.message_id)
            if other.kind is DeliveryKind.ROUTE and other.decision_id == decision.id
        }
        wanted = self._desks.destinations(replace(decision, department=fallback))
        added = deliveries.add(
            connection,
            [each for each in wanted if (each.via, each.to) not in taken],
            kind=DeliveryKind.ROUTE,
            now=now,
            message_id=decision.message_id,
            decision_id=decision.id,
            department=fallback,
            urgent=bool(decision.urgent),
        )
        return bool(added)

    def _tell_others(self, connection: Connection, delivery: Delivery, reason: str, now: datetime) -> None:
        """Pass an alert that came back on to the others, once a day for each address: theirs may come back, too."""
        others, notice = self._alerts.others(delivery), delivery.notice
        address = sha256(f"{delivery.message_id or ''}\0{delivery.via}\0{delivery.to}".encode()).hexdigest()
        if notice is None or not others or not marks.claim(connection, f"returned:{address}", now, _ONE_ALERT):
            return
        text = f"This alert (delivery {delivery.id}) did not reach one of its addresses: {reason}\n\n{notice.text}"
        deliveries.add(
            connection,
            others,
            kind=DeliveryKind.ALERT,
            now=now,
            message_id=delivery.message_id,
            decision_id=delivery.decision_id,
            urgent=delivery.message_id is not None,
            notice=replace(notice, subject=f"Not delivered: {notice.subject}", text=text),
        )
