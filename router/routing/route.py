"""Decide once: a readable list of steps; the first step with an answer wins, the fallback always answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from router.errors import StoreBusy
from router.records import Decision, Message, Reason, State
from router.routing.answer import UNDECIDED, Answer, File, Follow, Hold, MarkUrgent, Route, Tagged
from router.routing.schools import Recognition
from router.routing.turns import one_by_one

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Clock
    from router.records import Returned
    from router.routing.answer import Step
    from router.routing.schools import Schools

_WOULD = "would go to "  # how the detail of a decision begins in observe mode
_WEAKER_THAN_A_THREAD = ("", "contact")  # how a school was recognised


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of one message: a decision (routed), or a state with its reason (held, filed)."""

    message: Message
    state: State
    detail: str = ""
    decision: Decision | None = None
    urgent: str = ""
    school: str = ""
    returned: Returned | None = None  # a delivery that this message reports to have come back


class Router:
    """Asks the steps in order. A step that fails on a message is passed over: one message can't stop the others."""

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        fallback: str,
        schools: Schools,
        observe: bool,
        clock: Clock,
        log: FilteringBoundLogger,
    ) -> None:
        self.steps = tuple(steps)
        self._fallback = fallback
        self._schools = schools
        self._observe = observe
        self._clock = clock
        self._log = log

    async def decide(self, batch: Sequence[Message]) -> list[Verdict]:
        """Return one verdict per message, in order."""
        urgent: dict[str, str] = {}
        tags: dict[str, tuple[str, ...]] = {}
        answers: dict[str, Answer] = {}
        await self._through(batch, answers, urgent, tags)
        looks = await one_by_one(self._school_of, batch, lambda message: message.content)  # hostile text: 80 ms each
        seen = {message.id: look for message, look in zip(batch, looks, strict=True)}
        for message in batch:
            if isinstance(answer := answers.get(message.id), Follow):
                answers[message.id] = _followed(answer.message_id, answers.get(answer.message_id), seen)
                if answers[message.id] is None:
                    del answers[message.id]
                    await self._through([message], answers, urgent, tags)
        verdicts = (
            self._verdict(message, answers.get(message.id), urgent.get(message.id, ""), seen[message.id])
            for message in batch
        )
        return [_tagged(verdict, tags.get(verdict.message.id, ())) for verdict in verdicts]

    async def _through(
        self,
        batch: Sequence[Message],
        answers: dict[str, Answer],
        urgent: dict[str, str],
        tags: dict[str, tuple[str, ...]],
    ) -> None:
        """Ask the steps in order about each message until one answers."""
        for step in self.steps:
            still_open = [message for message in batch if message.id not in answers]
            if not still_open:
                break
            for message, answer in zip(still_open, await self._ask(step, still_open), strict=True):
                if isinstance(answer, MarkUrgent):
                    urgent[message.id] = answer.detail
                elif isinstance(answer, Tagged):
                    tags[message.id] = (*tags.get(message.id, ()), *answer.tags)
                elif answer is not None:
                    answers[message.id] = answer

    async def _ask(self, step: Step, batch: Sequence[Message]) -> Sequence[Answer]:
        try:
            return await step.decide(batch)
        except StoreBusy:
            raise  # the store's trouble is nobody's fault: the whole batch is tried again
        except Exception:
            self._log.exception("step_failed", step=step.name, messages=len(batch))
            if len(batch) == 1:
                return [None]
            return [(await self._ask(step, [message]))[0] for message in batch]

    def _verdict(self, message: Message, answer: Answer, urgent: str, seen: Recognition) -> Verdict:
        school = _school(answer, seen)
        if isinstance(answer, Hold) and not (answer.unless_urgent and urgent):
            urgent = "" if answer.delivery_id or answer.told else urgent  # a program's answer to an alert quotes it
            return Verdict(message=message, state=State.HELD, detail=answer.detail, urgent=urgent, school=school)
        if isinstance(answer, File) and (answer.delivery_id or not urgent):  # what reports on ours quotes what was told
            filed = State.FILED
            return Verdict(message=message, state=filed, detail=answer.detail, school=school, returned=answer.returned)
        if not isinstance(answer, Route):
            why = answer.detail if isinstance(answer, File | Hold) else "no step had an answer"
            answer = Route(department=self._fallback, reason=Reason.ABSTAINED, detail=why)
        decision = self._decision(message, answer, urgent, school)
        return Verdict(message=message, state=State.ROUTED, decision=decision, urgent=urgent, school=school)

    def _school_of(self, message: Message) -> Recognition:
        try:
            return self._schools.look(message)
        except Exception:  # no school is better than no decision for the whole batch
            self._log.exception("school_failed", message_id=message.id)
            return Recognition()

    def _decision(self, message: Message, route: Route, urgent: str, school: str) -> Decision:
        decision = Decision(
            message_id=message.id,
            department=route.department,
            reason=Reason(route.reason),
            detail=route.detail,
            prediction=route.prediction,
            confidence=route.confidence,
            urgent=urgent,
            school=school,
            suggestions=route.suggestions,
            also=route.also,
            decided_at=self._clock.now(),
        )
        if not self._observe:
            return decision
        desks = " and ".join((decision.department, *decision.also))
        would = f"{_WOULD}{desks} ({decision.reason.value}: {decision.detail})"
        return replace(decision, department=self._fallback, reason=Reason.OBSERVE, detail=would, also=())


def intended(decision: Decision) -> tuple[tuple[str, ...], Reason]:
    """Return the departments, the first one first, and the reason: in observe mode those that it would have been."""
    if decision.reason is not Reason.OBSERVE:
        return (decision.department, *decision.also), decision.reason
    desks, _, why = decision.detail.removeprefix(_WOULD).partition(" (")
    return tuple(desks.split(" and ")), Reason(why.partition(":")[0])


def _tagged(verdict: Verdict, tags: tuple[str, ...]) -> Verdict:
    return replace(verdict, decision=replace(verdict.decision, tags=tags)) if verdict.decision and tags else verdict


def _school(answer: Answer, seen: Recognition) -> str:
    """Return the school: the one that the message names, else that of the message which it continues."""
    continued = answer.school if isinstance(answer, Route) else ""
    return continued if continued and seen.how in _WEAKER_THAN_A_THREAD else seen.school


def _followed(leader_id: str, leader: Answer, seen: Mapping[str, Recognition]) -> Answer:
    """Return the route of who follows another message of the batch, None if nobody knew where that one should go."""
    if not isinstance(leader, Route) or Reason(leader.reason) in UNDECIDED:
        return None
    return Route(
        department=leader.department,
        reason=Reason.THREAD,
        detail=f"continues {leader_id}",
        school=_school(leader, seen.get(leader_id, Recognition())),
    )
