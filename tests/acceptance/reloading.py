"""What the tests of reloads share: another configuration for a running daemon, and messages handed in meanwhile."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager

from router import control
from tests.acceptance.district import ADDRESSES, smtp_port, steer
from tests.acceptance.senders import by_form, by_smtp, form_message, mail_message

DESK = "transportation"
_MORE_S = 120.0


async def reload(daemon):
    """Ask the daemon for a reload and return its outcome."""
    path = control.socket_path(daemon.configuration["store"]["url"])
    return await control.ask(path, "reload", {})


async def change(daemon):
    """Write the daemon's configuration and have it used; return what changed."""
    daemon.write_configuration()
    outcome = await reload(daemon)
    assert outcome["applied"], outcome
    return outcome


async def send_form(daemon, ledger, to=None):
    """Hand in a message by the form, once, and return its token."""
    token, fields = form_message(ledger, to or ADDRESSES[DESK], steer(DESK))
    await by_form(daemon.url, fields, key=token)
    ledger.acked.add(token)
    return token


async def send_mail(daemon, ledger, to=None, port=None):
    """Hand in a message by SMTP, once, and return its token."""
    token, data = mail_message(ledger, to or ADDRESSES[DESK], steer(DESK))
    await by_smtp(port or smtp_port(daemon.configuration), data)
    ledger.acked.add(token)
    return token


@asynccontextmanager
async def streams(*sends):
    """Repeat each send, one after the other, while the block runs; what one raises, the block raises."""
    over, sent = asyncio.Event(), asyncio.Condition()
    counts = [0] * len(sends)

    async def repeat(index, send):
        try:
            while not over.is_set():
                await send()
                counts[index] += 1
                await tell()
        finally:
            await tell()

    async def tell():
        async with sent:
            sent.notify_all()

    tasks = [asyncio.create_task(repeat(index, send)) for index, send in enumerate(sends)]

    async def more():
        """Return when each stream has handed in two more."""
        goal = [count + 2 for count in counts]

        def all_have():
            done = [task for task in tasks if task.done()]
            assert not done, done[0].exception()
            return all(count >= least for count, least in zip(counts, goal, strict=True))

        async with asyncio.timeout(_MORE_S), sent:
            await sent.wait_for(all_have)

    try:
        yield more
    finally:
        over.set()
        await asyncio.gather(*tasks)


def listens(port):
    """Tell whether anybody listens on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
