"""People told: urgent messages at once, and whatever waits for a person at once and again in the daily digest."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from router.again import with_remark
from router.records import DeliveryKind, DeliveryState, Destination, Notice
from router.store import alarms, deliveries, marks
from router.store.restored import AFTER_RESTORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from router.records import Delivery
    from router.routing.route import Verdict

QUIET = timedelta(minutes=15)  # the same kind of trouble is told at most this often; a summary has the rest
_ONCE = timedelta(days=36_500)
PENDING = "alert:pending"  # the mark of trouble that was not told because of that


class Alerts:
    """Puts notices into the outbox, in the transaction of what they tell about."""

    def __init__(self, operations: Sequence[Destination], urgent: Sequence[Destination]) -> None:
        self._operations = tuple(operations)
        self._urgent = tuple(urgent)

    @property
    def operations(self) -> tuple[Destination, ...]:
        """Whom to tell about trouble."""
        return self._operations

    def change(self, operations: Sequence[Destination], urgent: Sequence[Destination]) -> None:
        """From now on tell others."""
        self._operations, self._urgent = tuple(operations), tuple(urgent)

    def tell(
        self, connection: Connection, kind: str, notice: Notice, now: datetime, *, every: timedelta = QUIET
    ) -> bool:
        """Tell operations about trouble of one kind; False if they were told a moment ago (then a summary follows)."""
        if not self._operations:
            return False
        if not marks.claim(connection, _mark(kind), now, every):
            if every == QUIET:
                marks.claim(connection, PENDING, now, timedelta(0))
            return False
        deliveries.add(connection, self._operations, kind=DeliveryKind.ALERT, now=now, notice=notice)
        return True

    def others(self, delivery: Delivery) -> list[Destination]:
        """Return whom else to tell where an alert has not reached one of its destinations."""
        told = (*self._urgent, *self._operations) if delivery.message_id else self._operations
        return [each for each in dict.fromkeys(told) if (each.via, each.to) != (delivery.via, delivery.to)]

    def tell_once(self, connection: Connection, kind: str, notice: Notice, now: datetime) -> bool:
        """Tell operations about trouble of one kind, and not again before it was told that it is over."""
        return self.tell(connection, kind, notice, now, every=_ONCE)

    def was_told(self, connection: Connection, kind: str) -> bool:
        """Return whether operations were told of trouble of this kind, and not yet that it is over."""
        return marks.get(connection, _mark(kind)) is not None

    def tell_over(self, connection: Connection, kinds: Iterable[str], notice: Notice, now: datetime) -> bool:
        """Tell operations that trouble is over; False if they were told of none of these kinds."""
        told = [kind for kind in kinds if marks.take(connection, _mark(kind))]
        if told and self._operations:
            deliveries.add(connection, self._operations, kind=DeliveryKind.ALERT, now=now, notice=notice)
        return bool(told)

    def tell_held(self, connection: Connection, message_id: str, why: str, now: datetime) -> None:
        """Tell operations that a message waits for a person."""
        text = (
            f"Message {message_id} is held: {why}.\n\n"
            f"Look at it:  signpost messages show {message_id}\n"
            f"Let it go:   signpost messages release {message_id}\n"
        )
        self.tell(connection, "held", Notice(subject=f"A message is held: {why}", text=text), now)

    def tell_unsettled(
        self, connection: Connection, delivery: Delivery, state: DeliveryState, error: str, now: datetime
    ) -> None:
        """Tell operations that a delivery is dead or unclear; of an alert at once, whatever they were told before."""
        dead = state is DeliveryState.DEAD
        what = "could not be delivered" if dead else "was probably delivered, but the answer was lost twice"
        text = (
            f"Delivery {delivery.id} {what}: {error}\n\n"
            f"Look at all of them:  signpost deliveries list\n"
            f"Try again:            signpost deliveries retry {delivery.id}\n"
        )
        if delivery.kind is DeliveryKind.ALERT and delivery.message_id is not None:
            self._tell_alert_lost(connection, delivery, what, text, now)
        else:
            self.tell(connection, state.value, Notice(subject=f"Delivery {delivery.id} {what}", text=text), now)

    def _tell_alert_lost(self, connection: Connection, delivery: Delivery, what: str, text: str, now: datetime) -> None:
        """Tell operations of an alert that somebody is to see, without a pause: each may be about another child."""
        message_id = delivery.message_id
        text = (
            f"{delivery.to} should have been told of the urgent message {message_id}.\n\n{text}"
            f"Who has been told:    signpost messages show {message_id}\n"
        )
        deliveries.add(
            connection,
            self._operations,
            kind=DeliveryKind.ALERT,
            now=now,
            urgent=True,
            notice=Notice(subject=f"An alert about the urgent message {message_id} {what}", text=text),
        )

    def tell_urgent(self, connection: Connection, verdict: Verdict, decision_id: int | None, now: datetime) -> None:
        """Tell the people named for urgent messages, besides the normal route and before it.

        Of a message that was held and is decided again they are told again, unless somebody has acknowledged it.
        """
        if not alarms.raise_alarm(connection, verdict.message.id, verdict.urgent, decision_id, now):
            return
        where = verdict.decision.department if verdict.decision else f"nobody yet ({verdict.detail})"
        text = (
            f"Message {verdict.message.id} looks urgent ({verdict.urgent}). It goes to: {where}.\n"
            "Please open the link to say that you have it. What the person wrote follows; the original is attached.\n"
        )
        if verdict.decision and AFTER_RESTORE in verdict.decision.tags:
            text = with_remark(text)
        notice = Notice(subject=f"URGENT message {verdict.message.id}: {verdict.urgent}", text=text)
        deliveries.add(
            connection,
            self._urgent or self._operations,
            kind=DeliveryKind.ALERT,
            now=now,
            message_id=verdict.message.id,
            decision_id=decision_id,
            urgent=True,
            notice=notice,
        )

    def tell_unanswered(self, connection: Connection, message_id: str, so_far: str, now: datetime) -> None:
        """Tell operations that everybody was told of an urgent message and nobody has acknowledged it."""
        subject = f"Nobody has acknowledged the urgent message {message_id}"
        text = f"{subject}, and there is nobody else to tell.\n\n{so_far}\nPlease see to it yourself.\n"
        deliveries.add(
            connection,
            self._operations,
            kind=DeliveryKind.ALERT,
            now=now,
            message_id=message_id,
            urgent=True,
            notice=Notice(subject=subject, text=text),
        )


def _mark(kind: str) -> str:
    """Return the name of the mark that says when trouble of this kind was told last."""
    return f"alert:{kind}"[:128]
