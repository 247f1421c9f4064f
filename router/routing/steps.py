"""The small steps: what can't be read, what looks like spam, and mail that would go round in circles."""

from __future__ import annotations

import re
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from router.errors import NotAuthentic
from router.forwarding import ACKNOWLEDGE, MISROUTE
from router.ids import normalise
from router.records import DeliveryKind, Medium, Reason
from router.routing.answer import Answer, File, Hold, Route
from router.store import deliveries, messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.records import Content, Message
    from router.routing.spam import Spam
    from router.signing import KeyRing
    from router.store.engine import Store

MAX_HOPS = 25  # Received headers; Postfix gives up at 50, but ours is the last desk
_LINK = re.compile(r"/[mu]/([\w-]{1,16}\.[\w.-]{20,400})")
_MOST_LINKS = 5


class Loops:
    """Hold what we sent ourselves, what answers our own mail automatically, and what has gone round too often.

    Other automatic mail (scanners, voicemail, form mailers) is routed like any other, and never answered. `desks` are
    the addresses that we deliver to, in lower case. A mail that names none which it answers may still quote one of
    ours, with a link that only that has. What says nothing at all of where it comes from is left to the `Breakers`.
    """

    name = "loops"

    def __init__(self, store: Store, keys: KeyRing, domain: str, desks: frozenset[str]) -> None:
        self._store = store
        self._keys = keys
        self._domain = domain
        self._desks = desks

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Hold or file what must not be forwarded."""
        return [
            await self._one(message) if message.medium is Medium.EMAIL and not message.released else None
            for message in batch
        ]

    async def _one(self, message: Message) -> Answer:
        content = message.content
        ours = answered_delivery(content, self._keys, self._domain)
        if ours and (answered := await self._answer_to(content, ours)):
            return answered
        if await self._stamped(content):
            return Hold("our own forwarded mail came back")
        if (
            not ours
            and (quoted := self._quoted(content))
            and (answered := await self._answer_to(content, quoted, quotes=True))
        ):
            return answered
        return circling(content, self._desks)

    async def _answer_to(self, content: Content, delivery: int, *, quotes: bool = False) -> Answer:
        if content.auto_submitted:
            return Hold(f"an automatic answer to our own mail (delivery {delivery})", delivery)
        sent = await self._store.read(lambda c: deliveries.get(c, delivery))
        if sent is not None and sent.kind is DeliveryKind.ANSWER:
            # Anybody of a family may write back to its acknowledgement. What we told staff is answered by programs.
            return None if sent.decision_id else Hold(f"a reply to our own answer (delivery {delivery})")
        if not await self._from_the_family(content, delivery):
            # What quotes an alert comes from whom it told: it would alarm them again, and again.
            told = quotes and sent is not None and sent.kind is DeliveryKind.ALERT
            return Hold(f"a reply to our own mail (delivery {delivery}); it has not reached the family", told=told)
        return None

    async def _from_the_family(self, content: Content, delivery_id: int) -> bool:
        """Return whether the writer is the one whose message that delivery carried: they replied to all."""
        first = await self._store.read(lambda c: messages.of_delivery(c, delivery_id))
        wrote = {first.content.sender.casefold(), first.content.reply_to.casefold()} if first else set()
        return bool(content.sender) and content.sender.casefold() in wrote

    def _quoted(self, content: Content) -> int | None:
        """Return the delivery whose link a mail quotes: it was made of our mail, whatever else it says."""
        links = islice(_LINK.finditer(f"{content.text}\n{content.html_text}"), _MOST_LINKS)
        return next(filter(None, (self._delivery_of(link[1]) for link in links)), None)

    def _delivery_of(self, token: str) -> int | None:
        for purpose in (MISROUTE, ACKNOWLEDGE):
            with suppress(NotAuthentic, ValueError):
                return int(self._keys.unsign(token.rstrip("."), purpose))
        return None

    async def _stamped(self, content: Content) -> bool:
        """Return whether the mail bears the id of a message of ours; a stranger can't know one."""
        stamps = [normalise(value) for value in content.headers.get("x-signpost-message", ())][:5]
        known = [stamp for stamp in stamps if stamp]
        return bool(known) and bool(await self._store.read(lambda c: messages.get_many(c, known)))


class Circles:
    """Hold what would go round in circles as far as the mail itself tells: `Loops` without a store."""

    name = "loops"

    def __init__(self, desks: frozenset[str]) -> None:
        self._desks = desks

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Hold what must not be forwarded."""
        return [circling(message.content, self._desks) if message.medium is Medium.EMAIL else None for message in batch]


def circling(content: Content, desks: frozenset[str]) -> Hold | None:
    """Return why a mail would go round in circles: automatic, and from a desk; or after too many servers."""
    if content.auto_submitted and content.sender.casefold() in desks:
        return Hold("automatic mail from an address that we deliver to")
    if content.hops > MAX_HOPS:
        return Hold(f"the mail has passed {content.hops} servers: probably a loop")
    return None


def answered_delivery(content: Content, keys: KeyRing, domain: str) -> int | None:
    """Return the delivery whose Message-ID a mail answers, if it answers one of ours."""
    for mail_id in (content.in_reply_to, *reversed(content.references)):
        delivery = keys.delivery_of(mail_id, domain) if mail_id else None
        if delivery is not None:
            return delivery
    return None


class OptOut:
    """File a text message that says STOP, HELP or START and nothing else: it is for the line, not for a desk."""

    name = "opt_out"

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """File them; what a person released goes on."""
        return [
            File(f"the text says {message.content.keyword.upper()}")
            if message.content.keyword and not message.released
            else None
            for message in batch
        ]


class Unreadable:
    """Send what couldn't be parsed to the fallback, with the original attached, without asking the model."""

    name = "unreadable"

    def __init__(self, fallback: str) -> None:
        self._fallback = fallback

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Route unreadable messages."""
        return [
            Route(department=self._fallback, reason=Reason.UNREADABLE, detail=message.content.unreadable)
            if message.content.unreadable
            else None
            for message in batch
        ]


class Suspicion:
    """Send what its channel takes for spam where suspected spam goes, marked; the model's step finds more of it."""

    name = "suspicion"

    def __init__(self, spam: Spam) -> None:
        self._spam = spam

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Route or hold suspicious messages."""
        return [
            self._spam.answer(message, message.content.suspicion) if message.content.suspicion else None
            for message in batch
        ]
