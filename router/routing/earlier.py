"""What a message continues while that isn't decided itself: it comes first, so that the later one can follow it."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import chain, zip_longest
from time import monotonic
from typing import TYPE_CHECKING

from router.routing.threads import mail_ids_of, may_follow, references_of
from router.store import threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from router.records import Message
    from router.store.engine import Store
    from router.store.threads import Waiting

    Continued = Mapping[str, Sequence[str]]
    Take = Callable[[Sequence[str]], Awaitable[Sequence[Message]]]

MOST = 32
"""Earlier messages that are taken along with a batch: of a thread of thousands the last ones, and the rest later."""

PATIENCE_S = 30.0
"""For how long a message waits for one that another batch has: a daemon that died is missed after 20 s."""

_ROUNDS = 8  # of looking for what was found continues in its turn
_MOST_EACH = 8  # that one message continues: the last ones
_PAUSE_S = 0.1
_MOST_PUT_OFF = 256


class Earlier:
    """Finds what the messages of a batch may continue and what nobody has decided, by the signs of `Threads`.

    Who wrote it isn't known before it is read: of mails, a stranger's too. `window` is that of a second text.
    """

    def __init__(self, store: Store, window: timedelta) -> None:
        self._store = store
        self._window = window

    async def gather(self, batch: Sequence[Message], take: Take) -> tuple[list[Message], set[str]]:
        """Return a batch with what it continues, in the order in which all of it came, and who has to wait.

        `take` leases and reads messages, as far as nobody has them. Who waits continues what another batch has, or what
        a process died over, or somebody who waits. What there is no room for is left to its turn.
        """
        gathered, new = {each.id: each for each in batch}, batch
        continued: dict[str, Sequence[str]] = {}
        missing: set[str] = set()
        for _round in range(_ROUNDS):
            found = await self._of(new)
            continued |= found
            wanted = [each for each in _in_turns(found.values()) if each not in gathered and each not in missing]
            wanted = wanted[: len(batch) + MOST - len(gathered)]
            new = await take(wanted) if wanted else []
            gathered |= {each.id: each for each in new}
            missing.update(set(wanted) - gathered.keys())
            if not new:
                break
        order = sorted(gathered.values(), key=_turn)
        return order, _cut_off(order, continued, missing)

    async def _of(self, batch: Sequence[Message]) -> Continued:
        """Return for each message the ids of what it may continue, the last first; without those that have none."""
        naming = {each.id: ({*references_of(each.content)}, {*mail_ids_of(each.content)}) for each in batch}
        ids = set(chain.from_iterable(said for said, _ in naming.values()))
        mail_ids = set(chain.from_iterable(said for _, said in naming.values()))
        texts = [each.id for each in batch if may_follow(each, self._window)]
        if not (ids or mail_ids or texts):
            return {}  # most messages are the first
        look = partial(_look, ids=ids, mail_ids=mail_ids, texts=texts)
        waiting, last = await self._store.read(look)
        found = {each.id: self._continued(each, naming[each.id], waiting, last.get(each.id)) for each in batch}
        return {message_id: earlier for message_id, earlier in found.items() if earlier}

    def _continued(
        self, message: Message, named: tuple[set[str], set[str]], waiting: Sequence[Waiting], last: Waiting | None
    ) -> list[str]:
        ids, mail_ids = named
        earlier = [other for other in waiting if other.id in ids or other.mail_id in mail_ids]
        if last and message.received_at - last.received_at <= self._window:
            earlier.append(last)
        earlier = [other for other in earlier if _turn(other) < _turn(message)]
        return [other.id for other in sorted(earlier, key=_turn, reverse=True)[:_MOST_EACH]]


def _look(
    connection: Connection, ids: set[str], mail_ids: set[str], texts: Sequence[str]
) -> tuple[Sequence[Waiting], Mapping[str, Waiting]]:
    return threads.undecided_named(connection, ids, mail_ids), threads.undecided_texts(connection, texts)


def _turn(message: Message | Waiting) -> tuple[datetime, str]:
    return message.received_at, message.id


def _in_turns(lists: Iterable[Sequence[str]]) -> list[str]:
    """Return what several lists hold, each once: the first of each, the second of each, and so on."""
    return [each for each in dict.fromkeys(chain.from_iterable(zip_longest(*lists))) if each is not None]


def _cut_off(order: Iterable[Message], continued: Continued, missing: set[str]) -> set[str]:
    """Return which messages, in the order in which they came, continue a missing one, or one that does."""
    found: set[str] = set()
    for message in order:
        if not (missing | found).isdisjoint(continued.get(message.id, ())):
            found.add(message.id)
    return found


class PutOff:
    """Messages that wait for one which another batch has: again and again, each time for longer, but not for ever."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._known: dict[str, tuple[float, float]] = {}  # since when, and until when for now

    def add(self, message_id: str) -> bool:
        """Put a message off; return False if it has waited long enough, or too many wait."""
        now = self._now()
        since, _until = self._known.get(message_id, (now, now))
        if now - since >= PATIENCE_S or (message_id not in self._known and len(self._known) >= _MOST_PUT_OFF):
            self._known.pop(message_id, None)
            return False
        self._known[message_id] = (since, min(now + max(_PAUSE_S, (now - since) / 4), since + PATIENCE_S))
        return True

    def forget(self, message_ids: Iterable[str]) -> None:
        """Messages are decided: others may be put off in their place."""
        for message_id in message_ids:
            self._known.pop(message_id, None)

    async def pause(self) -> None:
        """Wait until what was put off may be taken up again: where there is nothing else to do."""
        await asyncio.sleep(_PAUSE_S)

    def names(self) -> list[str]:
        """Return what isn't to be taken up now, and forget what was decided by somebody else."""
        now = self._now()
        self._known = {name: times for name, times in self._known.items() if now - times[0] < 2 * PATIENCE_S}
        return [name for name, (_since, until) in self._known.items() if until > now]
