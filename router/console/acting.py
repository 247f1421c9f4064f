"""What people do to one message: units of work around the one set of rules (`router.learning.corrections`).

Each says what it did in a sentence, and does nothing if the message isn't any more where the person saw it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from router.console.journey import BY_HAND, CONSOLE
from router.errors import Conflict, NotFound
from router.learning.corrections import NOTE_LIMIT
from router.learning.corrections import settle as settle_correction
from router.records import Correction, CorrectionState, DeliveryKind, State
from router.store import corrections, decisions, deliveries, messages, passing

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from router.destinations import Desks
    from router.learning.corrections import Corrections
    from router.records import Decision

LOOKED_AT = "looked at by "


@dataclass(frozen=True, slots=True)
class Done:
    """What was done, in a sentence; `correction_id` is what can be taken back, None if nothing can."""

    said: str
    correction_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A message as it stood when a person pressed a button: the decision in force (None: none yet) and its state."""

    message_id: str
    decision_id: int | None
    state: State


class Acting:
    """What a named, signed-in person (`by`) may do to a message; that it is for them to do is asked before."""

    def __init__(self, rules: Corrections, desks: Desks) -> None:
        self._rules = rules
        self._desks = desks

    def send_on(
        self, connection: Connection, seen: Seen, to: str, *, by: str, note: str, now: datetime, may_release: bool
    ) -> Done:
        """Send a message to where it belongs, at once, confirmed by who says so. Raises `NotFound` or `Conflict`.

        What is held is let go, and that is a label, too.
        """
        self._check(connection, seen)
        if to not in self._desks.departments:
            raise NotFound(f"there is no department '{to}'")
        if seen.state is State.HELD:
            if not may_release:
                raise Conflict("it is held, and only those who do triage may release it")
            return self._let_go(connection, seen, to, by=by, note=note, now=now)
        moved = self._rules.flag(connection, seen.message_id, to, by=by, via=CONSOLE, now=now, note=note)
        if moved.correction_id is None:
            raise Conflict(self._faster(connection, seen.message_id))
        settle_correction(connection, moved.correction_id, CorrectionState.CONFIRMED, by, now, via=CONSOLE)
        wanted, got = self._desks.name(to), self._desks.name(moved.department)
        if moved.held:
            said = f"It has been passed on so often that it is held now; you asked for {wanted}."
        elif moved.disputed:
            said = f"It has been passed on several times, so {got} will settle it; you asked for {wanted}."
        else:
            said = f"Sent on to {got}. Signpost can learn from it."
        return Done(said, moved.correction_id)

    def _let_go(self, connection: Connection, seen: Seen, to: str, *, by: str, note: str, now: datetime) -> Done:
        before = decisions.in_force(connection, seen.message_id)
        self._rules.release(connection, seen.message_id, to, by, now)
        present = decisions.in_force(connection, seen.message_id)
        assert present is not None
        label = Correction(
            message_id=seen.message_id,
            from_department=before.department if before else "",
            to_department=to,
            by=by,
            via=CONSOLE,
            model=before.prediction.model if before and before.prediction else "",
            state=CorrectionState.CONFIRMED,
            at=now,
            note=note[:NOTE_LIMIT],
            decision_id=before.id if before else None,
            confirmed_by=by,
            confirmed_via=CONSOLE,
        )
        correction_id = corrections.add(connection, label, present.id)
        return Done(f"Released to {self._desks.name(to)}. Signpost can learn from it.", correction_id)

    def undo(self, connection: Connection, correction_id: int, *, by: str, now: datetime, may_release: bool) -> Done:
        """Take a correction back: the message is where it was, nothing is learnt. Raises `NotFound` or `Conflict`."""
        said = corrections.get(connection, correction_id)
        if said is None:
            raise NotFound(f"there is no correction {correction_id}")
        messages.lock(connection, said.message_id)
        if messages.state_of(connection, said.message_id) is State.HELD and not may_release:
            raise Conflict("it is held, and only those who do triage may release it")
        present = decisions.in_force(connection, said.message_id)
        if said.state is CorrectionState.WITHDRAWN and (present is None or present.id != said.decision_id):
            raise Conflict("this was taken back before; the message is where it is: send it on instead")
        behind = corrections.leading_to(connection, present.id) if present else None
        was_held = present is not None and behind is not None and present.detail.startswith(BY_HAND)
        if was_held and behind is not None and behind.id == correction_id and present is not None:
            settle_correction(connection, correction_id, CorrectionState.WITHDRAWN, by, now)
            self._hold(connection, present, by, now)
            return Done("Undone: it is held again.")
        moved = self._rules.undo(connection, correction_id, by, now)
        return Done(f"Undone: it is with {self._desks.name(moved.department)} again.")

    def ours(self, connection: Connection, seen: Seen, *, by: str, now: datetime) -> Done:
        """Confirm, for the department that has it, that a message was rightly sent on to it. Raises `Conflict`."""
        self._check(connection, seen)
        present = decisions.in_force(connection, seen.message_id)
        said = corrections.leading_to(connection, present.id) if present else None
        rightly = said is not None and present is not None and said.to_department == present.department
        if said is None or not rightly or seen.state is not State.ROUTED:
            raise Conflict("nobody has sent it on to this department, so there is nothing to confirm")
        if said.state is CorrectionState.CONFIRMED and said.confirmed_via not in corrections.UNNAMED:
            raise Conflict("this is confirmed already")
        settle_correction(connection, said.id, CorrectionState.CONFIRMED, by, now, via=CONSOLE)
        return Done(f"Thank you: it is for {self._desks.name(said.to_department)}. Signpost can learn from it.")

    def release(self, connection: Connection, seen: Seen, *, by: str, now: datetime) -> Done:
        """Let a held message go wherever the router sends it. Raises `Conflict`."""
        self._check(connection, seen)
        self._rules.release(connection, seen.message_id, None, by, now)
        return Done("Released: the router decides where it goes.")

    def hold(self, connection: Connection, seen: Seen, *, by: str, now: datetime) -> Done:
        """Stop what hasn't been sent yet, and let the message wait for a person. Raises `Conflict`."""
        self._check(connection, seen)
        present = decisions.in_force(connection, seen.message_id)
        if present is None or seen.state is not State.ROUTED:
            raise Conflict("only a message that was routed can be held")
        self._hold(connection, present, by, now)
        return Done("Held: nothing more of it is sent until somebody releases it.")

    def keep(self, connection: Connection, seen: Seen, *, by: str) -> Done:
        """Note that somebody has looked at a message and leaves it where it is. Raises `Conflict`."""
        self._check(connection, seen)
        present = decisions.in_force(connection, seen.message_id)
        if present is None or seen.state is not State.ROUTED:
            raise Conflict("only a message that was routed can be left where it is")
        messages.set_state(connection, seen.message_id, State.ROUTED, f"{LOOKED_AT}{by}")
        return Done(f"Left with {self._desks.name(present.department)}.")

    def retry(self, connection: Connection, message_id: str, delivery_id: int, *, now: datetime) -> Done:
        """Let a dead or unclear delivery start again. Raises `NotFound` or `Conflict`."""
        messages.lock(connection, message_id)
        delivery, present = deliveries.get(connection, delivery_id), decisions.in_force(connection, message_id)
        if messages.state_of(connection, message_id) is State.HELD:
            raise Conflict("the message is held: release it instead")
        if delivery is None or delivery.message_id != message_id:
            raise NotFound(f"this message has no delivery {delivery_id}")
        if delivery.kind is DeliveryKind.ROUTE and (present is None or delivery.decision_id != present.id):
            raise Conflict("the message isn't with that department any more")
        if deliveries.revive(connection, delivery_id, now) is None:
            raise Conflict("this delivery is under way already, or has arrived")
        return Done("It will be sent again at once.")

    def _hold(self, connection: Connection, present: Decision, by: str, now: datetime) -> None:
        passing.drop_waiting(connection, present.id, now)
        messages.set_state(connection, present.message_id, State.HELD, f"held by {by}")

    def _check(self, connection: Connection, seen: Seen) -> None:
        """Raise `Conflict` if the message was moved since the person saw it, `NotFound` if it is gone."""
        if not messages.lock(connection, seen.message_id):
            raise NotFound("there is no such message")
        present = decisions.in_force(connection, seen.message_id)
        now = replace(
            seen,
            decision_id=present.id if present else None,
            state=messages.state_of(connection, seen.message_id),
        )
        if now != seen:
            raise Conflict(self._faster(connection, seen.message_id))

    def _faster(self, connection: Connection, message_id: str) -> str:
        present = decisions.in_force(connection, message_id)
        state = messages.state_of(connection, message_id)
        if state is State.ROUTED and present:
            return f"somebody else was faster: the message is with {self._desks.name(present.department)} now"
        return f"somebody else was faster: the message is {state.value} now"
