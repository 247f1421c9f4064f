"""Tell operations that nothing can be stored, which no alert in the store could: its disk is full, or it is gone."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from router.records import Delivery, DeliveryKind, DeliveryState, Forward, Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from structlog.typing import FilteringBoundLogger

    from router.alerts import Alerts
    from router.interfaces import Sink
    from router.records import Destination
    from router.store.engine import Store
    from router.upkeep import Heartbeat

_ATTEMPT_S, _AGAIN_S = 60.0, 60.0  # how long one attempt may take; until who wasn't reached is tried again
_QUIET_S = 900.0  # after the end of such trouble, before it is told again: it may come and go
_TEXT = """Signpost can't store anything: {why}

Until that is mended nothing is taken in. Mail servers and mailboxes keep what they have, Twilio's texts are fetched
afterwards, and whoever sends a form is told to try again later. What was stored before isn't lost; it waits.

Make room on the disk of the store, or see why the database doesn't answer. Signpost goes on by itself then, and tells
you that it does.
"""
_OVER = "Messages are stored again since a moment ago. What had to wait is under way.\n"


class LastResort:
    """Sends an alert directly by every configured way, once for each trouble, and stores one when it is over.

    `ways` gives the sinks of the configuration in force, by name.
    """

    def __init__(
        self,
        store: Store,
        heartbeat: Heartbeat,
        alerts: Alerts,
        ways: Callable[[], Mapping[str, Sink]],
        *,
        organization: str,
        domain: str,
        wake: Callable[[], None],
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._heartbeat = heartbeat
        self._alerts = alerts
        self._ways = ways
        self._organization = organization
        self._domain = domain
        self._wake = wake
        self._log = log
        self._told: set[Destination] = set()
        self._trouble = ""  # a name for it, for the Message-ID
        self._attempts = 0
        self._not_before = 0.0

    async def look(self) -> None:
        """Look whether the store takes anything, and tell whoever doesn't know yet what has become of it."""
        why = self._heartbeat.trouble
        if why and not self._heartbeat.alive():
            await self._tell(why)
        elif not why and self._told:
            await self._tell_over()

    async def _tell(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        left = [each for each in dict.fromkeys(self._alerts.operations) if each not in self._told]
        if not left or now < self._not_before:
            return
        self._not_before = now + _AGAIN_S
        self._trouble = self._trouble or secrets.token_hex(8)
        self._attempts += 1
        self._log.error("store_takes_nothing", why=why)
        notice = Notice(subject="Signpost can't store messages", text=_TEXT.format(why=why))
        await asyncio.gather(*(self._send(each, notice) for each in left))

    async def _send(self, to: Destination, notice: Notice) -> None:
        try:
            async with asyncio.timeout(_ATTEMPT_S):
                await self._ways()[to.via].send(self._forward(to, notice))
        except Exception as error:  # whatever it is: there are other ways, and another attempt
            self._log.warning("alert_not_sent", via=to.via, error=type(error).__name__)
        else:
            self._told.add(to)

    def _forward(self, to: Destination, notice: Notice) -> Forward:
        """Return what a sink sends; no delivery in the store stands behind it."""
        now = self._store.clock.now()
        delivery = Delivery(
            id=0,
            kind=DeliveryKind.ALERT,
            message_id=None,
            decision_id=None,
            department="",
            via=to.via,
            to=to.to,
            state=DeliveryState.WAITING,
            attempts=self._attempts,
            unclear=0,
            lost_leases=0,
            fence=0,
            created_at=now,
            next_attempt_at=now,
        )
        mail_id = f"<signpost.store.{self._trouble}@{self._domain}>"
        return Forward(delivery=delivery, mail_id=mail_id, organization=self._organization, notice=notice)

    async def _tell_over(self) -> None:
        notice, now = Notice(subject="Signpost stores messages again", text=_OVER), self._store.clock.now()
        await self._store.write(lambda c: self._alerts.tell(c, "stores-again", notice, now, every=timedelta(0)))
        self._wake()
        self._log.info("store_takes_again")
        self._told, self._trouble, self._attempts = set(), "", 0
        self._not_before = asyncio.get_running_loop().time() + _QUIET_S
