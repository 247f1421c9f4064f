"""A port that a listener of ours opens, and takes over from an earlier one without anybody being refused in between."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from router.settings import Address

_QUEUE = 100  # connections that wait to be let in
_TURNS = 3  # of the event loop, after which a connection that was accepted has its protocol: before, closing drops it


def why_shut(error: OSError) -> str:
    """Return in a few words why an address can't be listened on."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno).lower()  # asyncio's own words repeat the address


class Door:
    """An address to listen on. `open` lets people in, after `prepare` or without; `close` ends it for good."""

    def __init__(self, address: Address, protocol: Callable[[], asyncio.Protocol]) -> None:
        self.address = address
        self._protocol = protocol
        self._servers: list[asyncio.Server] = []
        self._in_the_way: list[Door] = []
        self._closed = asyncio.Event()

    @property
    def port(self) -> int:
        """The port, once it is open (the configured one may be 0: any)."""
        port: int = self._servers[0].sockets[0].getsockname()[1]
        return port

    async def prepare(self, leaving: Iterable[Door]) -> None:
        """Make sure that it can be opened, before the doors that are `leaving` are closed; raise OSError.

        Where one of them has this very address, its sockets are shared: who knocks between the two waits in the queue
        of the one socket, and is let in by whichever door asks first.
        """
        doors = [door for door in leaving if door._servers]
        for door in doors:
            if door.address == self.address:
                self._servers = [await self._server(sock=each.dup()) for each in door._sockets()]
                return
        try:
            await self._bind()
            for each in self._sockets():  # from here on nobody is refused; who comes early waits for `open`
                with each.dup() as shared:
                    shared.listen(_QUEUE)
        except OSError:
            self._shut()
            # 0.0.0.0 and 127.0.0.1 with one port exclude each other: then the new one can only follow the old one.
            self._in_the_way = [door for door in doors if door.address.port == self.address.port]
            if not self._in_the_way:
                raise

    async def open(self) -> None:
        """Listen; raise OSError."""
        for door in self._in_the_way:
            await door._closed.wait()
        self._in_the_way = []
        if not self._servers:
            await self._bind()
        for server in self._servers:
            await server.start_serving()

    async def close(self) -> None:
        """Let nobody in any more; who is in stays, and so does who has just come."""
        loop = asyncio.get_running_loop()
        for each in self._sockets():
            loop.remove_reader(each.fileno())
        try:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        finally:
            self._shut()
            self._closed.set()

    def _shut(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []

    def _sockets(self) -> list[Any]:
        return [each for server in self._servers for each in server.sockets]

    async def _bind(self) -> None:
        self._servers = [await self._server(host=self.address.host, port=self.address.port)]

    async def _server(self, **where: object) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(self._protocol, start_serving=False, backlog=_QUEUE, **where)  # type: ignore[call-overload, no-any-return]
