"""A process that begins to bring a store up to date and is killed before its Nth statement."""

from __future__ import annotations

import asyncio
import os
import signal
from multiprocessing import get_context
from typing import TYPE_CHECKING

from alembic import command  # noqa: F401  loaded once, for all that are forked off
from sqlalchemy import Engine, event

from router.store import migrate  # noqa: F401  as above
from router.store.engine import open_store

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext


def forks() -> ForkServerContext:
    """Return what starts such processes: forked off one that has loaded everything and does nothing else."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def open_and_die(url: str, nth: int) -> None:
    """Open a store, which brings it up to date; end as by `kill -9` before the statement with this number, from 0."""
    begun = 0

    def count(*_arguments: object) -> None:
        nonlocal begun
        if begun == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        begun += 1

    event.listen(Engine, "before_cursor_execute", count)
    asyncio.run(_open(url))


async def _open(url: str) -> None:
    store = open_store(url)
    await store.open()
    await store.close()
