"""What nobody would notice otherwise: trouble told too briefly, a sink that takes nothing, a channel that is gone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from router.alerts import PENDING, QUIET
from router.records import DeliveryState, Notice
from router.store import marks, waiting
from router.upkeep import digest_text

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from sqlalchemy import Connection

    from router.alerts import Alerts
    from router.store.engine import Store

LATE = timedelta(minutes=15)  # a mail that has been refused for so long needs a person
_AGAIN = timedelta(hours=6)
_ROLLING = timedelta(minutes=5)  # daemons that share a store needn't get a new configuration at the same moment


class Watch:
    """Looks once a minute; `sinks` are the channels that deliver."""

    def __init__(self, store: Store, alerts: Alerts, sinks: Collection[str]) -> None:
        self._store = store
        self._alerts = alerts
        self._sinks = frozenset(sinks)
        self._gone: dict[str, datetime] = {}  # when a channel was first missed
        self._patience = timedelta(0) if store.dialect == "sqlite" else _ROLLING

    async def look(self) -> None:
        """Tell what has to be told."""
        await self._store.write(self._look)

    def _look(self, connection: Connection) -> None:
        now = self._store.clock.now()
        unreachable = waiting.unreachable(connection, self._sinks)
        self._gone = {lost.via: self._gone.get(lost.via, now) for lost in unreachable}
        for lost in unreachable:
            if now - self._gone[lost.via] < self._patience:
                continue
            error = f"there is no channel '{lost.via}' any more; pass the message on to send it anew"
            if waiting.give_up(connection, lost, error, now) is DeliveryState.DEAD:
                self._alerts.tell_unsettled(connection, lost, DeliveryState.DEAD, error, now)
        for via, (count, error) in waiting.late(connection, now - LATE).items():
            text = f"{count} deliveries by {via} have waited for more than 15 minutes; the last was refused: {error}\n"
            self._alerts.tell(
                connection, f"late:{via}", Notice(subject=f"{via} delivers nothing", text=text), now, every=_AGAIN
            )
        if marks.get(connection, PENDING) is not None and marks.claim(connection, "alert:summary", now, QUIET):
            marks.clear(connection, PENDING)
            text = digest_text(connection, now)
            if text:
                self._alerts.tell(
                    connection, f"summary:{now:%Y%m%d%H%M}", Notice(subject="More waits for a person", text=text), now
                )
