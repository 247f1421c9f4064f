"""From a mailbox on a real Dovecot to the mail at the sink: a backlog's rate, and how long a single mail takes."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from base64 import b64encode
from contextlib import asynccontextmanager
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.district import District, district, folder
from benchmarks.figures import Figure, percentile, summary_ms
from benchmarks.letters import SIZE, letter
from benchmarks.mails import Mails, sink
from benchmarks.processes import Failed, line_of, running, usage
from benchmarks.requests import numbers, token
from tests.integration.dovecot import PASSWORD, USER, Dovecot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BACKLOG, SINGLES = 2_000, 60
RATE_LIMIT = 400.0
NOTICE_MS, P50_MS = 500.0, 100.0  # Dovecot's own delay before it tells of a new mail, and what is ours
ARRIVE_S = 120.0
_FIRST_SINGLE = 100_000
_LAG = re.compile(r"^signpost_loop_lag_seconds (\S+)$", re.MULTILINE)


def mailbox(where: Path, port: int, **settings: object) -> dict[str, Any]:
    """Return the channel that reads Dovecot's account, all of it."""
    (where / "password").write_text(PASSWORD)
    channel = {"type": "imap", "host": "127.0.0.1", "port": port, "tls": "none", "username": USER, "start": "all"}
    return {"mailbox": channel | {"password_file": str(where / "password")} | settings}


async def lag_ms(ours: District) -> float:
    """Return how long the daemon's event loop kept anybody waiting during the last minute, at most."""
    found = _LAG.search((await ours.get("/metrics"))[1])
    if found is None:
        raise Failed("the daemon doesn't tell its event loop's lag")
    return round(1000 * float(found[1]), 1)


async def measure() -> list[Figure]:
    """Return the figures of ordinary mails; raise `Failed` if one was lost or forwarded twice."""
    with folder() as where, Dovecot.make() as server:
        for number in range(BACKLOG):
            server.deliver(letter(number))
        async with sink() as mails:
            sources = mailbox(where, server.port)
            async with district(where, sink_port=mails.port, sources=sources) as ours:
                results = await _backlog(ours, mails)
                ours_s, theirs_s = await _singles(server, mails)
        mails.account([*numbers(0, BACKLOG), *numbers(_FIRST_SINGLE, SINGLES)])
        peer = await _peer(server)
    return [_rate_figure(results, peer), *_latency_figures(ours_s, theirs_s)]


async def _backlog(ours: District, mails: Mails) -> dict[str, Any]:
    began, before = time.monotonic(), usage(ours.process.pid).cpu_s
    await mails.until(numbers(0, BACKLOG), ARRIVE_S)
    times = sorted(mails.arrived[each][0] for each in numbers(0, BACKLOG))
    return {
        "seconds": round(times[-1] - began, 2),
        "middle_80_percent_per_s": round(0.8 * BACKLOG / (percentile(times, 0.9) - percentile(times, 0.1)), 1),
        "cpu_ms_per_message": round(1000 * (usage(ours.process.pid).cpu_s - before) / BACKLOG, 2),
        "loop_lag_ms": await lag_ms(ours),
    }


async def _peer(server: Dovecot) -> dict[str, Any]:
    async with sink() as mails, running("benchmarks.mail_peer", str(server.port), str(mails.port)) as process:
        result: dict[str, Any] = json.loads(await line_of(process, within_s=ARRIVE_S))
    return result


async def _singles(server: Dovecot, mails: Mails) -> tuple[list[float], list[float]]:
    """Deliver mails one after another to the idle mailbox; return the seconds until the sink has each.

    Beside them the seconds until Dovecot has told a bare client, which only waits.
    """
    random, ours, theirs = Random(3), [], []
    async with _idling(server.port) as told:
        for number in range(_FIRST_SINGLE, _FIRST_SINGLE + SINGLES):
            await asyncio.sleep(random.uniform(0.6, 0.9))  # until Dovecot has told of the last one's flag, too
            mail, began = letter(number), time.monotonic()
            server.deliver(mail)
            await mails.until([token(number)], ARRIVE_S)
            ours.append(mails.arrived[token(number)][0] - began)
            theirs.append(await asyncio.wait_for(told.get(), ARRIVE_S) - began)
    return ours, theirs


@asynccontextmanager
async def _idling(port: int) -> AsyncIterator[asyncio.Queue[float]]:
    """Connect a client that does nothing but wait (IDLE); the queue has the times at which it heard of more mail."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    response = b64encode(f"\0{USER}\0{PASSWORD}".encode())
    for command in (b"1 AUTHENTICATE PLAIN " + response, b"2 EXAMINE INBOX", b"3 IDLE"):
        writer.write(command + b"\r\n")
        while not (line := await reader.readline()).startswith((command[:2], b"+ ")):
            if not line:
                raise Failed("Dovecot closed the connection")
    told: asyncio.Queue[float] = asyncio.Queue()

    async def listen() -> None:
        while line := await reader.readline():
            if line.endswith(b" EXISTS\r\n"):
                told.put_nowait(time.monotonic())

    listening = asyncio.create_task(listen())
    try:
        yield told
    finally:
        listening.cancel()
        await asyncio.wait([listening])
        writer.close()


def _rate_figure(results: dict[str, Any], peer: dict[str, Any]) -> Figure:
    rate = round(BACKLOG / results["seconds"], 1)
    beside = round(peer["mails"] / peer["seconds"], 1)
    print(f"mailbox: {rate}/s, a bare script {beside}/s, lag {results['loop_lag_ms']} ms", file=sys.stderr)
    return Figure(
        name="mailbox.backlog",
        value=rate,
        unit="messages/s",
        limit=RATE_LIMIT,
        peer=beside,
        n=BACKLOG,
        note=f"mails of {SIZE} octets in Dovecot, from the daemon's readiness to the last mail at the sink; "
        "the peer fetches and sends them one by one and stores nothing",
        detail=results,
    )


def _latency_figures(ours: list[float], theirs: list[float]) -> list[Figure]:
    found, beside = summary_ms(ours), summary_ms(theirs)
    print(
        f"mailbox from idle: p50 {found['p50']} ms, p99 {found['p99']} ms, Dovecot {beside['p50']} ms", file=sys.stderr
    )
    return [
        Figure(
            name=f"mailbox.{name}_from_idle",
            value=found[name],
            unit="ms",
            better="lower",
            limit=limit,
            peer=beside[name],
            n=len(ours),
            note="single mails, from the delivery into the mailbox to the mail at the sink; the peer is a client that "
            "waits in IDLE, until it hears of the mail",
            detail={"latency_ms": found, "peer_ms": beside},
        )
        for name, limit in (("p50", NOTICE_MS + P50_MS), ("p99", None))
    ]
