"""One daemon's part in learning: while it holds the lease it trains, tries challengers, and watches for changes."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from router.learning.drift import COUNT_S
from router.learning.renewal import Renewal
from router.learning.retrain import Retraining, train_apart
from router.learning.shadow import Shadow
from router.learning.turn import say_in, turn, under_way
from router.learning.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from router.learning.drift import Drift
    from router.learning.order import Order
    from router.learning.retrain import Surroundings
    from router.learning.train import Trained
    from router.store.engine import Store

LEASE = ":learning"  # no channel can have this name
TRAIN_S, COMPARE_S, WATCH_S = 10.0, 2.0, 10.0  # how often it is looked whether there is something to do
RENEW_S = 20.0  # the first time so long after a start


class Learner:
    """Does what one daemon of all does. Each method is to be called again and again (`router.upkeep.every`)."""

    def __init__(self, around: Surroundings, drift: Drift | None = None) -> None:
        self._around = around
        self._drift = drift
        in_turn = partial(_in_turn, around.store)
        self._retraining, self._renewal = Retraining(around, in_turn), Renewal(around, in_turn)
        self._shadow, self._watch = Shadow(around), Watch(around)
        self._alone = asyncio.Lock()

    def acts(self) -> tuple[tuple[str, float, Callable[[], Awaitable[None]]], ...]:
        """Return what is to be done, how often (seconds), under which names."""
        return (
            ("learning", TRAIN_S, self.train),
            ("shadow", COMPARE_S, self.compare),
            ("watch-champion", WATCH_S, self.watch),
            ("drift", COUNT_S, self.look),
            ("bundled-model", RENEW_S, self.renew),
        )

    async def train(self) -> None:
        """Train a challenger if it is time to and nobody else trains; return when it is registered."""
        store = self._around.store
        if await self._ours() and not await store.read(lambda c: under_way(c, store.clock.now())):
            await self._retraining.look()

    async def renew(self) -> None:
        """After an upgrade, let the newer bundled model take the place of one that has learnt nothing here."""
        if await self._ours():
            await self._renewal.look()

    async def compare(self) -> None:
        """Let a challenger that is tried answer some of what has come since."""
        if await self._ours():
            await self._shadow.look()

    async def watch(self) -> None:
        """Go back from a champion that does worse than the one before."""
        if await self._ours():
            await self._watch.look()

    async def look(self) -> None:
        """Count what was decided, and once a day see whether anything is changing."""
        if self._drift is not None and await self._ours():
            await self._drift.look()

    async def _ours(self) -> bool:
        """Return whether this daemon does the learning; it does so until it ends, or is taken for dead."""
        async with self._alone:
            return await self._around.lease.confirm() or await self._around.lease.take()


async def _in_turn(store: Store, order: Order, within_s: float) -> Trained:
    async with turn(say_in(store)):
        return await train_apart(order, within_s)
