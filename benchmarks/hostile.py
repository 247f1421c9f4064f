"""Mails that burn processor time, twenty at once, by SMTP: nobody waits for the event loop, and forms are taken."""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import cycle

from benchmarks.district import District, district, folder
from benchmarks.figures import Figure, summary_ms
from benchmarks.large import LAG_LIMIT_MS, send
from benchmarks.letters import letter
from benchmarks.mailbox import lag_ms
from benchmarks.mails import Mails, sink
from benchmarks.processes import Failed, free_port
from benchmarks.requests import JSON, Requests, numbers
from tests.acceptance.hostile import BURNING, LARGE

AT_ONCE, WAVES, ORDINARY = 20, 3, 20
ACCEPT_LIMIT_MS = 500.0
_ARRIVE_S = 240.0
_PAUSE_S = 0.2  # between two forms: five a second
_FIRST_FORM = 1_000
_HOSTILE = [each for each in (*BURNING.values(), *LARGE.values()) if each.count(b"\n") == each.count(b"\r\n")]


async def measure() -> list[Figure]:
    """Return how long the event loop was blocked and how long forms took; raise `Failed` if a message was lost."""
    with folder() as where:
        listen = free_port()
        sources = {"mail-in": {"type": "smtp_server", "listen": f"127.0.0.1:{listen}"}}
        async with sink() as mails, district(where, sink_port=mails.port, sources=sources) as ours:
            await send(listen, letter(0), b"250")
            await mails.until(numbers(0, 1), _ARRIVE_S)
            return await _under_fire(ours, mails, listen)


async def _under_fire(ours: District, mails: Mails, listen: int) -> list[Figure]:
    before, waits, began = await lag_ms(ours), list[float](), time.monotonic()
    posting = asyncio.create_task(_post(ours.port, waits))
    count = 0
    try:
        for wave in range(WAVES):
            numbered = zip(range(AT_ONCE), cycle(_HOSTILE))
            burning = [b"X-Number: %d-%d\r\n%b\r\n" % (wave, n, each) for n, each in numbered]
            letters = [letter(1 + wave * ORDINARY + n) for n in range(ORDINARY)]
            await asyncio.gather(*(send(listen, each, b"250") for each in (*burning, *letters)))
            count += len(burning)
        await mails.until([*numbers(0, 1 + WAVES * ORDINARY), "-"], _ARRIVE_S)
        await _all_hostile(mails, count)
    finally:
        posting.cancel()
        await asyncio.wait([posting])
    after, took = await lag_ms(ours), summary_ms(waits)
    print(f"hostile: lag {after} ms ({before} ms before), a form p99 {took['p99']} ms", file=sys.stderr)
    detail = {"seconds": round(time.monotonic() - began, 2), "at_start_ms": before, "form_ms": took}
    how = f"while {count} mails that burn processor time come in, {AT_ONCE} at once, with ordinary ones beside them"
    return [
        Figure(
            name="hostile.lag", value=after, unit="ms", better="lower", limit=LAG_LIMIT_MS, n=count, detail=detail,
            note=f"longest wait for the daemon's event loop, to within 50 ms, {how}",
        ),
        Figure(
            name="hostile.accept_p99", value=took["p99"], unit="ms", better="lower", limit=ACCEPT_LIMIT_MS,
            n=len(waits), note=f"until a form is accepted, five a second, {how}",
        ),
    ]  # fmt: skip


async def _all_hostile(mails: Mails, count: int) -> None:
    async with asyncio.timeout(_ARRIVE_S):
        while len(mails.arrived["-"]) < count:  # noqa: ASYNC110 -- another process writes
            await asyncio.sleep(0.05)


async def _post(port: int, waits: list[float]) -> None:
    """Post forms, and note how long each took to be accepted."""
    requests, number = Requests(JSON), _FIRST_FORM
    while True:
        began = time.monotonic()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(requests.of(number))
        status = await reader.readline()
        writer.close()
        if b" 202 " not in status:
            raise Failed(f"a form was answered with {status!r}")
        waits.append(time.monotonic() - began)
        number += 1
        await asyncio.sleep(_PAUSE_S)
