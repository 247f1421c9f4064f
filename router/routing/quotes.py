"""What a message says anew: an answer that quotes an urgent message is no second alarm, what it adds may be one.

Nothing is taken for a signature, a disclaimer or the rest of a quote: an alarm may stand there. A line is left out only
if it is known to repeat something.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from router.store import decisions, deliveries, messages, threads

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from router.records import Content, Message
    from router.signing import KeyRing
    from router.store.engine import Store

_MOST_IDS = 50
_MOST_OURS = 5
_MOST_TEXT = 64_000  # characters of each text that are compared; the words of urgency look at fewer
_RUN = 4  # words: of fewer a person's own line may consist by chance
_WORDS = re.compile(r"\w+")
_REPLY_MARKS = ("re", "rv", "aw", "sv", "resp")
_SUBJECT_MARKS = ("subject", "asunto", "assunto", "objet", "betreff")
_MOST_MARKS = 6


class Quotes:
    """Leaves out what an answer repeats of what is known here: mails of ours, and messages that came in.

    Of an answer to anything else, such as a threat that a family got and answers with us in copy, all else is new,
    also if the conversation began with something known.
    """

    def __init__(self, store: Store, keys: KeyRing, domain: str) -> None:
        self._store = store
        self._keys = keys
        self._domain = domain

    async def said_anew(self, message: Message) -> Content:
        """Return the content of a message without what it repeats."""
        content = message.content
        ids = [each for each in (*content.references, content.in_reply_to) if each][-_MOST_IDS:]
        if not ids:
            return content
        sent = {each: number for each in ids if (number := self._keys.delivery_of(each, self._domain)) is not None}
        texts, came = await self._store.read(lambda c: _known(c, message, ids, list(sent.values())))
        if not (texts or sent):
            return content
        answers_known = ids[-1] in came or ids[-1] in sent
        # In a thread, for a long conversation takes a while.
        return await asyncio.to_thread(_without, content, texts, answers_known=answers_known)


def _known(connection: Connection, message: Message, ids: list[str], sent: list[int]) -> tuple[list[str], set[str]]:
    """Return the texts of what has one of these ids or was carried by one of our mails, and the ids that came in."""
    came = [each.content for each in threads.named(connection, [], ids, message.received_at)]
    texts = [text for content in came for text in _texts(content)]
    for number in sent[-_MOST_OURS:]:
        texts += _ours(connection, number)
    return texts, {content.external_id for content in came}


def _ours(connection: Connection, number: int) -> Iterator[str]:
    """Yield what a mail of ours says: the notice, the message, and why that was urgent."""
    delivery, carried = deliveries.get(connection, number), messages.of_delivery(connection, number)
    if carried:
        yield from _texts(carried.content)
    if delivery and delivery.notice:
        yield from (delivery.notice.subject, delivery.notice.text)
    decided = decisions.get_many(connection, [delivery.decision_id]) if delivery and delivery.decision_id else {}
    for decision in decided.values():
        if decision.urgent:
            yield from (f"URGENT: {decision.urgent}", f"URGENT {carried.content.subject if carried else ''}")


def _texts(content: Content) -> tuple[str, str, str]:
    return content.subject, content.text, content.html_text


class _Repeated:
    """Tells lines that known texts have, however those were wrapped: whole, or with every run of words in them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._lines: set[tuple[str, ...]] = set()
        self._runs: set[tuple[str, ...]] = set()
        for text in dict.fromkeys(texts):
            self._lines.update(map(_words, text[:_MOST_TEXT].splitlines()))
            self._runs.update(_runs(_words(text[:_MOST_TEXT])))

    def __contains__(self, line: str) -> bool:
        words = _words(line)
        return words in self._lines or (len(words) >= _RUN and self._runs.issuperset(_runs(words)))


def _words(text: str) -> tuple[str, ...]:
    return tuple(_WORDS.findall(text.casefold()))


def _runs(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (words[at : at + _RUN] for at in range(len(words) - _RUN + 1))


def _without(content: Content, texts: Iterable[str], *, answers_known: bool) -> Content:
    """Return a content without lines and a subject that repeat a text, and without marked quotes of what is known."""
    repeated = _Repeated(texts)

    def own(text: str) -> str:
        return "\n".join(_own(text.splitlines(), repeated, answers_known=answers_known))

    return replace(
        content,
        subject="" if _is_repeated_subject(content.subject, repeated) else content.subject,
        text=own(content.text),
        html_text=own(content.html_text),
    )


def _own(lines: list[str], repeated: _Repeated, *, answers_known: bool) -> Iterator[str]:
    """Yield the lines, empty where they say nothing new; the first is the person's own even if it repeats something."""
    first = True
    for line in lines:
        quoted = line.lstrip().startswith(">")
        bare = _bare(line, _SUBJECT_MARKS + _REPLY_MARKS)
        own = not (quoted and answers_known) and ((first and not quoted) or bare not in repeated)
        first = first and (quoted or not line.strip())
        yield line if own else ""


def _is_repeated_subject(subject: str, repeated: _Repeated) -> bool:
    bare = _bare(subject, _REPLY_MARKS)
    return bare != subject and bare in repeated


def _bare(line: str, marks: tuple[str, ...]) -> str:
    """Return a line without the marks at its beginning, such as "Subject: Re:"."""
    for _ in range(_MOST_MARKS):
        mark, colon, rest = line.partition(":")
        if not colon or mark.strip(" \t>*").partition("[")[0].casefold() not in marks:
            break
        line = rest
    return line
