"""A port that one listener takes over from another."""

from __future__ import annotations

import asyncio
import socket

import pytest

from channels._door import Door
from router.settings import Address
from router.testing import within


def door(port, name, host="127.0.0.1"):
    """Return a door that greets with a name."""

    class Greeter(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(name.encode())
            transport.close()

    return Door(Address(host, port), Greeter)


async def knock(port):
    """Return what one hears at a port."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = await within(reader.read())
    writer.close()
    return heard.decode()


async def test_who_knocks_between_two_doors_is_let_in(free_port):
    """With the former closed and the next not yet open the connection stands, and is answered by the next."""
    former, successor = door(free_port, "former"), door(free_port, "next")
    await former.open()
    await successor.prepare([former])
    assert await knock(free_port) == "former"
    await former.close()
    knocking = asyncio.create_task(knock(free_port))
    with socket.create_connection(("127.0.0.1", free_port), 10):
        await successor.open()
    assert await within(knocking) == "next"
    await successor.close()
    with pytest.raises(ConnectionRefusedError):
        await knock(free_port)


async def test_who_comes_early_to_a_new_address_waits(free_port):
    """A door that is prepared is knocked at already: once it opens, that one is let in."""
    new = door(free_port, "new")
    await new.prepare([])
    knocking = asyncio.create_task(knock(free_port))
    with socket.create_connection(("127.0.0.1", free_port), 10):
        await new.open()
    assert await within(knocking) == "new"
    await new.close()


async def test_a_door_that_is_not_opened_after_all_leaves_the_former_one_as_it_was(free_port):
    """A reload that is refused closes what it has prepared."""
    former, successor = door(free_port, "former"), door(free_port, "next")
    await former.open()
    await successor.prepare([former])
    await successor.close()
    assert await knock(free_port) == "former"
    await former.close()


async def test_an_address_that_holds_the_other(free_port):
    """127.0.0.1 to 0.0.0.0: the next door opens as soon as the former one is closed."""
    former, successor = door(free_port, "former"), door(free_port, "next", "0.0.0.0")
    await former.open()
    await successor.prepare([former])
    opening = asyncio.create_task(successor.open())
    assert await knock(free_port) == "former"
    assert not opening.done()
    await former.close()
    await within(opening)
    assert await knock(free_port) == "next"
    await successor.close()


async def test_a_port_of_somebody_else(free_port):
    """It is refused while there is still time to stay with the former one."""
    former, successor = door(0, "former"), door(free_port, "next")
    await former.open()
    with socket.create_server(("127.0.0.1", free_port)), pytest.raises(OSError, match="in use"):
        await successor.prepare([former])
    await former.close()
