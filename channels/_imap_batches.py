"""Which mails to fetch together, and which alone because something went wrong with them before."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

_MOST_MAILS, _MOST_BYTES = 50, 8 * 1_048_576  # of a batch; a larger mail comes alone
_TRIES, _PATIENCE = 5, timedelta(minutes=15)  # both, before a mail is given up


@dataclass(frozen=True, slots=True)
class Entry:
    """A mail that waits: its size in octets as the server says, and when it arrived in the mailbox."""

    uid: int
    size: int
    arrived: bytes


@dataclass(slots=True)
class Doubts:
    """Mails that something went wrong with, by UID: how often, and since when. They are fetched one by one."""

    tries: dict[int, tuple[int, datetime]] = field(default_factory=dict)
    fetching: tuple[int, ...] = ()  # what was being fetched when a connection broke
    unstored: set[int] = field(default_factory=set)  # of those: the server did its part, `accept` didn't

    def add(self, uids: Iterable[int], now: datetime, count: int) -> None:
        """Count a failure, or with 0 only doubt: it may have been another mail's fault."""
        for uid in uids:
            tries, since = self.tries.get(uid, (0, now))
            self.tries[uid] = (tries + count, since)

    def interrupted(self, now: datetime) -> None:
        """A new connection begins: what the last one broke over is in doubt."""
        self.add(self.fetching, now, count=int(len(self.fetching) == 1))
        self.fetching = ()

    def hopeless(self, uid: int, now: datetime) -> bool:
        """Tell whether a mail was tried often and long enough."""
        tries, since = self.tries.get(uid, (0, now))
        return tries >= _TRIES and now - since >= _PATIENCE

    def order(self, uid: int) -> tuple[int, int]:
        """Return a key to sort by: a mail that broke the last connection lets the others go first."""
        return self.tries[uid][0], uid

    def forget(self, uids: Iterable[int]) -> None:
        """They are settled."""
        for uid in uids:
            self.tries.pop(uid, None)
            self.unstored.discard(uid)


def entries(found: Mapping[int, Mapping[str, Any]]) -> list[Entry]:
    """Return what a FETCH of sizes and times says, by UID."""
    return [
        Entry(uid, _number(items.get("RFC822.SIZE")), _bytes(items.get("INTERNALDATE")))
        for uid, items in sorted(found.items())
    ]


def _number(value: object) -> int:
    return int(value) if isinstance(value, bytes) and value.isdigit() else 0


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def chunks(uids: Sequence[int], size: int) -> Iterator[list[int]]:
    """Yield UIDs, so many at once."""
    rest = iter(uids)
    while chunk := list(islice(rest, size)):
        yield chunk


def batches(waiting: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Yield mails in order, as many as fit into a batch and at least one."""
    batch: list[Entry] = []
    for entry in waiting:
        if batch and (len(batch) == _MOST_MAILS or sum(e.size for e in batch) + entry.size > _MOST_BYTES):
            yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch
