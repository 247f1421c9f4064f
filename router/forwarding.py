"""What one attempt carries: the delivery with its message, original and decision, and the links people click."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from router.interfaces import mail_domain
from router.records import Decision, Delivery, DeliveryKind, Forward, Medium, Message, Notice
from router.store import decisions, messages, opt_outs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection

    from router.destinations import Desks
    from router.signing import KeyRing

MISROUTE = "misroute"  # the purpose of the link in a forwarded mail
ACKNOWLEDGE = "acknowledge"  # of the link in an urgent alert


class Forwarding:
    """Builds forwards. Composing mail, text or JSON of them is each sink's own business."""

    def __init__(
        self, organization: str, public_url: str, zone: ZoneInfo, keys: KeyRing, desks: Desks, *, console: bool = False
    ) -> None:
        self._organization = organization
        self._public_url = public_url
        self._console = f"{public_url}/console" if console else ""
        self._zone = zone
        self._keys = keys
        self._desks = desks
        self.domain = mail_domain(public_url)

    def load(self, connection: Connection, leased: Sequence[Delivery]) -> list[Forward]:
        """Return one forward per delivery, in order."""
        message_ids = sorted({d.message_id for d in leased if d.message_id is not None})
        decision_ids = sorted({d.decision_id for d in leased if d.decision_id is not None})
        known = messages.get_many(connection, message_ids)
        carried = sorted({d.message_id for d in leased if d.message_id and d.kind is not DeliveryKind.ANSWER})
        originals = messages.originals_of(connection, carried)
        decided = decisions.get_many(connection, decision_ids)
        opted_out = opt_outs.among(connection, (delivery.to for delivery in leased))
        return [
            self._forward(
                delivery,
                known.get(delivery.message_id or ""),
                originals.get(delivery.message_id or "", b""),
                decided.get(delivery.decision_id or 0),
                opted_out=delivery.to in opted_out,
            )
            for delivery in leased
        ]

    def misroute_url(self, delivery: Delivery) -> str:
        """Return the link "Not yours? Send it on"."""
        return f"{self._public_url}/m/{self._token(delivery, MISROUTE)}"

    def acknowledge_url(self, delivery: Delivery) -> str:
        """Return the link by which the recipient of an urgent alert says "I have it"."""
        return f"{self._public_url}/u/{self._token(delivery, ACKNOWLEDGE)}"

    def _token(self, delivery: Delivery, purpose: str) -> str:
        """Return the token of a delivery's link: the same at every attempt, so that a text is found at its provider."""
        return self._keys.sign(str(delivery.id), purpose, at=delivery.created_at)

    def _forward(
        self,
        delivery: Delivery,
        message: Message | None,
        original: bytes,
        decision: Decision | None,
        *,
        opted_out: bool,
    ) -> Forward:
        if delivery.kind is DeliveryKind.ANSWER:
            return self._answer(delivery, message, opted_out=opted_out)
        route = delivery.kind is DeliveryKind.ROUTE
        likely = [d for d in (decision.suggestions if decision else ()) if d != delivery.department]
        received = message.received_at.astimezone(self._zone) if message else None
        return Forward(
            delivery=delivery,
            mail_id=self._keys.mail_id(delivery.id, self.domain),
            organization=self._organization,
            message=message,
            original=original,
            decision=decision,
            department_name=self._desks.name(delivery.department) if delivery.department else "",
            school_name=self._desks.school_name(decision.school) if decision else "",
            suggestions=tuple((department, self._desks.name(department)) for department in likely),
            also=self._others(delivery, decision),
            misroute_url=self.misroute_url(delivery) if route else "",
            message_url=f"{self._console}/messages/{message.id}" if message is not None and self._console else "",
            local_time=f"{received:%A, %d %B %Y, %H:%M %Z}" if received else "",
            notice=self._notice(delivery),
            meant_for=self._meant_for(delivery, decision),
            opted_out=opted_out,
        )

    def _notice(self, delivery: Delivery) -> Notice | None:
        """Return what an alert says; one about a message is urgent, and has to be acknowledged."""
        if delivery.notice is None or delivery.message_id is None:
            return delivery.notice
        return replace(delivery.notice, url=self.acknowledge_url(delivery))

    def _answer(self, delivery: Delivery, message: Message | None, *, opted_out: bool) -> Forward:
        """Return an automatic answer: a sink that doesn't get the message can't quote it."""
        answered = message.content.external_id if message is not None and message.medium is Medium.EMAIL else ""
        return Forward(
            delivery=delivery,
            mail_id=self._keys.mail_id(delivery.id, self.domain),
            organization=self._organization,
            notice=delivery.notice,
            in_reply_to=answered,
            opted_out=opted_out,
        )

    def _others(self, delivery: Delivery, decision: Decision | None) -> tuple[str, ...]:
        """Return the names of the other departments that get it for a matter of theirs."""
        if decision is None or not decision.also or delivery.kind is not DeliveryKind.ROUTE:
            return ()
        shared = (decision.department, *decision.also)
        return tuple(self._desks.name(each) for each in shared if each != delivery.department)

    def _meant_for(self, delivery: Delivery, decision: Decision | None) -> str:
        """Return in whose place a department gets a message (see `router.returns`), "" if it is its own."""
        if decision is None or delivery.kind is DeliveryKind.ALERT:
            return ""
        if delivery.department in {decision.department, *decision.also}:
            return ""
        return self._desks.name(decision.department)
