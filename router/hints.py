"""Daemons that share a PostgreSQL tell each other when one has more to do than it does at once (LISTEN and NOTIFY).

A hint only saves the others the time until they look by themselves. It is sent on a connection of its own and in no
transaction, for commits that notify wait for one another; so it may be lost, and nothing depends on it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import FilteringBoundLogger

    from router.store.engine import Store

_CHANNEL = "signpost_hints"
_PAUSE_S = 0.5  # between two hints of one daemon
_PING_S, _PATIENCE_S = 30.0, 10.0  # how often the line is tried, and how long its answer may take
_AGAIN_S = 5.0
_LONGEST = 7_000  # bytes: NOTIFY takes less than 8,000


class Hints:
    """One daemon's part; `wake` is called with the names of stages that another daemon is busy with."""

    def __init__(self, store: Store, daemon_id: str, wake: Callable[[str], None], log: FilteringBoundLogger) -> None:
        self._store = store
        self._daemon_id = daemon_id
        self._wake = wake
        self._log = log
        self._told: set[str] = set()
        self._something = asyncio.Event()
        self._down = False  # and so said
        self.listens = asyncio.Event()

    def tell(self, stage: str) -> None:
        """Let the others know soon that this stage has more to do than it does at once."""
        self._told.add(stage)
        self._something.set()

    async def run(self) -> None:
        """Listen and tell until cancelled; a line that is lost is made anew."""
        while True:
            try:
                async with self._store.line() as line:
                    await self._use(line)
            except Exception as error:  # whatever it is: without hints the daemon is slower, and right
                if not self._down:
                    self._log.warning("hints_lost", error=type(error).__name__)
                self._down = True
            finally:
                self.listens.clear()
            await asyncio.sleep(_AGAIN_S)

    async def _use(self, line: Any) -> None:
        lost = asyncio.Event()

        def give_up(_line: object) -> None:
            lost.set()
            self._something.set()

        line.add_termination_listener(give_up)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await line.add_listener(_CHANNEL, self._hear)
            self._down = False
            self.listens.set()
            while not lost.is_set():
                await self._say(line)
        finally:
            line.remove_termination_listener(give_up)
            await self._stop_listening(line)

    async def _stop_listening(self, line: Any) -> None:
        """Let go of the line: it goes back to others, who don't want to hear. One that doesn't answer goes nowhere."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await line.remove_listener(_CHANNEL, self._hear)  # nothing, where it is closed
        except Exception:  # whatever ended the listening is what counts
            line.terminate()
        except BaseException:
            line.terminate()
            raise

    async def _say(self, line: Any) -> None:
        """Wait for something to say, say it, and leave the others in peace for a moment."""
        try:
            async with asyncio.timeout(_PING_S):
                await self._something.wait()
        except TimeoutError:
            pass
        self._something.clear()
        told, self._told = self._told, set()
        said = " ".join([self._daemon_id, *sorted(told)])[:_LONGEST]
        async with asyncio.timeout(_PATIENCE_S):
            await line.execute("SELECT pg_notify($1, $2)", _CHANNEL, said) if told else await line.execute("SELECT 1")
        await asyncio.sleep(_PAUSE_S)

    def _hear(self, _line: Any, _pid: int, _channel: str, said: str) -> None:
        sender, *stages = said.split(" ")
        if sender != self._daemon_id:
            for stage in stages:
                self._wake(stage)
