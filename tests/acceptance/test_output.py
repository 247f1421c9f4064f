"""Nobody may read what the daemon prints: that delays no message, and not its end."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import signal
from contextlib import asynccontextmanager, contextmanager, suppress

import aiohttp

from tests.acceptance.conftest import COMMAND
from tests.acceptance.daemon import START_S, STOP_S, until

SMALLEST_PIPE = 4096  # bytes; Linux rounds up to a page


@asynccontextmanager
async def printing_to(installed, output, *, errors=asyncio.subprocess.DEVNULL):
    """Run the daemon with another standard output; yield its process and a function that sends a message."""
    process = await asyncio.create_subprocess_exec(
        *(str(COMMAND), "run", "--log-level", "debug"),
        cwd=installed.folder,
        env=installed.env,
        stdout=output,
        stderr=errors,
    )
    url = f"http://127.0.0.1:{installed.port}"
    try:
        async with aiohttp.ClientSession() as client:

            async def is_ready():
                try:
                    async with client.get(f"{url}/readyz") as answer:
                        return answer.status == 200
                except aiohttp.ClientError:
                    return False

            async def send():
                fields = {"email": "ana@home.example", "message": "The bus did not come."}
                async with client.post(f"{url}/forms/contact", json=fields) as answer:
                    assert answer.status == 202, await answer.text()
                return True

            await until(is_ready, START_S, "ready")
            yield process, send
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ended(process):
    """End it gracefully and return its exit status."""
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(STOP_S):
        return await process.wait()


@contextmanager
def small_pipe():
    """Yield both ends of a pipe that few lines fill."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
    try:
        yield reading, writing
    finally:
        for end in (reading, writing):
            with suppress(OSError):  # a test may have closed it
                os.close(end)


def is_full(writing):
    """Tell whether a pipe takes nothing more."""
    return not select.select([], [writing], [], 0)[1]


async def fill(writing, send):
    """Send messages until the pipe is full, and then some whose lines wait behind it."""

    async def sent_until_full():
        await send()
        return is_full(writing)

    await until(sent_until_full, 60, "the pipe is full")
    for _ in range(20):
        await send()


async def test_a_daemon_whose_output_nobody_reads_takes_messages_and_stops(installed):
    """With a full pipe as standard output messages are still accepted, and SIGTERM ends it with 0 in time."""
    with small_pipe() as (_, writing):
        async with printing_to(installed, writing) as (process, send):
            await fill(writing, send)
            assert await ended(process) == 0
        assert is_full(writing)
    ledger = (await installed.ask("status"))["messages"]
    assert ledger["received"] > 20
    assert ledger["received"] == ledger["routed"] + ledger["undecided"]


async def test_one_full_pipe_for_output_and_errors_stops_nothing(installed):
    """The same where standard error leads into the same pipe."""
    with small_pipe() as (_, writing):
        async with printing_to(installed, writing, errors=writing) as (process, send):
            await fill(writing, send)
            assert await ended(process) == 0


async def test_lines_that_waited_are_written_before_the_end(installed):
    """A reader that comes back while the daemon stops gets every line, the last one included."""
    output = b""
    with small_pipe() as (reading, writing):
        async with printing_to(installed, writing) as (process, send):
            await fill(writing, send)
            end = asyncio.create_task(ended(process))

            def read_to_the_end():
                nonlocal output
                over = end.done()
                while select.select([reading], [], [], 0)[0]:
                    output += os.read(reading, 65_536)
                return over

            await until(read_to_the_end, STOP_S, "the end")
            assert end.result() == 0
    assert output.count(b'"event":"message_accepted"') > 20
    assert output.splitlines()[-1].startswith(b'{"event":"stopped"')


async def test_a_reader_that_is_gone_stops_nothing(installed):
    """Messages are accepted after standard output lost its reader (EPIPE), and the daemon ends with 0."""
    with small_pipe() as (reading, writing):
        async with printing_to(installed, writing) as (process, send):
            os.close(reading)
            await takes_messages_and_stops(installed, process, send)


async def test_a_full_disk_under_the_log_stops_nothing(installed):
    """Messages are accepted while every write to standard output fails (ENOSPC), and the daemon ends with 0."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        async with printing_to(installed, full) as (process, send):
            await takes_messages_and_stops(installed, process, send)
    finally:
        os.close(full)


async def takes_messages_and_stops(installed, process, send):
    """Send a few messages, end the daemon, and find them in the ledger."""
    for _ in range(5):
        await send()
    assert await ended(process) == 0
    assert (await installed.ask("status"))["messages"]["received"] == 5
