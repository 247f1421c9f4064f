"""The listening side: what is behind may be exchanged at any time, and nobody notices."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from router.settings import Address
from router.testing import until, within
from router.web.front import Behind, Front


class Words:
    """An application that says the same to everybody; what is under way waits at the gate."""

    def __init__(self, words):
        self.words = words
        self.asked, self.ended = 0, False
        self.gate = asyncio.Event()
        self.gate.set()
        self.application = web.Application(client_max_size=1000)
        self.application.router.add_post("/", self.say)
        self.application.on_cleanup.append(self.end)

    async def say(self, request):
        """Say it, with what was sent."""
        self.asked += 1
        sent = await request.text()
        await self.gate.wait()
        return web.Response(text=f"{self.words} {sent}")

    async def end(self, _application):
        """Note that it is over."""
        self.ended = True


async def behind(words):
    """Return an application that is ready to answer."""
    made = Behind(words.application)
    await made.prepare()
    return made


@asynccontextmanager
async def listening(first, port=0):
    """A front with something behind it, and where it listens."""
    front = Front(1.0)
    front.use(first)
    site = await front.listen(Address("127.0.0.1", port))
    try:
        yield front, f"http://127.0.0.1:{site.port}/", site
    finally:
        await front.aclose()


async def post(client, url, text="x"):
    """Post some text and return the answer's."""
    async with client.post(url, data=text) as answer:
        return answer.status, await answer.text()


async def test_a_kept_connection_stays_open_while_what_is_behind_is_exchanged():
    """One connection serves both: a proxy that keeps it never finds it closed under its request."""
    old, new = Words("old"), Words("new")
    first, second = await behind(old), await behind(new)
    used = set()

    async def note(_session, _context, parameters):
        used.add(parameters)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(note)
    async with listening(first) as (front, url, _), aiohttp.ClientSession(trace_configs=[trace]) as client:
        assert await post(client, url) == (200, "old x")
        front.use(second)
        await within(first.finish())
        assert await post(client, url) == (200, "new x")
    assert len(used) == 1
    assert (old.ended, new.ended) == (True, False)
    await second.finish()


async def test_what_is_under_way_ends_where_it_began():
    """A former application ends when its last request is answered, and not before."""
    old, new = Words("old"), Words("new")
    first, second = await behind(old), await behind(new)
    old.gate.clear()
    async with listening(first) as (front, url, _), aiohttp.ClientSession() as client:
        asked = asyncio.create_task(post(client, url))
        await until(lambda: old.asked)
        front.use(second)
        finishing = asyncio.create_task(first.finish())
        assert await post(client, url) == (200, "new x")
        assert not finishing.done()
        assert not old.ended
        old.gate.set()
        assert await within(asked) == (200, "old x")
        await within(finishing)
        assert old.ended
    await second.finish()


async def test_the_limits_of_what_is_behind_hold():
    """How large a body may be is the application's word."""
    made = await behind(Words("w"))
    async with listening(made) as (_, url, _), aiohttp.ClientSession() as client:
        assert (await post(client, url, "x" * 2000))[0] == 413
    await made.finish()


async def test_listening_moves_without_a_gap():
    """The new address answers before the old one is let go."""
    made = await behind(Words("w"))
    async with listening(made) as (front, url, site), aiohttp.ClientSession() as client:
        other = await front.listen(Address("127.0.0.1", 0))
        moved = f"http://127.0.0.1:{other.port}/"
        assert await post(client, url) == await post(client, moved) == (200, "w x")
        await site.stop()
        assert await post(client, moved) == (200, "w x")
        async with aiohttp.ClientSession() as another:
            with pytest.raises(aiohttp.ClientConnectionError):
                await post(another, url)
    await made.finish()


async def test_an_address_that_is_taken_is_an_error():
    """And what listens already goes on."""
    made = await behind(Words("w"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with listening(made) as (front, url, _), aiohttp.ClientSession() as client:
            with pytest.raises(OSError, match="in use"):
                await front.listen(Address("127.0.0.1", taken.getsockname()[1]))
            assert await post(client, url) == (200, "w x")
    await made.finish()


async def test_the_end_cuts_off_who_takes_too_long():
    """After its patience the front closes what is left, and the application can end."""
    words = Words("w")
    made = await behind(words)
    words.gate.clear()
    front = Front(0.01)
    front.use(made)
    site = await front.listen(Address("127.0.0.1", 0))
    async with aiohttp.ClientSession() as client:
        asked = asyncio.create_task(post(client, f"http://127.0.0.1:{site.port}/"))
        await until(lambda: words.asked)
        await within(front.aclose())
        with pytest.raises(aiohttp.ClientConnectionError):
            await within(asked)
    await within(made.finish())
    assert words.ended
