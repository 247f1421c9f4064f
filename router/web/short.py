"""A short way in for a post that is all there and asks for nothing special: much of aiohttp's part is left out.

aiohttp reads it, makes the request of it and sees its answer off, as always. Left out is what serves bodies that come
in pieces and requests that wait for one another: a queue, a task for each request, and three turns of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.web_protocol import RequestHandler

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from aiohttp.streams import StreamReader

Answer = Callable[[Any], Awaitable[web.StreamResponse]]
Choose = Callable[[RawRequestMessage], Answer | None]
"""Returns what answers a request; it runs outside a task, so it may await futures, and neither time-outs nor groups."""

MOST_CONNECTIONS = 1_000
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 10\r\nConnection: close\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 59\r\n\r\n"
    b"Too many are connected. Please try again in a few seconds.\n"
)


class Server(web.Server):
    """aiohttp's server, with connections that know the short way; `choose` returns what answers those that take it."""

    def __init__(
        self, handler: Answer, choose: Choose, *, most_connections: int = MOST_CONNECTIONS, **more: Any
    ) -> None:
        super().__init__(handler, **more)
        self._choose = choose
        self._most_connections = most_connections

    def admits(self) -> bool:
        """Tell whether there is room for one more connection; if need be, the one that has been idle longest ends.

        So whoever connects and says nothing, or goes on with a request for ever, keeps nobody out.
        """
        if len(self._connections) < self._most_connections:
            return True
        found = (each for each in self._connections if isinstance(each, Connection) and each.idle)
        idle = min(found, key=lambda each: each.idle_since, default=None)
        if idle is not None:
            idle.force_close()
        return idle is not None

    def __call__(self) -> RequestHandler:
        """Return what looks after a new connection."""
        return Connection(self, self._choose, loop=self._loop, **self._kwargs)


class Connection(RequestHandler):
    """aiohttp's connection, which takes a post the short way while nothing else is under way on it.

    Meanwhile aiohttp's task waits on, and what comes in is queued for it: so answers keep the order of requests.
    """

    __slots__ = ("_awaited", "_choose", "_made_at", "_resting", "_server", "_steps")

    def __init__(self, server: Server, choose: Choose, **more: Any) -> None:
        super().__init__(server, **more)
        self._server = server
        self._choose = choose
        self._made_at = self._loop.time()
        self._resting: asyncio.Future[None]  # what aiohttp's task waits for while a post takes the short way
        self._steps: Coroutine[Any, Any, tuple[web.StreamResponse, bool]]
        self._awaited: asyncio.Future[Any] | None = None  # what the post waits for

    @property
    def idle(self) -> bool:
        """Whether no request is being answered, or waits for an answer, and no answer is still on its way."""
        if self._current_request is not None or self._messages or self._force_close:
            return False
        return not isinstance(self.transport, asyncio.Transport) or not self.transport.get_write_buffer_size()

    @property
    def idle_since(self) -> float:
        """When the last answer ended, else when it was made, by the loop's clock; half a request doesn't count."""
        return max(self._made_at, self._next_keepalive_close_time - self._keepalive_timeout)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or say that there are too many; when aiohttp's task is cancelled, so is what is under way here."""
        if not self._server.admits():
            self._manager = None  # aiohttp's sign that there is nothing to lose
            transport.write(_FULL)  # type: ignore[attr-defined] # it is a TCP connection's
            transport.close()
            return
        super().connection_made(transport)
        self._task_handler.add_done_callback(self._cut_off)  # type: ignore[union-attr] # it was just made

    def data_received(self, data: bytes) -> None:
        """Have aiohttp read what came; then take it the short way, or wake aiohttp's task for it."""
        if self._manager is None:  # it was turned away
            return
        waiter = self._waiter
        if waiter is None or waiter.done():  # that task is at work, or about to be
            super().data_received(data)
            return
        self._waiter = None  # so that reading doesn't wake it
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._messages and not self._took():
            waiter.set_result(None)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on reading. aiohttp asks for it after every body, paused or not, and would look for more to parse."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _took(self) -> bool:
        """Begin with what has come, if it is one request that may take the short way; a slow reader's doesn't."""
        message, payload = self._messages[0]
        if len(self._messages) > 1 or type(message) is not RawRequestMessage or not payload.is_eof() or self._paused:
            return False
        answer = self._choose(message)
        if answer is None:
            return False
        self._messages.clear()
        self._begin(message, payload, answer)
        return True

    def _begin(self, message: RawRequestMessage, payload: StreamReader, answer: Answer) -> None:
        """Do what `RequestHandler.start` does for a request."""
        loop = self._loop
        self._parser.message_consumed()  # type: ignore[union-attr] # they are there until the connection is lost
        self._manager.requests_count += 1  # type: ignore[union-attr]
        writer = StreamWriter(self, loop)
        request = self._request_factory(message, payload, self, writer, self._task_handler)  # type: ignore[arg-type, misc]
        self._resting, self._waiter = self._waiter, None  # type: ignore[assignment]
        self._steps = self._handle_request(request, loop.time() if self._logging_enabled else None, answer)
        self._step()

    def _step(self, _done: object = None) -> None:
        """Go on to the next future, as a task does, or to the end."""
        stays, self._awaited = False, None
        try:
            awaited = self._steps.send(None)
        except StopIteration as end:
            response, left = end.value
            stays = bool(response.keep_alive) and not left
        except (ConnectionError, asyncio.CancelledError):
            self.log_debug("Ignored premature client disconnection")
        except Exception as error:
            self.log_exception("Unhandled exception", exc_info=error)
        else:
            if awaited is None:  # `asyncio.sleep(0)`
                self._loop.call_soon(self._step)
            else:
                self._awaited = awaited
                awaited.add_done_callback(self._step)
            return
        self._end(stays=stays)

    def _end(self, *, stays: bool) -> None:
        """Give the connection back to aiohttp's task, or close it, as `RequestHandler.start` does after an answer."""
        self._keepalive = stays
        if not stays or self._close or self._force_close:
            self._resting.cancel()
            if self.transport is not None:
                self.transport.close()
            return
        self._waiter = self._resting
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
        if self._messages:
            self._waiter.set_result(None)

    def _cut_off(self, _task: object) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
