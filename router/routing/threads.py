"""Follow a conversation: a reply goes where the message it continues stands now, also after a correction."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from router.records import Medium, Reason
from router.routing.answer import Answer, Route
from router.routing.steps import answered_delivery
from router.store import messages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from sqlalchemy import Row

    from router.records import Content, Message
    from router.signing import KeyRing
    from router.store.engine import Store

_SHORT_WORDS = 8  # a longer text can stand for itself


class Threads:
    """Our signed id, the same sender's earlier Message-ID, or a short second text from the same phone in the window.

    Knowing an id isn't enough: the sender has to be the one who wrote the earlier message.
    """

    name = "threads"

    def __init__(self, store: Store, keys: KeyRing, domain: str, window: timedelta) -> None:
        self._store = store
        self._keys = keys
        self._domain = domain
        self._window = window

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Route what continues an earlier message."""
        return [await self._one(message) for message in batch]

    async def _one(self, message: Message) -> Answer:
        content = message.content
        ids = [i for i in (content.in_reply_to, *content.references) if i][-50:]
        ids += await self._answered(content)
        texted = message.medium is Medium.SMS and len(content.text.split()) < _SHORT_WORDS
        since = message.received_at - self._window if texted else None
        if not content.sender or not (ids or since):
            return None
        find = partial(
            messages.earlier, sender=content.sender, external_ids=ids, since=since, before=message.received_at
        )
        earlier: Row[str, str, str] | None = await self._store.read(find)
        if earlier is None:
            return None
        return Route(department=earlier.department, reason=Reason.THREAD, detail=f"continues {earlier.id}")

    async def _answered(self, content: Content) -> list[str]:
        """Return the id of the message that a mail of ours, which this one answers, had forwarded."""
        delivery_id = answered_delivery(content, self._keys, self._domain)
        if delivery_id is None:
            return []
        first = await self._store.read(lambda c: messages.of_delivery(c, delivery_id))
        return [first.content.external_id] if first and first.content.external_id else []
