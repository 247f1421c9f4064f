"""Act on news of a delivery that a provider had taken: doubt ends, or the delivery comes back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from router.records import DeliveryKind, Returned
from router.store import deliveries, reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.news import News
    from router.records import Delivery
    from router.returns import Returns
    from router.store.engine import Store


class Hearing:
    """Takes note of news, in any order and however often it comes; `wake` is called when there may be work."""

    def __init__(self, store: Store, returns: Returns, wake: Callable[[], None], log: FilteringBoundLogger) -> None:
        self._store = store
        self._returns = returns
        self._wake = wake
        self._log = log

    async def hear(self, via: str, news: News) -> bool:
        """Return, once it is on disk, whether news of a delivery by this channel changed anything.

        May raise `StoreBusy`. Whose news it is has to be proved before.
        """
        changed = await self._store.write(partial(self._take, via=via, news=news, now=self._store.clock.now()))
        if changed:
            self._wake()
            self._log.info("delivery_news", delivery_id=changed.id, via=via, why=news.failure)
        return changed is not None

    def _take(self, connection: Connection, via: str, news: News, now: datetime) -> Delivery | None:
        """Return the delivery if anything has changed."""
        if news.delivery_id:
            delivery = deliveries.get(connection, news.delivery_id)
        else:
            delivery = reports.confirmed_as(connection, via, news.remote_id)
        if delivery is None or (delivery.via, delivery.to) != (via, news.to) or delivery.kind is DeliveryKind.ANSWER:
            return None
        settled = reports.end_doubt(connection, delivery.id, news.fence, news.remote_id, now)
        if not news.failure:
            return delivery if settled else None
        if not reports.is_out(connection, delivery.id, news.fence, news.remote_id):
            return None
        returned = Returned(delivery_id=delivery.id, reason=news.failure, lasting=news.lasting)
        self._returns.take(connection, returned, now)
        reports.outdate(connection, delivery.id)
        return delivery
