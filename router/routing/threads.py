"""Follow a conversation: a message goes where the one it continues stands now, also after a correction."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from router.contacts import key_of
from router.ids import normalise
from router.records import DeliveryKind, Medium, Reason
from router.routing.answer import UNDECIDED, Answer, Follow, Route
from router.routing.steps import answered_delivery
from router.store import deliveries, threads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from router.records import Content, Message
    from router.signing import KeyRing
    from router.store.engine import Store
    from router.store.threads import Standing

_MOST_IDS = 50
_MOST_REFERENCES = 5
_LOOKED_AT = 2_000  # characters of a text in which a reference is looked for
_REFERENCE = re.compile(r"(?<![0-9A-Za-z])[0-9A-Za-z]{4}([ -]?)[0-9A-Za-z]{4}\1[0-9A-Za-z]{4}(?![0-9A-Za-z])")
_OTHER_TOPIC = re.compile(
    r"\b(?:(?:an)?other (?:thing|question|matter|topic|subject)|different (?:question|matter|topic|subject)"
    r"|new (?:question|topic)|unrelated|otra (?:cosa|pregunta|duda)|otro (?:tema|asunto)|cambiando de tema)\b",
    re.IGNORECASE,
)


class Threads:
    """What a message continues, the surest sign first.

    Our own signed id, in an answer to what only the writer was sent, is proof enough. The Message-ID of an earlier mail
    and the reference on a receipt aren't: whoever knows one has to be the person who wrote the earlier message, by
    address or phone. A second text from the same phone within `window` follows, unless it says that it is about
    something else. Nothing follows a message of which nobody knew what it was about: it speaks for itself.
    """

    name = "threads"

    def __init__(self, store: Store, keys: KeyRing, domain: str, window: timedelta) -> None:
        self._store = store
        self._keys = keys
        self._domain = domain
        self._window = window

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Route what continues an earlier message, be that one decided already or an earlier one of the batch."""
        return [await self._one(message, batch) for message in batch]

    async def _one(self, message: Message, batch: Sequence[Message]) -> Answer:
        texted = may_follow(message, self._window)
        if not (texted or mail_ids_of(message.content) or references_of(message.content)):
            return None  # most messages are the first: no need to ask the store
        beside = _named_beside(message, batch) or (self._text_beside(message, batch) if texted else None)
        find = partial(self._find, message=message, by_number=texted and beside is None)
        found: Standing | None = await self._store.read(find)
        if found is None:
            return Follow(beside.id) if beside else None
        detail = f"continues {found.id}"
        return Route(department=found.department, reason=Reason.THREAD, detail=detail, school=found.school)

    def _find(self, connection: Connection, message: Message, *, by_number: bool) -> Standing | None:
        content, before = message.content, message.received_at
        answered, to_the_writer = self._answered(connection, content)
        ids = ([answered] if answered else []) + references_of(content)
        writer = _keys_of(content)
        for earlier in threads.named(connection, ids, mail_ids_of(content), before):
            proved = to_the_writer and earlier.id == answered
            if earlier.reason not in UNDECIDED and (proved or writer & _keys_of(earlier.content)):
                return earlier
        if not by_number:
            return None
        last = threads.latest(connection, content.sender, before - self._window, before)
        return last if last and last.reason not in UNDECIDED else None

    def _answered(self, connection: Connection, content: Content) -> tuple[str, bool]:
        """Return what the answered mail of ours was about, and whether only who wrote that was sent the mail."""
        delivery_id = answered_delivery(content, self._keys, self._domain)
        delivery = deliveries.get(connection, delivery_id) if delivery_id is not None else None
        if delivery is None or delivery.message_id is None:
            return "", False
        return delivery.message_id, delivery.kind is DeliveryKind.ANSWER and delivery.decision_id is not None

    def _text_beside(self, message: Message, batch: Sequence[Message]) -> Message | None:
        """Return the text of the same number that came just before in the same batch."""
        sender, since = message.content.sender.casefold(), message.received_at - self._window
        earlier = [
            other
            for other in batch
            if other.medium is Medium.SMS
            and other.content.sender.casefold() == sender
            and since <= other.received_at < message.received_at
        ]
        return max(earlier, key=_turn) if earlier else None


def _named_beside(message: Message, batch: Sequence[Message]) -> Message | None:
    """Return the last earlier message of the same batch that a message names and that the same person wrote."""
    ids, mail_ids = set(references_of(message.content)), set(mail_ids_of(message.content))
    earlier = [
        other
        for other in batch
        if (other.id in ids or other.content.external_id in mail_ids)
        and _turn(other) < _turn(message)
        and _keys_of(other.content) & _keys_of(message.content)
    ]
    return max(earlier, key=_turn) if earlier else None


def _turn(message: Message) -> tuple[datetime, str]:
    return message.received_at, message.id


def may_follow(message: Message, window: timedelta) -> bool:
    """Return whether a message follows the last one of the same number: a text that names no other topic."""
    texted = message.medium is Medium.SMS and bool(message.content.sender) and bool(window)
    return texted and not _OTHER_TOPIC.search(message.content.text[:_LOOKED_AT])


def mail_ids_of(content: Content) -> list[str]:
    """Return the Message-IDs that a message names as what it continues, the last ones at most."""
    return [each for each in (content.in_reply_to, *content.references) if each][-_MOST_IDS:]


def references_of(content: Content) -> list[str]:
    """Return the ids of messages that a message names, as a receipt shows them: a few that may be some."""
    said = [each for each in content.references if "@" not in each]
    text = f"{content.subject}\n{content.text[:_LOOKED_AT]}"
    said += [match[0] for match in _REFERENCE.finditer(text) if any(char.isdigit() for char in match[0])]
    return [found for each in dict.fromkeys(said) if (found := normalise(each))][:_MOST_REFERENCES]


def _keys_of(content: Content) -> set[str]:
    """Return what stands for the person who wrote: addresses and numbers, however they are written."""
    addresses = (content.sender, content.reply_to, content.phone)
    return {key for address in addresses if address and (key := key_of(address))}
