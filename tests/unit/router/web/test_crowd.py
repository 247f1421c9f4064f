"""Many connections at once: who says nothing gives way, and beyond what fits people hear when to come back."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from router.settings import Address
from router.testing import until, within
from router.web.front import Front
from tests.unit.router.web.test_front import Words, behind

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nAna"


@asynccontextmanager
async def crowded(words, most):
    """A front that lets so many in; yields what connects to it."""
    front, writers = Front(1.0, most), []
    front.use(await behind(words))
    site = await front.listen(Address("127.0.0.1", 0))

    async def connect(said=b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writers.append(writer)
        writer.write(said)
        return reader

    try:
        yield connect, front._runner.server
    finally:
        for writer in writers:
            writer.transport.abort()
        await front.aclose()


async def test_who_says_nothing_keeps_nobody_out():
    """With as many connections as there may be, silent or in the middle of a request's head, the next one gets in.

    The one that has been silent longest ends for it.
    """
    async with crowded(Words("hello"), 2) as (connect, server):
        silent = await connect()
        await until(lambda: len(server.connections) == 1)
        slow = await connect(POST[:20])
        await until(lambda: len(server.connections) == 2)
        answered = await connect(POST)
        assert await within(answered.readline()) == b"HTTP/1.1 200 OK\r\n"
        assert await within(silent.read()) == b""
        assert not slow.at_eof()


async def test_beyond_what_fits_people_hear_when_to_come_back():
    """While all are being answered, the next one hears 503 with Retry-After; those under way end well."""
    words = Words("hello")
    words.gate.clear()
    async with crowded(words, 2) as (connect, server):
        first, second = await connect(POST), await connect(POST)
        await until(lambda: words.asked == 2)
        refused = await connect(POST)
        said = await within(refused.read())
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 10\r\n" in said
        head, _, text = said.partition(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % len(text) in head + b"\r\n"
        words.gate.set()
        for reader in (first, second):
            assert await within(reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        assert len(server.connections) == 2
