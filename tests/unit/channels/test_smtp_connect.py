"""A host with several addresses: one that says nothing leaves time for the others."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

import pytest

from channels._smtp import _connected
from router.testing import within


@pytest.fixture
async def addresses(monkeypatch, free_port):
    """Let names lead to these loopback addresses; return the port."""

    async def found(_host, port, **_more):
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in ("127.0.0.2", "127.0.0.1")
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", found)
    return free_port


def silent(stack, port):
    """Listen at the first address as a host that drops what comes: its queue is full."""
    listening = stack.enter_context(socket.socket())
    listening.bind(("127.0.0.2", port))
    listening.listen(0)
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(("127.0.0.2", port))


async def test_a_dead_address_leaves_time_for_the_next(addresses):
    """The first address never answers (as IPv6 often doesn't): the second one is connected to in time."""
    with ExitStack() as stack:
        silent(stack, addresses)
        listening = stack.enter_context(socket.create_server(("127.0.0.1", addresses)))
        async with asyncio.timeout(3):
            connected = stack.enter_context(await _connected("relay.example", addresses, 3))
        assert connected.getpeername() == listening.getsockname()


async def test_all_addresses_are_dead(addresses):
    """The time is over, and nothing was sent."""
    with ExitStack() as stack:
        silent(stack, addresses)
        with pytest.raises(OSError):  # noqa: PT011 - of one that is silent and one that refuses, the first is told
            await within(_connected("relay.example", addresses, 0.2))
