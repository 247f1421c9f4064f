"""The small steps: what can't be read, what looks like spam, and mail that would go round in circles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.interfaces import Answer, File, Hold, Route
from router.records import Medium, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.records import Content, Message
    from router.signing import KeyRing

MAX_HOPS = 25  # Received headers; Postfix gives up at 50, but ours is the last desk


class Loops:
    """Hold what we sent ourselves, what answers our own mail automatically, and what has gone round too often.

    Other automatic mail (scanners, voicemail, form mailers) is routed like any other, and never answered.
    """

    name = "loops"

    def __init__(self, keys: KeyRing, domain: str) -> None:
        self._keys = keys
        self._domain = domain

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Hold or file what must not be forwarded."""
        return [
            self._one(message) if message.medium is Medium.EMAIL and not message.released else None for message in batch
        ]

    def _one(self, message: Message) -> Answer:
        content = message.content
        ours = self._answers_ours(content)
        if ours and content.headers.get("content-type", ("",))[0].startswith("multipart/report"):
            return File(f"delivery report about delivery {ours}")
        if ours and content.auto_submitted:
            return Hold(f"an automatic answer to our own mail (delivery {ours})")
        if content.headers.get("x-signpost-message"):
            return Hold("our own forwarded mail came back")
        if ours:
            return Hold(f"a reply to our own mail (delivery {ours}); it has not reached the family")
        if content.hops > MAX_HOPS:
            return Hold(f"the mail has passed {content.hops} servers: probably a loop")
        return None

    def _answers_ours(self, content: Content) -> int | None:
        """Return the delivery whose Message-ID this mail answers."""
        for mail_id in (content.in_reply_to, *reversed(content.references)):
            delivery = self._keys.delivery_of(mail_id, self._domain) if mail_id else None
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
    """Send what looks like spam to the fallback, marked: a person sees it, nothing is dropped."""

    name = "suspicion"

    def __init__(self, fallback: str) -> None:
        self._fallback = fallback

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Route suspicious messages."""
        return [
            Route(department=self._fallback, reason=Reason.ABSTAINED, detail=f"suspicious: {message.content.suspicion}")
            if message.content.suspicion
            else None
            for message in batch
        ]
