"""Whose turn it is while many messages wait: one sender of thousands, or one mailbox, doesn't keep others waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.records import Message

_FORGET_EVERY = timedelta(minutes=1)  # who has been quiet: to look for them costs a look at all
_MOST = 20_000  # keys that are remembered; beyond it a flood has forged senders, and nothing can be told by them
_FARTHEST = timedelta(days=30)  # a turn beyond it is of a clock that was set back, or of a flood of weeks


class Shares:
    """Who goes first: each sender has a share, and each channel, so that a mailbox's backlog doesn't delay a form.

    What is beyond a share gets a later turn; while nothing else waits, it goes at once all the same. As time passes its
    turn comes before that of newer messages, so nobody's message waits for ever.
    """

    def __init__(self) -> None:
        # A family in trouble writes more than once; a channel's usual rush is far below 20 a second.
        self._senders = _Clocks(every=timedelta(seconds=10), at_once=12)
        self._channels = _Clocks(every=timedelta(milliseconds=50), at_once=40)
        self._given: dict[str, datetime] = {}  # turns of messages that aren't written yet, by id

    def turns(self, messages: Iterable[Message], now: datetime) -> dict[str, datetime]:
        """Return when messages have their turns, by id; those that have it now are left out.

        Each message counts once, however often it is decided until it is `written`.
        """
        if len(self._given) >= _MOST:  # others wrote them
            self._given.clear()
        found = {each.id: self._given.get(each.id) or self._turn_of(each, now) for each in messages}
        self._given |= found
        return {message_id: turn for message_id, turn in found.items() if turn > now}

    def written(self, message_ids: Iterable[str]) -> None:
        """Forget messages: their turns stand in the store."""
        for message_id in message_ids:
            self._given.pop(message_id, None)

    def _turn_of(self, message: Message, now: datetime) -> datetime:
        content = message.content
        sender = (content.reply_to or content.sender or content.phone).casefold()
        turn = self._senders.next(sender, now) if sender else now
        return turn if turn > now else self._channels.next(message.channel, now)  # one flood is nobody else's


class _Clocks:
    """A virtual clock for each key (L. Zhang, VirtualClock, SIGCOMM 1990).

    One message of each key has its turn `every` so often; `at_once` in a row are put behind nobody.
    """

    def __init__(self, *, every: timedelta, at_once: int) -> None:
        self._every = every
        self._ahead = at_once * every
        self._next: dict[str, datetime] = {}
        self._forgot_at = datetime.min.replace(tzinfo=UTC)

    def next(self, key: str, now: datetime) -> datetime:
        """Count one message of a key, and return when its turn is."""
        earliest = now - self._ahead
        if key not in self._next and not self._has_room(now, earliest):
            return now
        turn = max(self._next.get(key, earliest), earliest) + self._every
        self._next[key] = now if turn - now > _FARTHEST else turn
        return self._next[key]

    def _has_room(self, now: datetime, earliest: datetime) -> bool:
        if len(self._next) >= _MOST and abs(now - self._forgot_at) >= _FORGET_EVERY:
            self._forgot_at = now
            self._next = {key: at for key, at in self._next.items() if at > earliest}
        return len(self._next) < _MOST
