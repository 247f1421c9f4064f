"""What a daemon does beside its stages: stay alive, free dead daemons' leases, follow the registry, send the digest."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from router.errors import SignpostError, StoreBroken, StoreBusy
from router.records import DeliveryState, Notice, State
from router.store import daemons, deliveries, ledger, marks, messages, migrate, restored

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime, time
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.alerts import Alerts
    from router.store.engine import Store

_SAFETY_S = 5.0  # a lease counts as gone this long before others may take it
_PATIENCE_S = daemons.LIFETIME.total_seconds() - _SAFETY_S  # then our leases have gone anyway
_LISTED = 20


class Heartbeat:
    """Keeps this daemon's leases valid; `alive` says whether they may be used.

    `trouble` is why the last beat failed, "" if it didn't.
    """

    def __init__(self, store: Store, daemon_id: str, log: FilteringBoundLogger) -> None:
        self._store = store
        self.daemon_id = daemon_id
        self._log = log
        self.trouble = ""
        self._good_until = 0.0
        self._answered_at = 0.0

    async def register(self) -> None:
        """Announce this daemon; what dead ones held is free again."""
        alone = self._store.dialect == "sqlite"
        began = asyncio.get_running_loop().time()
        work = partial(daemons.register, daemon_id=self.daemon_id, now=self._now(), alone=alone)
        lost = await self._store.write(work)
        self._prolong(began)
        if lost:
            self._log.warning("leases_recovered", leases=lost)

    def alive(self) -> bool:
        """Return whether nobody else can have taken our leases."""
        return asyncio.get_running_loop().time() < self._good_until

    def silent_s(self) -> float:
        """Return for how many seconds the store has answered nothing; a refusal is an answer, too."""
        return asyncio.get_running_loop().time() - self._answered_at

    async def beat(self) -> None:
        """Prolong our life, and free the leases of those whose life has ended.

        A database that says nothing in all that time isn't listened to any longer: where a line was cut in between,
        nobody hangs up, and whatever is under way on it would wait for ever. Raises `StoreBusy`.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._beat()
        except TimeoutError as error:
            self._store.hang_up()
            self.trouble = f"it hasn't answered for {_PATIENCE_S:.0f} s, so its connections were given up"
            raise StoreBusy(self.trouble) from error
        except SignpostError as error:
            self.trouble = str(error)
            self._hear()
            raise
        self.trouble = ""
        self._hear()

    def _hear(self) -> None:
        self._answered_at = asyncio.get_running_loop().time()

    async def _beat(self) -> None:
        began = asyncio.get_running_loop().time()
        now = self._now()
        alone = self._store.dialect == "sqlite"  # while its disk is full, say, nobody else takes what it holds
        if await self._store.write(lambda c: daemons.beat(c, self.daemon_id, now, alone=alone)):
            self._prolong(began)
        else:
            self._log.error("taken_for_dead")
            await self._store.read(migrate.require_fit)  # while we were dead, the schema may have changed
            await self.register()
        await self._store.write(lambda c: daemons.reap(c, now))

    async def leave(self) -> None:
        """Give back what we hold and say good-bye."""
        await self._store.write(self._leave)

    def _leave(self, connection: Connection) -> None:
        messages.release_leases(connection, self.daemon_id)
        deliveries.release_leases(connection, self.daemon_id)
        daemons.leave(connection, self.daemon_id)

    def _now(self) -> datetime | None:
        """Return the time, or None for the database's own: daemons may share it whose machines' clocks differ."""
        return self._store.clock.now() if self._store.dialect == "sqlite" else None

    def _prolong(self, began: float) -> None:
        self._answered_at = asyncio.get_running_loop().time()
        self._good_until = began + daemons.LIFETIME.total_seconds() - _SAFETY_S


class Digest:
    """Once a day, if anything waits for a person: what, how much, since when."""

    def __init__(self, store: Store, alerts: Alerts, at: time, zone: ZoneInfo) -> None:
        self._store = store
        self._alerts = alerts
        self._at = at
        self._zone = zone

    async def send_if_due(self) -> None:
        """Send today's digest unless it was sent; several daemons agree through the store."""
        local = self._store.clock.now().astimezone(self._zone)
        if local.time() >= self._at:
            await self._store.write(lambda c: self._send(c, local))

    def _send(self, connection: Connection, local: datetime) -> bool:
        now = self._store.clock.now()
        started = local.replace(hour=self._at.hour, minute=self._at.minute, second=0, microsecond=0)
        if not marks.claim_since(connection, "digest", now, started):
            return False
        text = digest_text(connection, now)
        if not text:
            return False
        notice = Notice(subject="What waits for a person", text=text)
        return self._alerts.tell(connection, f"digest:{local:%Y-%m-%d}", notice, now)


def digest_text(connection: Connection, now: datetime) -> str:
    """Return what waits for a person as plain text, "" if nothing does."""
    counts = ledger.status(connection, now)
    held = [row.id for row in connection.execute(messages.listing(State.HELD.value, None, _LISTED))]
    stuck = deliveries.in_states(connection, [DeliveryState.DEAD.value, DeliveryState.UNCLEAR.value], _LISTED)
    if not held and not stuck:
        return ""
    lines = [
        f"Messages held: {counts['messages']['held']}",
        f"Deliveries dead: {counts['deliveries']['dead']}, unclear: {counts['deliveries']['unclear']}",
        "",
        *(f"  message {message_id} is held:  signpost messages show {message_id}" for message_id in held),
        *(f"  delivery {d.id} is {d.state.value} ({d.last_error}):  signpost deliveries retry {d.id}" for d in stuck),
    ]
    return "\n".join(lines) + "\n"


def tell_restored(connection: Connection, alerts: Alerts, now: datetime) -> datetime | None:
    """Tell operations, once, that the store comes out of a backup; return the moment that it is of.

    None if it doesn't, or they have been told. A start that fails before this leaves it to the next one.
    """
    backup_at = marks.get(connection, restored.UNTOLD)
    if backup_at is None or not marks.take(connection, restored.UNTOLD):
        return None
    alerts.tell(connection, "restored", restored_notice(backup_at), now, every=timedelta(0))
    return backup_at


def restored_notice(backup_at: datetime) -> Notice:
    """Return what operations are told when a daemon starts on a store that comes out of a backup."""
    return Notice(
        subject="Signpost was restored from a backup",
        text=(
            f"The store is that of {backup_at:%Y-%m-%d %H:%M} UTC. What mailboxes and Twilio still hold of what came\n"
            "in since is taken in again. Forms, and mail that was handed over by SMTP, since then are lost, and so\n"
            "are decisions, corrections and models. Departments get some messages a second time: those say so\n"
            "(X-Signpost-Tags: after-restore). Links in mails of that time lead nowhere.\n"
        ),
    )


async def every(seconds: float, act: Callable[[], Awaitable[object]], log: FilteringBoundLogger, name: str) -> None:
    """Do something for ever, again after a failure; only `StoreBroken` gets out."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await act()
        except StoreBroken:
            raise
        except SignpostError as error:
            log.warning("upkeep_failed", what=name, error=str(error))
        except Exception:
            log.exception("upkeep_failed", what=name)
