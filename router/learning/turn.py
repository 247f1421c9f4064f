"""One training at a time, whoever orders it: a daemon by itself, or a person by a command."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from router.errors import Conflict, SignpostError
from router.store import marks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from router.commands import Commands
    from router.store.engine import Store

    Say = Callable[[str], Awaitable[object]]

BEGIN, GO_ON, END = "begin", "go_on", "end"
COMMAND = "training_turn"
LASTS, RENEW_S = timedelta(minutes=2), 30.0  # whoever is killed keeps the others waiting no longer
_MARK = "learning:turn"
_BUSY = "another training is under way, by a daemon or a command: try again when it has ended"


@asynccontextmanager
async def turn(say: Say, renew_s: float = RENEW_S) -> AsyncIterator[None]:
    """Keep others from training while the block runs; raise `Conflict` if somebody does so already.

    `say` takes a step (begin, go_on, end) to the store: `say_in` of it, or of the daemon that has it.
    """
    await say(BEGIN)
    renewing = asyncio.create_task(_renew(say, renew_s), name="training-turn")
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        with suppress(SignpostError):  # it ends by itself
            await say(END)


async def _renew(say: Say, renew_s: float) -> None:
    while True:
        await asyncio.sleep(renew_s)
        with suppress(SignpostError):
            await say(GO_ON)


def say_in(store: Store) -> Say:
    """Return what takes a step in a store."""
    return partial(_step, store)


def offer(commands: Commands, store: Store) -> None:
    """Let commands take their turn."""
    commands.add(COMMAND, partial(_step, store))


async def _step(store: Store, step: str) -> None:
    now = store.clock.now()
    await store.write(lambda c: {BEGIN: _begin, GO_ON: _go_on, END: _end}[step](c, now))


def _begin(connection: Connection, now: datetime) -> None:
    if not marks.claim(connection, _MARK, now, LASTS):
        raise Conflict(_BUSY)


def _go_on(connection: Connection, now: datetime) -> None:
    marks.claim_since(connection, _MARK, now, now)


def _end(connection: Connection, _now: datetime) -> None:
    marks.clear(connection, _MARK)


def under_way(connection: Connection, now: datetime) -> bool:
    """Return whether somebody trains."""
    at = marks.get(connection, _MARK)
    return at is not None and abs(now - at) < LASTS
