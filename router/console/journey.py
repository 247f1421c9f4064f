"""A message's way in plain sentences, in order of time: one pure function from what the store knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.console.journey_words import CHANNELS, STEPS, because, percent, person, sentence
from router.records import CorrectionState, DeliveryKind, DeliveryState, Reason, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from router.records import Correction, Decision, Delivery
    from router.store.journeys import Journey

    Name = Callable[[str], str]

CONSOLE = "console"
_WORTH_TELLING = 0.005
BY_HAND = "released by "
"""How the detail of a decision begins, by which a person let a held message go (`router.learning.corrections`)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: when (None: it is so now), of which kind (a name for its look), said, and what more."""

    at: datetime | None
    kind: str
    said: str
    more: tuple[str, ...] = ()


def timeline(journey: Journey, name: Name) -> list[Event]:
    """Return what happened to a message, the first first and what is still to come last.

    `name` gives departments their names. Nothing of it depends on the present time.
    """
    happened = [
        *_received(journey),
        *(event for decision in journey.decisions for event in _decided(decision, name)),
        *(event for delivery in journey.deliveries for event in _delivered(journey, delivery, name)),
        *_alarmed(journey),
        *(event for said in journey.corrections for event in _corrected(journey, said, name)),
    ]
    past = sorted((event for event in happened if event.at), key=lambda event: event.at or journey.message.received_at)
    return [*past, *(event for event in happened if event.at is None), *_stands(journey)]


def _received(journey: Journey) -> Iterator[Event]:
    message, content = journey.message, journey.message.content
    how = CHANNELS.get(message.medium.value, "message")
    more = [f"Language: {content.language}"] if content.language else []
    if content.attachments:
        many = len(content.attachments)
        more.append("One file came with it" if many == 1 else f"{many} files came with it")
    if content.auto_submitted:
        more.append("It was sent by a program, not by a person")
    if content.unreadable:
        more.append(sentence(f"it couldn't be read whole: {content.unreadable}"))
    yield Event(message.received_at, "received", f"Received as {how} by {message.channel}.", tuple(more))


def _decided(decision: Decision, name: Name) -> Iterator[Event]:
    if decision.reason in (Reason.CORRECTION, Reason.DISPUTED):
        if decision.detail.startswith(BY_HAND):
            who = person(decision.detail.removeprefix(BY_HAND))
            yield Event(decision.decided_at, "decided", f"{who} let it go to {name(decision.department)}.")
        elif decision.reason is Reason.DISPUTED:
            said = f"It was passed on so often that {name(decision.department)} is to settle it."
            yield Event(decision.decided_at, "disputed", said, (sentence(decision.detail),))
        return
    also = [name(each) for each in decision.also]
    where = " and ".join([name(decision.department), *also])
    said = f"{STEPS[decision.reason]} {where}."
    yield Event(decision.decided_at, "decided", said, tuple(_reasons(decision, name)))


def _reasons(decision: Decision, name: Name) -> Iterator[str]:
    why = because(decision, name)
    yield from filter(None, [why])
    if decision.confidence is not None and "%" not in why:
        yield f"Confidence: {percent(decision.confidence)}"
    if decision.prediction and decision.prediction.ranking:
        best, *others = decision.prediction.likely[:3]
        ranking = [best, *(each for each in others if each[1] >= _WORTH_TELLING)]
        yield "Likeliest topics: " + ", ".join(f"{name(label)} {percent(share)}" for label, share in ranking)
        if decision.prediction.model:
            yield f"Model: {decision.prediction.model}"
    if decision.urgent:
        yield sentence(f"it was taken for urgent: {decision.urgent}")
    yield from (sentence(f"it is {tag.replace('_', ' ')}") for tag in decision.tags)


def _delivered(journey: Journey, delivery: Delivery, name: Name) -> Iterator[Event]:
    at = journey.settled_at.get(delivery.id)
    where = f"{delivery.to} (by {delivery.via})"
    what = {
        DeliveryKind.ROUTE: f"to {name(delivery.department)}, {where}",
        DeliveryKind.ALERT: f"of the alert to {where}",
        DeliveryKind.ANSWER: "of the automatic answer to who wrote",
    }[delivery.kind]
    tries = (f"{delivery.attempts} attempts so far",) if delivery.attempts > 1 else ()
    error = (sentence(delivery.last_error),) if delivery.last_error else ()
    match delivery.state:
        case DeliveryState.DELIVERED:
            yield Event(at, "delivered", _delivery_said(delivery, name, where), error)
        case DeliveryState.WAITING:
            waits = "It waits and will be tried again." if delivery.attempts else "It is about to be sent."
            yield Event(None, "waiting", f"Delivery {what}: {waits}", (*error, *tries))
        case DeliveryState.UNCLEAR:
            said = f"Delivery {what}: the answer was lost, it has probably arrived. A person has to look."
            yield Event(at, "unclear", said, error)
        case DeliveryState.DEAD:
            yield Event(at, "dead", f"Delivery {what} failed for good. A person has to look.", (*error, *tries))
        case DeliveryState.DROPPED:
            yield Event(at, "dropped", f"Delivery {what} was called off.", error)


def _delivery_said(delivery: Delivery, name: Name, where: str) -> str:
    if delivery.kind is DeliveryKind.ALERT:
        return f"The alert was delivered to {where}."
    if delivery.kind is DeliveryKind.ANSWER:
        return "Who wrote got an automatic answer."
    return f"Delivered to {name(delivery.department)}, {where}."


def _alarmed(journey: Journey) -> Iterator[Event]:
    alarm = journey.alarm
    if alarm is None:
        return
    yield Event(alarm.raised_at, "alarm", "People were alerted at once.", (sentence(alarm.why),) if alarm.why else ())
    if alarm.told:
        yield Event(alarm.told_at, "alarm", f"Nobody had acknowledged it, so {alarm.told} more were told.")
    if alarm.over_at:
        by = journey.acknowledged_by or "somebody"
        yield Event(alarm.over_at, "acknowledged", f"The alert was acknowledged by {by}.")
    else:
        yield Event(None, "alarm", "Nobody has acknowledged the alert yet.")


def _corrected(journey: Journey, said: Correction, name: Name) -> Iterator[Event]:
    led_to = next((each for each in journey.decisions if each.id == journey.led_to.get(said.id)), None)
    if led_to is None or not led_to.detail.startswith(BY_HAND):  # else that decision has told it
        yield _sent_on(journey, said, name)
    settled = journey.said_at.get(said.id)
    if said.confirmed_via and said.via != CONSOLE:
        at = settled if said.state is CorrectionState.CONFIRMED else None
        yield Event(at or said.at, "confirmed", f"{_confirmed(said)}, so that Signpost can learn from it.")
    if said.state is CorrectionState.WITHDRAWN:
        yield Event(settled, "withdrawn", f"{person(said.withdrawn_by)} took that back.")
    if said.id in journey.learnt:
        version, at = journey.learnt[said.id]
        yield Event(at, "learnt", f"The model {version} has learnt from it.")


def _sent_on(journey: Journey, said: Correction, name: Name) -> Event:
    how = {"link": " with the link in the forwarded mail", "command": " by command"}.get(said.via, "")
    copied = journey.led_to.get(said.id) == said.decision_id
    what = "passed its copy on" if copied else "sent it on"
    who = name(said.from_department) if said.via == "link" else person(said.by)
    source = f" from {name(said.from_department)}" if said.via != "link" and said.from_department else ""
    note = (f"Note: {said.note}",) if said.note else ()
    return Event(said.at, "corrected", f"{who} {what}{source} to {name(said.to_department)}{how}.", note)


def _confirmed(said: Correction) -> str:
    if said.confirmed_via == "votes":
        return "The department that got it said that it is theirs"
    if said.confirmed_via == "tacit":
        return "Nobody contradicted for days"
    return f"{person(said.confirmed_by)} confirmed it"


def _stands(journey: Journey) -> Iterator[Event]:
    why = (sentence(journey.detail),) if journey.detail else ()
    if journey.state is State.HELD:
        yield Event(None, "held", "It is held: a person has to decide where it goes.", why)
    elif journey.state is State.FILED:
        yield Event(None, "filed", "It was filed: there is nothing to forward.", why)
    elif journey.state is State.UNDECIDED:
        yield Event(None, "waiting", "Where it goes hasn't been decided yet.")
    elif why:
        yield Event(None, "kept", "Somebody has looked at it and left it where it is.", why)
