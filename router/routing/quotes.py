"""What a message says anew: an answer that quotes an urgent message is no second alarm, what it adds may be one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.routing.steps import answered_delivery
from router.store import threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.records import Content, Message
    from router.signing import KeyRing
    from router.store.engine import Store

_MOST_IDS = 50


class Quotes:
    """Leaves out what an answer quotes, if what it answers is known here: a mail of ours, or a message that came in.

    Of an answer to anything else, such as a threat that a family got and answers with us in copy, all is new.
    `unquoted` returns a message's content without what it repeats.
    """

    def __init__(self, store: Store, keys: KeyRing, domain: str, unquoted: Callable[[Content], Content]) -> None:
        self._store = store
        self._keys = keys
        self._domain = domain
        self._unquoted = unquoted

    async def said_anew(self, message: Message) -> Content:
        """Return the content of a message, without quotes if it answers what is known here."""
        content = message.content
        ids = [each for each in (content.in_reply_to, *content.references) if each][-_MOST_IDS:]
        if not ids:
            return content
        known = answered_delivery(content, self._keys, self._domain) is not None or bool(
            await self._store.read(lambda c: threads.named(c, [], ids, message.received_at))
        )
        return self._unquoted(content) if known else content
