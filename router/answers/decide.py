"""Automatic answers: to families that their message has come in, to staff that their reply reached nobody.

Decided with the verdict and put into the outbox in its transaction, as deliveries of their own kind: an answer that
can't be sent within a day is dropped, and nobody is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.answers.answerable import address_of, domain_of, key_of, way_to, why_not
from router.records import DeliveryKind, Destination, Medium, Reason, State
from router.routing.steps import answered_delivery
from router.store import answers, deliveries, messages, opt_outs
from router.store.restored import AFTER_RESTORE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from router.answers.texts import Wording
    from router.destinations import Desks
    from router.records import Delivery, Message, Notice
    from router.routing.route import Verdict
    from router.signing import KeyRing


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How many answers leave in an hour at most: in all, and to one domain (see `answerable.domain_of`)."""

    per_hour: int
    per_domain: int


@dataclass(frozen=True, slots=True)
class Withheld:
    """A message whose writer isn't answered, and why."""

    message_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """An answer that may be given, if not too many were. `key` is given one answer a day."""

    message: Message
    key: str
    destination: Destination
    notice: Notice
    department: str = ""
    decision_id: int | None = None


class Answers:
    """Decides who is answered.

    `via` is the sink that answers for each channel that acknowledges; `reaches(via, address)` tells whether a sink can
    deliver there. `ours` are addresses of our channels, `desks` know those that we deliver to (`desk_addresses`).
    """

    def __init__(
        self,
        wording: Wording,
        *,
        via: Mapping[str, str],
        reaches: Callable[[str, str], bool],
        ours: Iterable[str],
        desk_addresses: Iterable[str],
        desks: Desks,
        keys: KeyRing,
        domain: str,
        caps: Caps,
        authserv_id: str = "",
    ) -> None:
        self._wording = wording
        self._via = dict(via)
        self._reaches = reaches
        self._ours = frozenset(map(key_of, ours))
        self._at_desks = frozenset(map(key_of, desk_addresses))
        self._desks = desks
        self._keys = keys
        self._domain = domain
        self._caps = caps
        self._authserv_id = authserv_id

    def give(
        self, connection: Connection, verdicts: Sequence[Verdict], decision_ids: Mapping[str, int], now: datetime
    ) -> list[Withheld]:
        """Put the answers to a batch into the outbox; return whose message would have got one but for a reason.

        To be called last in a unit of work (see `store.answers.lock`).
        """
        meant = [self._meant(connection, verdict, decision_ids) for verdict in verdicts]
        opted_out = opt_outs.among(connection, (each.destination.to for each in meant if isinstance(each, _Answer)))
        if any(isinstance(each, _Answer) for each in meant):
            answers.lock(connection)
        results = [
            self._send(connection, each, opted_out, now) if isinstance(each, _Answer) else each for each in meant
        ]
        return [each for each in results if each is not None]

    def _meant(
        self, connection: Connection, verdict: Verdict, decision_ids: Mapping[str, int]
    ) -> _Answer | Withheld | None:
        if verdict.state is State.ROUTED:
            return self._acknowledgement(verdict, decision_ids.get(verdict.message.id))
        return self._unheard(connection, verdict.message) if verdict.state is State.HELD else None

    def _send(self, connection: Connection, answer: _Answer, opted_out: set[str], now: datetime) -> Withheld | None:
        """Put an answer into the outbox, unless its number or the caps speak against it."""
        to = answer.destination.to
        if to in opted_out:
            return Withheld(answer.message.id, "wants no more texts")
        why = answers.claim(
            connection,
            answer.key,
            domain_of(to),
            now,
            most_per_hour=self._caps.per_hour,
            most_per_domain=self._caps.per_domain,
        )
        if why:
            return Withheld(answer.message.id, why)
        deliveries.add(
            connection,
            [answer.destination],
            kind=DeliveryKind.ANSWER,
            now=now,
            message_id=answer.message.id,
            decision_id=answer.decision_id,
            department=answer.department,
            notice=answer.notice,
        )
        return None

    # --- to families --------------------------------------------------------------------------------------------------

    def _acknowledgement(self, verdict: Verdict, decision_id: int | None) -> _Answer | Withheld | None:
        message, decision = verdict.message, verdict.decision
        via = self._via.get(message.channel, "")
        if not via or decision is None:
            return None
        to = way_to(message)
        why = why_not(message, self._ours | self._at_desks, self._authserv_id)
        if message.released:
            why = why or "was held"  # what held it may have been right
        if AFTER_RESTORE in decision.tags:
            why = why or "may have been acknowledged before the store was restored"
        if decision.suspicion:
            why = why or "suspicious"
        if why or not self._reaches(via, to):
            return Withheld(message.id, why or f"{via} doesn't reach such an address")
        watching = decision.reason is Reason.OBSERVE  # then no department has it yet
        department = "" if watching else decision.department
        notice = self._wording.acknowledgement(
            message.content.language,
            message.id,
            self._desks.name(department) if department else "",
            urgent=bool(decision.urgent),
            sms=message.medium is Medium.SMS,
        )
        return _Answer(
            message=message,
            key=key_of(address_of(message)),
            destination=Destination(via=via, to=to),
            notice=notice,
            department=department,
            decision_id=decision_id,
        )

    # --- to staff -----------------------------------------------------------------------------------------------------

    def _unheard(self, connection: Connection, message: Message) -> _Answer | Withheld | None:
        """Return the answer to a person's reply to our forwarded mail, which is held and has reached nobody."""
        is_mail = message.medium is Medium.EMAIL
        delivery_id = answered_delivery(message.content, self._keys, self._domain) if is_mail else None
        delivery = deliveries.get(connection, delivery_id) if delivery_id else None
        first = messages.of_delivery(connection, delivery.id) if delivery else None
        if delivery is None or first is None or delivery.kind is not DeliveryKind.ROUTE:
            return None
        writer, to = key_of(address_of(message)), way_to(message)
        if writer in {key_of(first.content.sender), key_of(first.content.reply_to)}:
            return None  # the family itself, held for another reason
        why = why_not(message, self._ours, self._authserv_id)
        if why or not self._reaches(delivery.via, to):
            return Withheld(message.id, why or f"{delivery.via} doesn't reach such an address")
        return _Answer(
            message=message,
            key=f"{writer} {first.id}",
            destination=Destination(via=delivery.via, to=to),
            notice=self._told(first, delivery, message, to),
        )

    def _told(self, first: Message, delivery: Delivery, reply: Message, to: str) -> Notice:
        """Return what is told, with the family's address only to whoever is where our mail went, or beside them.

        Anybody who was sent a copy knows our Message-ID; an address in the message that was forwarded is told again,
        a telephone number isn't. What counts is where the answer goes, not what the reply says it is from.
        """
        family = first.content
        told = domain_of(to) == domain_of(delivery.to)
        instead = "look" if family.reply_to else "call" if family.phone or opt_outs.number_of(family.sender) else "none"
        return self._wording.unheard(first.id, reply.id, family.reply_to if told else "", instead)
