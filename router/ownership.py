"""A polled mailbox is read by one daemon at a time: a source that runs only while this daemon holds its lease."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from router.errors import Conflict, SignpostError, SourceUnavailable
from router.store import cursors, leases

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Accept, Source
    from router.records import Inbound, Receipt
    from router.store.engine import Store

_LOST = "another daemon reads this mailbox now"
T = TypeVar("T")


class Ownership:
    """A daemon's claim to one channel's mailbox, and the cursors that only its holder may move.

    `alive` tells whether the daemon's leases may be used (`router.upkeep.Heartbeat`).
    """

    def __init__(self, store: Store, channel: str, daemon_id: str, alive: Callable[[], bool]) -> None:
        self._store = store
        self._channel = channel
        self._daemon_id = daemon_id
        self._alive = alive
        self._fence = 0  # of the lease we hold; 0 without one

    @property
    def held(self) -> bool:
        """Whether nobody else can have taken the mailbox, as far as this process knows."""
        return self._fence > 0 and self._alive()

    async def take(self) -> bool:
        """Take the mailbox unless another daemon that lives has it; may raise `StoreBusy`."""
        if not self._alive() or await self._anothers():  # looking costs less than trying, and waits for nobody
            return False
        now = self._now()
        fence = await self._store.write(lambda c: leases.take_mailbox(c, self._channel, self._daemon_id, now))
        self._fence = fence or 0
        return self.held

    async def _anothers(self) -> bool:
        look = partial(leases.reader, channel=self._channel, now=self._now())
        return await self._store.read(look) not in {"", self._daemon_id}

    async def confirm(self) -> bool:
        """Return whether the store, too, says that the mailbox is ours; may raise `StoreBusy`."""
        return self.held and await self._store.read(self._is_ours)

    async def give_back(self) -> None:
        """Let others have it; may raise `StoreBusy`, then they have it when this daemon's life ends."""
        fence, self._fence = self._fence, 0
        if fence:
            leave = partial(leases.leave_mailbox, channel=self._channel, owner=self._daemon_id, fence=fence)
            await self._store.write(leave)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run a unit of work that is for the holder alone; raise `Conflict` if another daemon has taken over."""

        def fenced(connection: Connection) -> T:
            if not self._is_ours(connection, keep=True):
                raise Conflict("another daemon has taken this over")
            return work(connection)

        return await self._store.write(fenced)

    def cursor(self, key: str) -> FencedCursor:
        """Return a cursor of the channel that only the holder of the mailbox can move."""
        return FencedCursor(self, key)

    async def kept(self, key: str) -> dict[str, Any] | None:
        """Return what a cursor keeps."""
        return await self._store.read(partial(cursors.get, channel=self._channel, key=key))

    async def keep(self, key: str, value: Mapping[str, Any]) -> None:
        """Move a cursor; raise `SourceUnavailable` if another daemon has taken the mailbox."""

        def work(connection: Connection) -> bool:
            ours = self._is_ours(connection, keep=True)
            if ours:
                cursors.put(connection, self._channel, key, value)
            return ours

        if not await self._store.write(work):
            raise SourceUnavailable(_LOST)

    def _is_ours(self, connection: Connection, *, keep: bool = False) -> bool:
        return leases.has_mailbox(connection, self._channel, self._daemon_id, self._fence, keep=keep)

    def _now(self) -> datetime | None:
        """Return the time, or None for the database's own, as heartbeats are measured by."""
        return self._store.clock.now() if self._store.dialect == "sqlite" else None


@dataclass(frozen=True, slots=True)
class FencedCursor:
    """A `router.interfaces.Cursor`: whoever was frozen and has lost the mailbox can't set it back."""

    ownership: Ownership
    key: str

    async def get(self) -> dict[str, Any] | None:
        """Return what was kept last."""
        return await self.ownership.kept(self.key)

    async def set(self, value: Mapping[str, Any]) -> None:
        """Keep a value; raise `SourceUnavailable` once another daemon has the mailbox."""
        await self.ownership.keep(self.key, value)


class OwnedSource:
    """Runs a source while this daemon holds its mailbox; stops it at once when it doesn't, and waits for its turn."""

    def __init__(
        self,
        name: str,
        source: Source,
        ownership: Ownership,
        log: FilteringBoundLogger,
        *,
        turn_s: float = 2.0,
        confirm_s: float = 5.0,
    ) -> None:
        self.source = source
        self._ownership = ownership
        self._log = log.bind(channel=name)
        self._turn_s = turn_s  # how often to look whether the mailbox is free
        self._confirm_s = confirm_s  # how often to look whether it is still ours

    async def run(self, accept: Accept) -> None:
        """Wait until the mailbox is ours and read it; return or raise what the source does, or go on waiting."""

        async def accept_if_ours(inbound: Inbound) -> Receipt:
            if not self._ownership.held:
                raise SourceUnavailable(_LOST)
            return await accept(inbound)

        while True:
            await self._turn()
            try:
                if await self._read(accept_if_ours):
                    return
            finally:
                with suppress(SignpostError):  # it ends with the heartbeat
                    await asyncio.shield(self._ownership.give_back())
            self._log.warning("mailbox_lost")

    async def _turn(self) -> None:
        waited = False
        while not await self._taken():
            if not waited:
                self._log.info("mailbox_waited_for")
            waited = True
            await asyncio.sleep(self._turn_s)
        self._log.info("mailbox_taken")

    async def _taken(self) -> bool:
        try:
            return await self._ownership.take()
        except SignpostError as error:
            raise SourceUnavailable(str(error)) from error

    async def _read(self, accept: Accept) -> bool:
        """Run the source; return True when it ended by itself, False when the mailbox was lost."""
        reading = asyncio.create_task(self.source.run(accept), name="read")
        holding = asyncio.create_task(self._until_lost(), name="hold")
        try:
            await asyncio.wait({reading, holding}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, holding):
                task.cancel()
            await asyncio.gather(reading, holding, return_exceptions=True)
        if reading.cancelled() or not self._ownership.held:
            return False
        reading.result()
        return True

    async def _until_lost(self) -> None:
        """Return when another daemon has the mailbox, or may have it."""
        loop = asyncio.get_running_loop()
        confirmed_at = loop.time()
        while self._ownership.held:
            await asyncio.sleep(min(1.0, self._confirm_s))
            if loop.time() - confirmed_at >= self._confirm_s:
                confirmed_at = loop.time()
                with suppress(SignpostError):  # while the store is silent, the heartbeat tells
                    if not await self._ownership.confirm():
                        return
