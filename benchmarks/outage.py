"""A mailbox in bad weather: thousands of mails wait, the server dies twice, the line goes dead: all arrive once."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.district import district, folder
from benchmarks.figures import Figure
from benchmarks.letters import letter
from benchmarks.mailbox import mailbox
from benchmarks.mails import sink
from benchmarks.processes import Failed
from benchmarks.requests import numbers
from tests.integration.dovecot import Dovecot
from tests.integration.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable

WAITING = 3_000
_KILLED_AT, _DEAD_AT = (400, 1_200), 2_000  # mails flagged as seen by then
_WITHIN_S = 240.0
_POLL_S = 0.02


async def measure() -> list[Figure]:
    """Return how long it took; raise `Failed` if a mail was lost or forwarded twice."""
    with folder() as where, Dovecot.make() as server:
        for number in range(WAITING):
            server.deliver(letter(number))
        began, reached = time.monotonic(), []
        async with sink() as mails, Proxy(server.port) as line:
            sources = mailbox(where, line.port, timeout="2s", connect_timeout="2s")
            async with district(where, sink_port=mails.port, sources=sources):
                for count in _KILLED_AT:
                    reached.append(await _until(lambda: _seen(server), count))
                    server.kill()
                    await asyncio.to_thread(server.start)
                reached.append(await _until(lambda: _seen(server), _DEAD_AT))
                connections, line.dark = line.connections, True
                await _until(lambda: line.connections, connections + 1)
                line.dark = False
                await mails.until(numbers(0, WAITING), _WITHIN_S)
            took = time.monotonic() - began
        mails.account(numbers(0, WAITING))
    print(f"outage: all {WAITING} mails arrived once, after {took:.1f} s", file=sys.stderr)
    return [
        Figure(
            name="outage.all_arrived_once",
            value=round(took, 1),
            unit="s",
            better="lower",
            limit=_WITHIN_S,
            n=WAITING,
            note="mails waiting in Dovecot; it is killed and started again twice, and once the line passes nothing on "
            "without closing, until a new connection is made",
            detail={"seen_when_it_happened": reached, "connections": line.connections},
        )
    ]


def _seen(server: Dovecot) -> int:
    return server.flags().count("S")


async def _until(count: Callable[[], int], wanted: int) -> int:
    """Return a count once it is large enough."""
    ends = time.monotonic() + _WITHIN_S
    while (found := count()) < wanted:
        if time.monotonic() > ends:
            raise Failed(f"{found} instead of {wanted} after {_WITHIN_S:g} s")
        await asyncio.sleep(_POLL_S)
    return found
