"""A flag that the receiving department has lived with for some business days is confirmed by that, at a low weight."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from router.records import CorrectionState
from router.store import corrections

if TYPE_CHECKING:
    from collections.abc import Collection
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.store.engine import Store

LOOK_S = 600.0  # between two looks
BY = "kept without a word"
_SATURDAY = 5


def business_days_before(now: datetime, days: int, zone: ZoneInfo, holidays: Collection[date] = ()) -> datetime:
    """Return the moment before which something must have happened for so many whole business days to lie between.

    A business day is a day from midnight to midnight in the district's time zone, neither a Saturday nor a Sunday nor a
    holiday. The day on which it happened doesn't count, nor does today, which isn't over.
    """
    day = now.astimezone(zone).date()
    while days > 0:
        day -= timedelta(days=1)
        if day.weekday() < _SATURDAY and day not in holidays:
            days -= 1
    return datetime.combine(day, time(), zone)


class Tacit:
    """Confirms what has been kept for so many business days; none: never."""

    def __init__(
        self, store: Store, days: int, *, zone: ZoneInfo, holidays: Collection[date], log: FilteringBoundLogger
    ) -> None:
        self._store = store
        self._days = days
        self._zone = zone
        self._holidays = frozenset(holidays)
        self._log = log

    async def run_once(self) -> int:
        """Confirm what it is time for; return 0: there is no more to do at once."""
        if self._days:
            now = self._store.clock.now()
            for correction_id in await self._store.write(lambda c: self._confirm(c, now)):
                self._log.info("correction_kept", correction=correction_id, business_days=self._days)
        return 0

    def _confirm(self, connection: Connection, now: datetime) -> list[int]:
        until = business_days_before(now, self._days, self._zone, self._holidays)
        kept = corrections.lived_with(connection, until)
        confirmed, via = CorrectionState.CONFIRMED, corrections.TACIT
        return [id_ for id_ in kept if corrections.settle(connection, id_, confirmed, now, BY, via=via)]
