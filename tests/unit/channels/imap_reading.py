"""A source on a scripted server, for tests: what it takes, and what it ends with."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from channels.imap import ImapSettings, ImapSource
from router.testing import within
from router.testing_sinks import sample_context


def mail(number, text="hello"):
    return f"From: ana@example.org\r\nMessage-ID: <{number}@example.org>\r\n\r\n{text}\r\n".encode()


def source_of(server, password_file, context=None, **changes):
    """Return a source that signs in at a scripted server; `context` is kept over restarts."""
    values = {"host": "127.0.0.1", "port": server.port, "tls": "none", "username": "ana", "start": "all"}
    values |= {"password_file": str(password_file), "timeout": "5s"} | changes
    return ImapSource(
        ImapSettings.model_validate({k: v for k, v in values.items() if v is not None}),
        context or sample_context(name="inbox"),
    )


@asynccontextmanager
async def reading(source, intake):
    """Run a source for the length of a `with` block."""
    task = asyncio.create_task(source.run(intake.accept))
    try:
        yield task
    finally:
        task.cancel()
        await within(asyncio.wait([task]))
    if not task.cancelled() and (error := task.exception()):
        raise error


async def ended(source, intake):
    """Run a source until it ends by itself, and return what it ends with."""
    task = asyncio.create_task(source.run(intake.accept))
    await within(asyncio.wait([task]))
    return task.exception()
