"""A service manager as far as its service can see: a socket that takes notes, and what they said."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager, suppress

PATIENCE_S = 60.0  # for a slow machine


class ServiceManager:
    """Takes the datagrams of sd_notify(3); each is a dictionary of its assignments."""

    def __init__(self, line):
        self._line = line
        self.heard = []

    async def hear(self):
        """Return the next note."""
        async with asyncio.timeout(PATIENCE_S):
            text = (await asyncio.get_running_loop().sock_recv(self._line, 4096)).decode()
        self.heard.append(dict(each.split("=", 1) for each in text.split("\n")))
        return self.heard[-1]

    async def hear_of(self, key):
        """Return the next note that assigns `key`."""
        while key not in (note := await self.hear()):
            pass
        return note

    def forget(self):
        """Throw away what was said and not yet heard, and return how many notes that were."""
        thrown = 0
        with suppress(BlockingIOError):
            while self._line.recv(4096):
                thrown += 1
        return thrown


@contextmanager
def listening(address):
    """Listen at a path, or at an abstract address that begins with "@", while the block runs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind("\0" + address[1:] if address.startswith("@") else address)
        line.setblocking(False)
        yield ServiceManager(line)
