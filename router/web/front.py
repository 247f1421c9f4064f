"""The listening side of the web server. It outlives the applications behind it, so that a reload cuts nobody off."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from router.web.posts import POSTS, Posts
from router.web.short import MOST_CONNECTIONS, Server

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aiohttp.http import RawRequestMessage

    from router.settings import Address
    from router.web.short import Answer


class Behind:
    """An application that can answer, and knows when no request is with it any more."""

    def __init__(self, application: web.Application) -> None:
        self._runner = web.AppRunner(application, access_log=None)
        self.posts = application.get(POSTS, Posts({})).within(self._answered)  # those that take the short way
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._server: web.Server

    async def prepare(self) -> None:
        """Start the application; it answers nothing yet."""
        await self._runner.setup()
        assert self._runner.server is not None
        self._server = self._runner.server

    def request(self, *parts: Any) -> web.BaseRequest:
        """Make a request of what was read, as aiohttp calls it."""
        return self._server.request_factory(*parts)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        return await self._answered(self._server.request_handler, request)

    async def _answered(self, answer: Answer, request: web.BaseRequest) -> web.StreamResponse:
        self._busy += 1
        self._idle.clear()
        try:
            return await answer(request)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def finish(self) -> None:
        """Wait until the last request is answered, then end the application."""
        await self._idle.wait()
        await self._runner.cleanup()


class Front:
    """Listens, and has each request answered by the application that is behind at that moment.

    Connections are the front's own: one that a browser or a proxy keeps open stays open when the application behind is
    exchanged, and a request that is under way ends where it began.
    """

    def __init__(self, shutdown_s: float, most_connections: int = MOST_CONNECTIONS) -> None:
        server = Server(
            self._answer,
            self._shortly,
            most_connections=most_connections,
            request_factory=self._request,
            access_log=None,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=shutdown_s)
        self._behind: Behind

    def use(self, behind: Behind) -> None:
        """Have requests answered by this one from now on."""
        self._behind = behind

    async def listen(self, address: Address) -> web.TCPSite:
        """Listen there, too, until the site that is returned is stopped; raise OSError. Needs something behind."""
        if self._runner.server is None:
            await self._runner.setup()
        site = web.TCPSite(self._runner, address.host, address.port)
        await site.start()
        return site

    async def aclose(self) -> None:
        """Listen no more; let requests under way end, for `shutdown_s` seconds."""
        await self._runner.cleanup()

    def _request(self, *parts: Any) -> web.BaseRequest:
        return self._behind.request(*parts)

    def _answer(self, request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        return self._behind.answer(request)

    def _shortly(self, message: RawRequestMessage) -> Answer | None:
        return self._behind.posts.answer(message)
