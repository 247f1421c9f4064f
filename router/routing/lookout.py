"""While more waits for a decision than is taken at once: look through it for alarms, which then come before the rest.

It only changes the order. What is found here is decided like any other message, and so is what is overlooked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from router.store import messages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from structlog.typing import FilteringBoundLogger

    from router.records import Content
    from router.routing.urgent import Look, Urgent
    from router.store.engine import Store

    Understand = Callable[[bytes, Mapping[str, object], str], Awaitable[Content]]

FEWEST = 128
"""Messages that wait: fewer are decided in a second, as soon as they would have been looked through."""

MOST = 100_000
"""Messages that are remembered, some 10 MB of ids: of more, the oldest are decided before they were looked through."""

MOST_KEPT = 16_000_000
"""Octets of contents that are kept until their messages are decided: some five thousand forms."""

_PAGE = 32
_BESIDE = 2_000  # octets that a content takes beside its texts, about
_MOST_BYTES = 262_144  # of an original: a larger one costs as much as a hundred others, and waits its turn


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found of a message: what it says, and why it is urgent, "" if it isn't.

    None if nobody can say: the model failed just then, or another one serves now.
    """

    content: Content
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of a message, and of how many octets, about."""

    content: Content
    look: Look
    size: int


class Lookout:
    """Finds urgent messages among those that wait, the newest first: the deciders come from the other end.

    `urgent` says which messages are. What came in before is read from the store when a backlog begins, and when another
    model serves, which may find more; what comes in later is noted. What was found is kept until the message is
    decided, so that nothing is read or asked twice, as far as memory allows (`MOST_KEPT`).
    """

    def __init__(
        self,
        store: Store,
        understand: Understand,
        urgent: Urgent,
        *,
        wake: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._understand = understand
        self._urgent = urgent
        self._model = ""  # what served when what waits was read
        self._wake = wake
        self._log = log
        self._behind = False  # whether the deciders are
        self._unseen: deque[str] | None = None  # None: what waits has not been read yet
        self.found: deque[str] = deque()  # to be decided first
        self._seen: dict[str, _Kept] = {}
        self._kept = 0  # octets

    def note(self, message_id: str) -> None:
        """A message came in."""
        if self._unseen is not None:
            self._unseen.append(message_id)

    def tell(self, *, behind: bool) -> None:
        """Learn whether there was as much to decide as is taken at once."""
        if behind is self._behind:
            return
        self._behind, self._unseen = behind, None
        if behind:
            self._wake()

    def take(self, most: int) -> list[str]:
        """Return messages to decide first, and forget them."""
        return [self.found.popleft() for _ in range(min(most, len(self.found)))]

    def recall(self, message_id: str) -> Seen | None:
        """Return what was found of a message, and forget it; None if nothing was, or it isn't known any more."""
        kept = self._seen.pop(message_id, None)
        if kept is None:
            return None
        self._kept -= kept.size
        return Seen(kept.content, kept.look.reason if self._urgent.holds(kept.look) else None)

    def put_back(self, ids: Sequence[str]) -> None:
        """Let messages come first once more: the batch they were in has failed."""
        self.found.extendleft(reversed(ids))

    async def run_once(self) -> int:
        """Look through one page, and return how many messages it had."""
        if not self._behind:
            return 0
        if self._unseen is None or self._model != self._urgent.model:
            self._model = self._urgent.model
            self._unseen = deque(maxlen=MOST)  # from here on what comes in is noted
            before = await self._store.read(partial(messages.waiting, most=MOST))
            for gone in self._seen.keys() - set(before):  # another daemon has decided it
                self.recall(gone)
            if self._unseen is None or len(before) < FEWEST:
                self._unseen = None
                return 0
            self._unseen.extendleft(islice(reversed(before), MOST - len(self._unseen)))
        ids = [self._unseen.pop() for _ in range(min(_PAGE, len(self._unseen)))]
        try:
            await self._look([each for each in ids if not self._is_known(each)])
        except Exception:
            if self._unseen is not None:  # again, after the others: they mustn't wait for what can't be read
                self._unseen.extendleft(ids)
            raise
        return len(ids)

    def _is_known(self, message_id: str) -> bool:
        kept = self._seen.get(message_id)
        return kept is not None and self._urgent.holds(kept.look)

    async def _look(self, ids: Sequence[str]) -> None:
        if not ids:
            return
        page = await self._store.read(partial(messages.waiting_among, ids=ids, most_bytes=_MOST_BYTES))
        read = (self._understand(each.original, each.facts, each.medium.value) for each in page)
        contents = await asyncio.gather(*read)
        asked = [(content, each.medium.value) for content, each in zip(contents, page, strict=True)]
        looks = await self._urgent.look(asked)
        known = {message_id for message_id in ids if message_id in self._seen and self._seen[message_id].look.reason}
        for each, content, look in zip(page, contents, looks, strict=True):
            self._keep(each.id, _Kept(content, look, _BESIDE + len(each.original)))
        urgent = [each.id for each, look in zip(page, looks, strict=True) if look.reason and each.id not in known]
        self.found.extend(urgent)
        for message_id in urgent:
            self._log.info("urgent_comes_first", message_id=message_id)

    def _keep(self, message_id: str, found: _Kept) -> None:
        """Keep what was found, instead of what was found first: that came in last, and is decided last."""
        self.recall(message_id)
        self._seen[message_id] = found
        self._kept += found.size
        while self._kept > MOST_KEPT:
            self.recall(next(iter(self._seen)))
