"""For machines that watch: `/livez`, `/readyz` and `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from router.store import ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from router.metrics import Metrics
    from router.store.engine import Store


class Health:
    """Whether the daemon lives, whether it is ready, and its figures.

    `ready` returns the reasons why it is of no use now, `degraded` what is wrong and goes on all the same, by channel,
    and `channels` how each channel is (`router.life.lives.Lives.report`).
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        ready: Callable[[], list[str]],
        degraded: Callable[[], Mapping[str, str]] = dict,
        channels: Callable[[], list[dict[str, Any]]] = list,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._ready = ready
        self._degraded = degraded
        self._channels = channels

    def routes(self) -> list[web.RouteDef]:
        """Return the addresses."""
        return [
            web.get("/livez", self.livez),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
        ]

    async def livez(self, _request: web.Request) -> web.Response:
        """Answer as long as the event loop turns."""
        return web.Response(text="ok")

    async def readyz(self, _request: web.Request) -> web.Response:
        """Answer 200, or 503 with the reasons why messages shouldn't be sent here now.

        A channel that is down is no such reason: the others work, and another daemon wouldn't do better.
        """
        reasons = self._ready()
        answer = {"ready": not reasons, "reasons": reasons, "degraded": dict(self._degraded())}
        return web.json_response(answer, status=503 if reasons else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer in Prometheus' text format, with the ledger of this moment."""
        now = self._store.clock.now()
        status = await self._store.read(lambda connection: ledger.status(connection, now))
        self._metrics.channels(self._channels())
        return web.Response(body=self._metrics.render(status), headers={"Content-Type": CONTENT_TYPE_LATEST})
