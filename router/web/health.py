"""For machines that watch: `/livez`, `/readyz` and `/metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from router.store import ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.metrics import Metrics
    from router.store.engine import Store


class Health:
    """Whether the daemon lives, whether it is ready (`ready` returns the reasons why not), and its figures."""

    def __init__(self, store: Store, metrics: Metrics, ready: Callable[[], list[str]]) -> None:
        self._store = store
        self._metrics = metrics
        self._ready = ready

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
        """Answer 200, or 503 with the reasons why messages shouldn't be sent here now."""
        reasons = self._ready()
        return web.json_response({"ready": not reasons, "reasons": reasons}, status=503 if reasons else 200)

    async def metrics(self, _request: web.Request) -> web.Response:
        """Answer in Prometheus' text format, with the ledger of this moment."""
        now = self._store.clock.now()
        status = await self._store.read(lambda connection: ledger.status(connection, now))
        return web.Response(body=self._metrics.render(status), headers={"Content-Type": CONTENT_TYPE_LATEST})
