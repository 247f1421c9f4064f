"""Looks out for what would spoil learning: a flood of flags from one address, one person who confirms most of it all.

It stops nothing (the caps do, and what `Corrections` asks of two votes): people are told, so that they can look.
"""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from router.learning.corrections import FLAGS_PER_HOUR, HOUR
from router.records import Notice
from router.store import corrections

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.alerts import Alerts
    from router.store.engine import Store

LOOK_S = 60.0  # between two looks
WEEK = timedelta(days=7)
_FEW = 20  # confirmed corrections in a week that say nothing yet about who confirms them
_MOST = 0.5  # share of them that one person may confirm without anybody being told


class Vigilance:
    """One look at a time; what it finds is logged whenever it tells operations, without names."""

    def __init__(
        self, store: Store, alerts: Alerts, log: FilteringBoundLogger, *, flags_per_hour: int = FLAGS_PER_HOUR
    ) -> None:
        self._store = store
        self._alerts = alerts
        self._log = log
        self._flags_per_hour = flags_per_hour

    async def run_once(self) -> int:
        """Look, and tell; return 0: there is no more to do at once."""
        now = self._store.clock.now()
        if not await self._store.read(lambda c: self._floods(c, now) or self._loudest(c, now)):
            return 0
        for event, facts in await self._store.write(lambda c: self._tell(c, now)):
            self._log.warning(event, **facts)
        return 0

    def _tell(self, connection: Connection, now: datetime) -> list[tuple[str, dict[str, int]]]:
        """Tell what hasn't been told lately, and return what was."""
        told = []
        for via, to, n in self._floods(connection, now):
            notice = Notice(
                subject=f"{n} flags and votes from {to} within an hour",
                text=f"The links in mails to {to} ({via}) were used {n} times within an hour: a program may press the "
                "buttons, or the links have got into wrong hands.\nThe messages have moved, but votes from there "
                "confirm nothing until it is quiet again.\n\nLook at what was said:  signpost corrections list\n",
            )
            if self._alerts.tell(connection, f"flood:{_short(f'{via} {to}')}", notice, now, every=HOUR):
                told.append(("flags_flooding", {"flags": n}))
        if loudest := self._loudest(connection, now):
            person, n, total = loudest
            notice = Notice(
                subject=f"{n} of {total} corrections of this week were confirmed by one person",
                text=f"{person} has confirmed {n} of the {total} corrections that were confirmed within a week. Caps "
                "keep one training from learning too many of them; please have somebody else look at a few.\n\n"
                "Look at them:      signpost corrections list --state confirmed\n"
                "Take one back:     signpost corrections withdraw ID\n",
            )
            if self._alerts.tell(connection, f"lopsided:{_short(person)}", notice, now, every=WEEK):
                told.append(("corrections_lopsided", {"of_one_person": n, "confirmed": total}))
        return told

    def _floods(self, connection: Connection, now: datetime) -> list[tuple[str, str, int]]:
        return corrections.busy_addresses(connection, now - HOUR, self._flags_per_hour)

    def _loudest(self, connection: Connection, now: datetime) -> tuple[str, int, int] | None:
        """Return who confirmed most of this week's corrections, how many, and of how many; None if that is no news."""
        by_person = corrections.confirmed_by_person(connection, now - WEEK)
        total = sum(n for _person, n in by_person)
        if total < _FEW or by_person[0][1] <= _MOST * total:
            return None
        return (*by_person[0], total)


def _short(name: str) -> str:
    """Return what tells an address or a person apart in a mark, without naming it there."""
    return sha256(name.casefold().encode()).hexdigest()[:16]
