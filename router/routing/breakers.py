"""Circuit breakers: a program that answers without saying so is known by how much it says, or that it says the same.

What they count is in the store, so that it holds across restarts and for all daemons together.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from router.records import Medium
from router.routing.answer import Answer, Hold
from router.store import echoes, threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from router.records import Content, Message
    from router.settings import Pace
    from router.store.engine import Store

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_WORDS = 8  # many people say "thank you" to the same letter
# A desk that has its mailbox there isn't a neighbour of all who have theirs there.
_PUBLIC = frozenset(
    (
        "aol.com",
        "gmail.com",
        "googlemail.com",
        "hotmail.com",
        "icloud.com",
        "live.com",
        "me.com",
        "msn.com",
        "outlook.com",
        "proton.me",
        "yahoo.com",
    )
)
_NOT_LETTERS = re.compile(r"[\W\d_]+")
_ANSWERS = re.compile(
    r"(?:\[[^\]]{0,60}\]\s*)*(?:re|rv|aw|sv|vs|antw|resp?|auto|automatic(?: reply)?|auto-?reply|out of (?:the )?office"
    r"|respuesta autom[aá]tica|fuera de (?:la )?oficina)\s*(?:\[\d+\]\s*)?:",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many mails are forwarded before the next ones are held."""

    per_sender: Pace  # of one address
    per_desk: Pace  # of one address that we deliver to
    alike: Pace  # answers that say the same, numbers aside


class Breakers:
    """Hold what comes too often: from one sender, or as the same words in answer after answer.

    `desks` are the addresses that we deliver to, in lower case, `departments` those of them that aren't for alerts
    alone: who is told of something may sit where families do. `said` returns what a mail's writer says in it, without
    quotes. Answers of some length are counted by their words whoever sends them, so that a program with a fresh address
    each time is found; other mail only if it comes from where our desks are, from an address that never wrote before.
    """

    name = "breakers"

    def __init__(
        self,
        store: Store,
        desks: frozenset[str],
        limits: Limits,
        said: Callable[[Content], str],
        departments: frozenset[str] | None = None,
    ) -> None:
        self._store = store
        self._desks = desks
        near = desks if departments is None else departments
        self._domains = frozenset(desk.rpartition("@")[2] for desk in near if "@" in desk) - _PUBLIC
        self._limits = limits
        self._said = said

    async def decide(self, batch: Sequence[Message]) -> Sequence[Answer]:
        """Hold what is too much; everything else goes on."""
        mails = [each for each in batch if each.medium is Medium.EMAIL and not each.released and each.content.sender]
        if not mails:
            return [None] * len(batch)
        counts = await self._store.read(lambda c: self._counts(c, mails))
        held = {each.id: hold for each in mails if (hold := self._too_many(each, counts))}
        held |= await self._alike([each for each in mails if each.id not in held])
        return [held.get(message.id) for message in batch]

    # --- by sender ----------------------------------------------------------------------------------------------------

    def _limit_of(self, sender: str) -> tuple[str, Pace]:
        at_desk = sender.casefold() in self._desks
        return ("per_desk", self._limits.per_desk) if at_desk else ("per_sender", self._limits.per_sender)

    def _counts(self, connection: Connection, mails: Sequence[Message]) -> dict[str, int]:
        """Return how many of each sender's mails were routed lately, counted no further than the limit."""
        found: dict[str, int] = {}
        for mail in mails:
            sender = mail.content.sender
            if sender not in found:
                _name, pace = self._limit_of(sender)
                since = mail.received_at - timedelta(seconds=pace.seconds)
                found[sender] = threads.count_of(connection, sender, since, pace.count)
        return found

    def _too_many(self, message: Message, counts: dict[str, int]) -> Hold | None:
        name, pace = self._limit_of(message.content.sender)
        if counts[message.content.sender] < pace.count:
            return None
        where = "an address that we deliver to" if name == "per_desk" else "one address"
        return Hold(
            f"more mails from {where} than routing.loops.{name} allows ({pace}): probably a program",
            unless_urgent=name == "per_sender",
        )

    # --- by what they say ---------------------------------------------------------------------------------------------

    async def _alike(self, mails: Sequence[Message]) -> dict[str, Hold]:
        candidates = [each for each in mails if self._may_be_part(each.content)]
        if not candidates:
            return {}
        words = await asyncio.to_thread(lambda: {each.id: self._words(each.content) for each in candidates})
        asked = [each for each in candidates if words[each.id]]
        return await self._store.write(lambda c: self._noted(c, asked, words)) if asked else {}

    def _noted(self, connection: Connection, mails: Sequence[Message], words: dict[str, list[str]]) -> dict[str, Hold]:
        """Note what is said again, and return what was said too often."""
        pace, now, held = self._limits.alike, self._store.clock.now(), dict[str, Hold]()
        span = timedelta(seconds=pace.seconds)
        echoes.forget(connection, now, span)
        for mail in mails:
            tells = _tells(mail.content, words[mail.id])
            if not tells and threads.count_of(connection, mail.content.sender, _EVER, 1):
                continue  # staff that say thank you, a program that tells news: those have one address
            digest = sha256(" ".join(words[mail.id]).encode()).hexdigest()[:32]
            if not echoes.note(connection, digest, mail.id, now, span=span, most=pace.count):
                held[mail.id] = Hold(
                    f"the same words came more often than routing.loops.alike allows ({pace}): probably a loop",
                    told=tells and self._is_near(mail.content),  # people who say the same are no robot
                )
        return held

    def _is_near(self, content: Content) -> bool:
        return content.sender.casefold().rpartition("@")[2] in self._domains

    def _may_be_part(self, content: Content) -> bool:
        return not content.attachments and (_answers(content) or self._is_near(content))

    def _words(self, content: Content) -> list[str]:
        """Return the words of a mail, numbers aside; none if it says too little to be told by them."""
        said = self._said(content)
        if not _answers(content):  # of an answer the subject is that of what it answers
            said = f"{content.subject} {said}"
        words = _NOT_LETTERS.sub(" ", said.casefold()).split()
        return words if self._is_near(content) or len(words) >= _LEAST_WORDS else []


def _tells(content: Content, words: Sequence[str]) -> bool:
    """Tell whether a mail is known by its words alone, whoever sends it: an answer of some length."""
    return _answers(content) and len(words) >= _LEAST_WORDS


def _answers(content: Content) -> bool:
    """Tell whether a mail looks like an answer to another one, be it a person's."""
    replied = any(value.casefold().startswith("auto-replied") for value in content.headers.get("auto-submitted", ()))
    return bool(content.in_reply_to or content.references or replied or _ANSWERS.match(content.subject))
