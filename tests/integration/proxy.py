"""A line that can go dead: a TCP proxy on loopback."""

from __future__ import annotations

import asyncio


class Proxy:
    """Passes bytes on between a client and a server, until it goes `dark`: then they vanish, and nobody hangs up.

    The server listens on a port of loopback, or on a Unix socket (its path in place of the port).
    With `rest` it goes dark by itself after so many bytes more from the server; `went_dark` tells. So many of a mail
    server's confirmations as `swallows` says are lost, and the connection with them. `cuts` are connections that break,
    by after how many bytes in both directions; `slices` says in what pieces bytes are passed on.
    """

    def __init__(self, port):
        self._server_port = port
        self._tasks = set()
        self.dark = False
        self.rest = None
        self.went_dark = asyncio.Event()
        self.connections = 0
        self.swallows = 0
        self.swallowed = 0
        self.cuts = []
        self.slices = lambda: 65_536

    async def __aenter__(self):
        self._listener = await asyncio.start_server(self._pair, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error):
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pair(self, reader, writer):
        self.connections += 1
        try:
            up_reader, up_writer = await self._dial()
        except OSError:  # the server is down: so is the line
            writer.transport.abort()
            return
        left = [self.cuts.pop(0)] if self.cuts else None
        up, down = self._pass(reader, up_writer, left), self._pass(up_reader, writer, left, from_server=True)
        self._tasks |= {asyncio.create_task(up), asyncio.create_task(down)}

    async def _dial(self):
        if isinstance(self._server_port, int):
            return await asyncio.open_connection("127.0.0.1", self._server_port)
        return await asyncio.open_unix_connection(self._server_port)

    async def _pass(self, reader, writer, left, *, from_server=False):
        try:
            while data := await reader.read(self.slices()):
                if left is not None:
                    left[0] -= len(data)
                    if left[0] < 0:
                        return
                if self.swallows and from_server and b"queued as" in data:
                    self.swallows -= 1
                    self.swallowed += 1
                    return
                passed = self._counted(data) if from_server else data
                if passed and not self.dark:
                    writer.write(passed)
                if self.rest == 0:
                    self.dark, self.rest = True, None
                    self.went_dark.set()
        finally:
            writer.transport.abort()

    def _counted(self, data):
        if self.rest is None or self.dark:
            return data
        passed = data[: self.rest]
        self.rest -= len(passed)
        return passed
