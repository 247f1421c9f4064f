"""Whose turn it is while many messages wait: one sender of thousands doesn't keep all others waiting."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from router.records import Content, Message

_EVERY = timedelta(seconds=10)  # one message of each sender has its turn in so long
_AT_ONCE = 12  # so many in a row are put behind nobody: a family in trouble writes more than once
_FORGET_EVERY = timedelta(minutes=1)  # who has been quiet: to look for them costs a look at all
_MOST = 20_000  # senders that are remembered; beyond it a flood has forged senders, and nothing can be told by them


class Shares:
    """A virtual clock for each sender (L. Zhang, VirtualClock, SIGCOMM 1990): it says who goes first.

    What is beyond a sender's share gets a later turn; while nothing else waits, it goes at once all the same. As time
    passes its turn comes before that of newer messages, so nobody's message waits for ever.
    """

    def __init__(self) -> None:
        self._next: dict[str, datetime] = {}
        self._forgot_at = datetime.min.replace(tzinfo=UTC)

    def turns(self, messages: Iterable[Message], now: datetime) -> dict[str, datetime]:
        """Return when messages have their turns, by id; those that have it now are left out."""
        found = ((message.id, self.turn_of(message.content, now)) for message in messages)
        return {message_id: turn for message_id, turn in found if turn is not None}

    def turn_of(self, content: Content, now: datetime) -> datetime | None:
        """Return when a message has its turn, None if that is now. Count it as its sender's."""
        sender = (content.reply_to or content.sender or content.phone).casefold()
        if not sender:
            return None
        earliest = now - _AT_ONCE * _EVERY
        if sender not in self._next and not self._has_room(now, earliest):
            return None
        turn = max(self._next.get(sender, earliest), earliest) + _EVERY
        if turn - now > timedelta(days=30):  # of a clock that was set back, or a flood of weeks
            turn = now
        self._next[sender] = turn
        return turn if turn > now else None

    def _has_room(self, now: datetime, earliest: datetime) -> bool:
        if len(self._next) >= _MOST and abs(now - self._forgot_at) >= _FORGET_EVERY:
            self._forgot_at = now
            self._next = {sender: at for sender, at in self._next.items() if at > earliest}
        return len(self._next) < _MOST
