"""Corrections: a flag moves the message at once; what may be learnt from it is decided separately.

Every function here is a unit of work: moving a message, its deliveries and the record of who said so commit together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from router.errors import Conflict, NotFound
from router.learning.heirs import heirs
from router.records import Correction, CorrectionState, Decision, DeliveryKind, Reason, State
from router.routing.urgent import urgent_reason
from router.store import corrections, decisions, deliveries, messages, passing

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from router.alerts import Alerts
    from router.destinations import Desks
    from router.records import Delivery

HOUR = timedelta(hours=1)
FLAGS_PER_HOUR = 30  # from one address: with more, a program presses the buttons, or somebody in a hurry
PASSES_BEFORE_DISPUTE = 2  # the third time a message is passed on, a person at the fallback decides
NOTE_LIMIT = 2000  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """What a flag led to. `correction_id` is None when there was nothing to do: the message had moved on before."""

    message_id: str
    department: str
    correction_id: int | None = None
    disputed: bool = False
    held: bool = False


class Corrections:
    """The rules of flagging, undoing and confirming."""

    def __init__(self, desks: Desks, alerts: Alerts, *, flags_per_hour: int = FLAGS_PER_HOUR) -> None:
        self._desks = desks
        self._alerts = alerts
        self._flags_per_hour = flags_per_hour

    def knows(self, department: str) -> bool:
        """Return whether the district has this department."""
        return department in self._desks.departments

    def heirs(self) -> dict[str, str]:
        """Return the departments that answer now for former ones."""
        return heirs(self._desks.departments.values())

    def flag(
        self,
        connection: Connection,
        message_id: str,
        to: str,
        *,
        by: str,
        via: str,
        now: datetime,
        note: str = "",
        delivery: Delivery | None = None,
        client: str = "",
    ) -> Moved:
        """Pass a message on. `delivery` is the one whose link was used; repeating a flag changes nothing.

        `client` tells the browser apart in which it was used.

        Raises `NotFound` for an unknown message or department, `Conflict` if it isn't routed or is there already.
        """
        if to not in self._desks.departments:
            raise NotFound(f"there is no department '{to}'")
        present = self._present(connection, message_id)
        if delivery is not None and delivery.decision_id != present.id:
            return Moved(message_id=message_id, department=present.department)
        if delivery is not None and (passed := self._passed_copy(connection, delivery)):
            return Moved(message_id=message_id, department=passed.to_department)
        holders = self.holders(connection, present)
        copied = delivery is not None and delivery.department in holders - {present.department}
        if to == present.department or (copied and to in holders):
            raise Conflict(f"message {message_id} is with {to} already")
        said = Correction(
            message_id=message_id,
            from_department=present.department,
            to_department=to,
            by=by,
            via=via,
            model=present.prediction.model if present.prediction else "",
            state=CorrectionState.PROPOSED,
            at=now,
            note=note[:NOTE_LIMIT],
            decision_id=present.id,
            delivery_id=delivery.id if delivery else None,
            client=client,
        )
        if delivery is not None and copied:
            return self._pass_copy(connection, replace(said, from_department=delivery.department), present)
        return self._move(connection, said, present)

    def holders(self, connection: Connection, present: Decision) -> frozenset[str]:
        """Return which departments have a message: one, or several if it has a second matter."""
        if not present.also:
            return frozenset({present.department})
        passed = corrections.of_copies(connection, present.id)
        gave = {correction.from_department for correction in passed}
        got = {correction.to_department for correction in passed}
        return frozenset({present.department, *(({*present.also} - gave) | got)})

    def _passed_copy(self, connection: Connection, delivery: Delivery) -> Correction | None:
        """Return the correction by which the department that this delivery went to passed its copy on, if it did."""
        passed = corrections.of_copies(connection, delivery.decision_id or 0)
        return next((correction for correction in passed if correction.delivery_id == delivery.id), None)

    def _pass_copy(self, connection: Connection, said: Correction, present: Decision) -> Moved:
        """Pass on a copy that went to a department for a second matter. The message itself stays where it is."""
        passing.drop_waiting(connection, present.id, said.at, of=said.from_department)
        self.deliver(connection, replace(present, department=said.to_department, reason=Reason.CORRECTION), said.at)
        correction_id = corrections.add(connection, said, present.id)
        return Moved(message_id=said.message_id, department=said.to_department, correction_id=correction_id)

    def _move(self, connection: Connection, said: Correction, present: Decision) -> Moved:
        earlier = [
            c for c in corrections.of_message(connection, said.message_id) if c.state != CorrectionState.WITHDRAWN
        ]
        disputed = len(earlier) >= PASSES_BEFORE_DISPUTE and present.department != self._desks.fallback
        held = disputed and any(corrections.led_to_dispute(connection, correction.id) for correction in earlier)
        target = self._desks.fallback if disputed else said.to_department
        detail = f"passed on by {present.department}"
        if disputed:
            detail += f" to {said.to_department}, the {_ordinal(len(earlier) + 1)} time: a person decides"
        decision = replace(
            present,
            id=0,
            department=target,
            reason=Reason.DISPUTED if disputed else Reason.CORRECTION,
            detail=detail,
            prediction=None,
            confidence=None,
            also=(),
            decided_at=said.at,
        )
        decision_id = decisions.add(connection, decision)
        self._take_back_vote(connection, said, present)
        others = self.holders(connection, present) - {present.department}
        passing.drop_waiting(connection, present.id, said.at, but_of=others)
        if held:
            why = "disputed again after the fallback had decided"
            messages.set_state(connection, said.message_id, State.HELD, why, decision_id)
            self._alerts.tell_held(connection, said.message_id, why, said.at)
        else:
            messages.set_state(connection, said.message_id, State.ROUTED, "", decision_id)
            self.deliver(connection, replace(decision, id=decision_id), said.at)
        correction_id = corrections.add(connection, said, decision_id)
        return Moved(
            message_id=said.message_id,
            department=target,
            correction_id=correction_id,
            disputed=disputed,
            held=held,
        )

    def _take_back_vote(self, connection: Connection, said: Correction, present: Decision) -> None:
        """Whoever said "This is ours" and now sends it on has confirmed nothing."""
        behind = corrections.leading_to(connection, present.id)
        if behind is not None and said.delivery_id and corrections.has_voted(connection, said.delivery_id):
            corrections.doubt(connection, behind.id)

    def deliver(self, connection: Connection, decision: Decision, now: datetime) -> None:
        """Put a decision's deliveries into the outbox."""
        deliveries.add(
            connection,
            self._desks.destinations(decision),
            kind=DeliveryKind.ROUTE,
            now=now,
            message_id=decision.message_id,
            decision_id=decision.id,
            department=decision.department,
            urgent=bool(decision.urgent),
        )

    def undo(self, connection: Connection, correction_id: int, by: str, now: datetime) -> Moved:
        """Take a flag back: the decision before it is in force again. Repeating it changes nothing.

        Raises `NotFound`, or `Conflict` if the message has moved on since.
        """
        said = corrections.get(connection, correction_id)
        if said is not None and messages.lock(connection, said.message_id):  # another daemon may just have undone it
            said = corrections.get(connection, correction_id)
        if said is None:
            raise NotFound(f"there is no correction {correction_id}")
        moved = Moved(message_id=said.message_id, department=said.from_department)
        if said.state is CorrectionState.WITHDRAWN:
            return moved
        present = self._present(connection, said.message_id, also_held=True)
        if messages.state_of(connection, said.message_id) not in {State.ROUTED, State.HELD}:
            raise Conflict(f"message {said.message_id} is being decided anew; look again in a moment")
        if said.id in {copied.id for copied in corrections.of_copies(connection, present.id)}:
            corrections.settle(connection, correction_id, CorrectionState.WITHDRAWN, now, by)
            passing.drop_waiting(connection, present.id, now, of=said.to_department)
            passing.resume_dropped(connection, present.id, now, of=said.from_department)
            return moved
        behind = corrections.leading_to(connection, present.id)
        if behind is None or behind.id != correction_id or said.decision_id is None:
            raise Conflict(f"message {said.message_id} has moved on since; flag it again instead")
        corrections.settle(connection, correction_id, CorrectionState.WITHDRAWN, now, by)
        passing.drop_waiting(connection, present.id, now)
        passing.resume_dropped(connection, said.decision_id, now)
        messages.set_state(connection, said.message_id, State.ROUTED, "", said.decision_id)
        return moved

    def ours(self, connection: Connection, delivery: Delivery, now: datetime, *, client: str = "") -> Correction | None:
        """Record "This is ours" and return the correction it confirmed, if it was the second vote.

        Two votes from different deliveries: the flag that sent the message here, and this one. They don't count as two
        if both came from one address or one browser (`client`), if either has pressed every button, as programs do, or
        while an address presses more than people do.
        """
        if delivery.message_id is None or delivery.decision_id is None:
            return None
        messages.lock(connection, delivery.message_id)  # or they may pass it on at the same moment
        present = decisions.in_force(connection, delivery.message_id)
        if present is None or present.id != delivery.decision_id:
            return None  # they passed it on themselves since
        corrections.vote(connection, delivery.message_id, delivery.id, delivery.department, now)
        said = corrections.leading_to(connection, delivery.decision_id)
        if said is None or said.delivery_id == delivery.id or said.to_department != delivery.department:
            return None
        if (client and client == said.client) or not self._are_two(connection, said, delivery, now):
            return None
        return corrections.settle(
            connection, said.id, CorrectionState.CONFIRMED, now, "two votes", via=corrections.VOTES
        )

    def distrust(self, connection: Connection, delivery: Delivery) -> None:
        """Take for a program's whatever a delivery's link was used for, if it was used as only programs do.

        What its flag or its vote has confirmed, with another vote, is proposed again.
        """
        if not corrections.pressed_every_button(connection, delivery.id):
            return
        brought = corrections.leading_to(connection, delivery.decision_id) if delivery.decision_id else None
        for said in (*corrections.of_delivery(connection, delivery.id), *filter(None, (brought,))):
            corrections.doubt(connection, said.id)

    def _are_two(self, connection: Connection, said: Correction, delivery: Delivery, now: datetime) -> bool:
        links = filter(None, (said.delivery_id, delivery.id))
        if any(corrections.pressed_every_button(connection, link) for link in links):
            return False
        flagged = deliveries.get(connection, said.delivery_id) if said.delivery_id else None
        addresses = [(each.via, each.to.casefold()) for each in (flagged, delivery) if each]
        busy = corrections.busy_addresses(connection, now - HOUR, self._flags_per_hour)
        flooding = {(via, to.casefold()) for via, to, _n in busy}
        return len(set(addresses)) == len(addresses) and not flooding & set(addresses)

    def release(self, connection: Connection, message_id: str, to: str | None, by: str, now: datetime) -> None:
        """Let a held message go: to a department a person names, else wherever the steps send it.

        Raises `NotFound`, or `Conflict` if it isn't held.
        """
        if to is not None and to not in self._desks.departments:
            raise NotFound(f"there is no department '{to}'")
        message = messages.get(connection, message_id)
        if message is None:
            raise NotFound(f"there is no message {message_id}")
        if not messages.release(connection, message_id):
            raise Conflict(f"message {message_id} isn't held")
        if to is None:
            return
        before, said = decisions.in_force(connection, message_id), message.content
        decision = Decision(
            message_id=message_id,
            department=to,
            reason=Reason.CORRECTION,
            detail=f"released by {by or 'a person'}",
            urgent=before.urgent if before else urgent_reason(said.subject, said.text, said.html_text),
            school=before.school if before else "",
            decided_at=now,
        )
        decision_id = decisions.add(connection, decision)
        messages.set_state(connection, message_id, State.ROUTED, "", decision_id)
        self.deliver(connection, replace(decision, id=decision_id), now)

    def _present(self, connection: Connection, message_id: str, *, also_held: bool = False) -> Decision:
        if not messages.lock(connection, message_id):
            raise NotFound(f"there is no message {message_id}")
        present = decisions.in_force(connection, message_id)
        if present is None or not (also_held or messages.state_of(connection, message_id) is State.ROUTED):
            raise Conflict(f"message {message_id} isn't routed, so it can't be passed on")
        return present


def settle(
    connection: Connection,
    correction_id: int,
    state: CorrectionState,
    by: str,
    now: datetime,
    *,
    via: str = corrections.COMMAND,
) -> Correction:
    """Confirm or withdraw a correction as training data (the message stays where it is). Repeating it changes nothing.

    `by` is the name of a person, `via` how they said so: command or console. What only time or votes have confirmed
    they may confirm, too. Raises `NotFound`, or `Conflict` for confirming what was withdrawn.
    """
    said = corrections.get(connection, correction_id)
    if said is None:
        raise NotFound(f"there is no correction {correction_id}")
    by_nobody = state is CorrectionState.CONFIRMED and said.confirmed_via in corrections.UNNAMED
    if said.state is state and not by_nobody:
        return said
    settled = corrections.settle(connection, correction_id, state, now, by, via=via)
    if settled is None:
        raise Conflict(f"correction {correction_id} is {said.state.value}; it can't be {state.value}")
    return settled


def _ordinal(n: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(n, f"{n}th")
