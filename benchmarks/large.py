"""Large mails, by mailbox and by SMTP: they go through whole, and nobody waits for the event loop meanwhile."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.district import District, district, folder, get
from benchmarks.figures import Figure, summary_ms
from benchmarks.letters import large_letter, letter
from benchmarks.mailbox import ARRIVE_S, lag_ms, mailbox
from benchmarks.mails import sink
from benchmarks.processes import Failed, free_port
from benchmarks.requests import numbers, token
from tests.integration.dovecot import Dovecot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


LARGEST, TOO_LARGE = 24 * 1_048_576, 30 * 1_048_576  # octets; at most 26,214,400 are taken
LAG_LIMIT_MS = 200.0
_ORDINARY = 20
_PAUSE_S = 0.02  # between two looks from outside


async def measure() -> list[Figure]:
    """Return how long the event loop was blocked; raise `Failed` if a mail was lost or forwarded twice."""
    return [await _by_mailbox(), await _by_smtp()]


async def _by_mailbox() -> Figure:
    with folder() as where, Dovecot.make() as server:
        server.deliver(letter(0))
        sources = mailbox(where, server.port)
        async with sink() as mails, district(where, sink_port=mails.port, sources=sources) as ours:
            await mails.until(numbers(0, 1), ARRIVE_S)

            async def deliver() -> None:
                server.deliver(large_letter(1, LARGEST))
                server.deliver(large_letter(2, TOO_LARGE))  # of this one a notice arrives
                for number in range(3, _ORDINARY):
                    server.deliver(letter(number))
                await mails.until(numbers(1, _ORDINARY - 1), ARRIVE_S)

            figure = await _figure("large.mailbox", ours, deliver)
        mails.account(numbers(0, _ORDINARY))
    return figure


async def _by_smtp() -> Figure:
    with folder() as where:
        listen = free_port()
        sources = {"mail-in": {"type": "smtp_server", "listen": f"127.0.0.1:{listen}"}}
        async with sink() as mails, district(where, sink_port=mails.port, sources=sources) as ours:
            await send(listen, letter(0), b"250")
            await mails.until(numbers(0, 1), ARRIVE_S)

            async def deliver() -> None:
                await send(listen, large_letter(1, LARGEST), b"250")
                await send(listen, large_letter(2, TOO_LARGE), b"552")
                for number in range(3, _ORDINARY):
                    await send(listen, letter(number), b"250")
                await mails.until([token(1), *numbers(3, _ORDINARY - 3)], ARRIVE_S)

            figure = await _figure("large.smtp_server", ours, deliver)
        mails.account([*numbers(0, 2), *numbers(3, _ORDINARY - 3)])
    return figure


async def send(port: int, mail: bytes, expected: bytes) -> None:
    """Send a mail by SMTP and look at the answer to its last dot."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    for command in (
        b"HELO b.example",
        b"MAIL FROM:<a@families.example>",
        b"RCPT TO:<contact@maplevalley.example>",
        b"DATA",
    ):
        writer.write(command + b"\r\n")
        answer = await reader.readline()
    writer.write(mail.replace(b"\r\n.", b"\r\n..") + b".\r\n")
    await writer.drain()
    answer = await reader.readline()
    writer.close()
    if not answer.startswith(expected):
        raise Failed(f"a mail was answered with {answer!r}")


async def _figure(name: str, ours: District, deliver: Callable[[], Awaitable[None]]) -> Figure:
    before, waits, began = await lag_ms(ours), list[float](), time.monotonic()
    looking = asyncio.create_task(_look(ours, waits))
    try:
        await deliver()
    finally:
        looking.cancel()
        await asyncio.wait([looking])
    seconds, after = time.monotonic() - began, await lag_ms(ours)
    print(f"{name}: lag {after} ms ({before} ms before)", file=sys.stderr)
    return Figure(
        name=name,
        value=after,
        unit="ms",
        better="lower",
        limit=LAG_LIMIT_MS,
        n=_ORDINARY,
        note="longest wait for the daemon's event loop, to within 50 ms, while a mail of 24 MB goes through, one of "
        "30 MB is turned down, and ordinary ones follow",
        detail={"seconds": round(seconds, 2), "at_start_ms": before, "livez_ms": summary_ms(waits)},
    )


async def _look(ours: District, waits: list[float]) -> None:
    """Ask for a page again and again, and note how long each answer took."""
    while True:
        began = time.monotonic()
        await get(ours.port, "/livez")
        waits.append(time.monotonic() - began)
        await asyncio.sleep(_PAUSE_S)
