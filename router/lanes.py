"""Where one sink's deliveries go: each host has a breaker of its own, and a slow one can't hold up the others."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from router.breaker import Breaker
from router.records import DeliveryKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from random import Random

    from router.interfaces import Sink
    from router.records import Delivery

AHEAD = 16  # leased at once beyond what is being sent, so that a sink never waits for the store
MOST_BYTES = 48_000_000  # of large originals under way at one sink: nearly two of the largest; one goes in any case
_SMALL = 48  # an original of this part of it is small; small ones have a quarter of it for themselves


@dataclass(slots=True, eq=False)
class Lane:
    """The way to one host."""

    breaker: Breaker
    addresses: set[str] = field(default_factory=set)  # that lead there, as far as is known
    under_way: int = 0
    attempts: int = 0  # of these: which the sink is at

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count an attempt for the length of a `with` block."""
        self.attempts += 1
        try:
            yield
        finally:
            self.attempts -= 1


@dataclass(slots=True)
class _Room:
    """How much of the large, or of the small, may be under way; whoever finds none keeps the next ones behind it."""

    most: int
    octets: int = 0
    full: bool = False

    def takes(self, size: int) -> bool:
        """Tell whether there is room for so many octets. One alone always has it."""
        self.full = self.full or 0 < self.octets > self.most - size
        return not self.full or not size


def _is_small(size: int) -> bool:
    return size <= MOST_BYTES // _SMALL


class Lanes:
    """The lanes of one sink, and what is under way on them.

    A sink that reaches one server, whatever the address, has one lane. Of one that reaches many (`Sink.host_of`) each
    host may take three quarters of the attempts, and one that failed last time a single one.
    """

    def __init__(self, sink: Sink, rng: Random) -> None:
        self._sink = sink
        self._rng = rng
        self._host_of = getattr(sink, "host_of", None)
        self._lanes: dict[str, Lane] = {}
        self._sizes: dict[int, int] = {}  # of what is under way, in octets of its original

    def of(self, to: str) -> Lane:
        """Return the lane of an address."""
        host = self._host_of(to) if self._host_of else ""
        lane = self._lanes.get(host)
        if lane is None:
            lane = self._lanes[host] = Lane(Breaker(self._rng))
        if self._host_of:
            lane.addresses.add(to)
        return lane

    def room(self, now: datetime) -> int:
        """Return how many more deliveries may be leased."""
        most = self._sink.concurrency + AHEAD
        if not self._host_of and "" in self._lanes:
            most = self._lanes[""].breaker.allows(now, most)
        return most - len(self._sizes)

    def shut(self, now: datetime) -> list[str]:
        """Return the addresses for which nothing is to be leased now, though there is room."""
        if not self._host_of:
            return []
        lanes = self._lanes.values()
        return [to for lane in lanes if lane.under_way >= self._most(lane, now) for to in sorted(lane.addresses)]

    def is_shut(self, to: str, now: datetime) -> bool:
        """Tell whether the host of an address is to be left alone now."""
        lane = self.of(to)
        return lane.breaker.allows(now, lane.attempts + 1) <= lane.attempts

    def fitting(self, leased: Sequence[Delivery], sizes: Mapping[str, int], now: datetime) -> list[Delivery]:
        """Return those that may be sent now; `sizes` of the originals by message id. An alert always may."""
        taken: dict[int, int] = {}
        rooms, fits = self._rooms(), []
        for delivery in leased:
            size = 0 if delivery.kind is DeliveryKind.ANSWER else sizes.get(delivery.message_id or "", 0)
            lane, room = self.of(delivery.to), rooms[_is_small(size)]
            free = not self._host_of or lane.under_way + taken.get(id(lane), 0) < self._most(lane, now)
            if delivery.kind is DeliveryKind.ALERT or (free and room.takes(size)):
                taken[id(lane)] = taken.get(id(lane), 0) + 1
                room.octets += size
                fits.append(delivery)
        return fits

    def _rooms(self) -> dict[bool, _Room]:
        """Return the rooms of the large and of the small, with what is under way."""
        rooms = {False: _Room(MOST_BYTES), True: _Room(MOST_BYTES // 4)}
        for size in self._sizes.values():
            rooms[_is_small(size)].octets += size
        return rooms

    def _most(self, lane: Lane, now: datetime) -> int:
        share = max(1, self._sink.concurrency * 3 // 4)
        return lane.breaker.allows(now, 1 if lane.breaker.in_doubt else share)

    def begin(self, delivery: Delivery, size: int) -> None:
        """A delivery is under way."""
        self._sizes[delivery.id] = size
        self.of(delivery.to).under_way += 1

    def end(self, delivery: Delivery) -> None:
        """It isn't any more."""
        del self._sizes[delivery.id]
        self.of(delivery.to).under_way -= 1
