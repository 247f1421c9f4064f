"""What a daemon's own books say, read from its SQLite file: also of one that is dead, and cheaper than a command."""

from __future__ import annotations

import signal
import sqlite3

from router.failpoints import VARIABLE
from tests.acceptance.daemon import until

_SETTLED_S = 90  # on a slow machine; nothing waits so long when all is well


class Books:
    """The store of a daemon (SQLite), and what a mail server has of it."""

    def __init__(self, daemon, relay):
        self._path = daemon.configuration["store"]["url"].removeprefix("sqlite:///")
        self._relay = relay
        self.doubted = set()  # mails that arrived while a daemon died: those may come twice

    def ask(self, query, *values):
        """Return the rows of a query."""
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def number(self, query, *values):
        """Return the one number that a query gives."""
        return self.ask(query, *values)[0][0]

    def waiting(self):
        """Return how much isn't at its end yet: messages and deliveries."""
        undecided = self.number("SELECT count(*) FROM messages WHERE state = 'undecided'")
        return undecided + self.number("SELECT count(*) FROM deliveries WHERE state = 'waiting'")

    async def settled(self, timeout_s=_SETTLED_S):
        """Wait until nothing is undecided or waiting."""
        await until(lambda: not self.waiting(), timeout_s, lambda: f"settled; {self.waiting()} wait")

    async def note_doubts(self):
        """Note, while no daemon runs, what the mail server has taken and the store doesn't know; return how many.

        Whatever was cut off by the death of the daemon is over once nobody is connected to the mail server.
        """
        if self._relay.sessions:
            await self._relay.wait_until_alone()
        known = {row[0] for row in self.ask("SELECT remote_id FROM deliveries WHERE state = 'delivered'")}
        doubted = {n for n in range(1, len(self._relay.mails) + 1) if f"Q{n}" not in known} - self.doubted
        self.doubted |= doubted
        return len(doubted)


async def die_at(daemon, place, nth=1):
    """Start a daemon that a place will be the end of."""
    daemon.set_env(**{VARIABLE: f"{place}=kill@{nth}"})
    await daemon.start()


async def died(daemon):
    """Wait until it has died of that, and let the next start be sound."""
    assert await daemon.ended(120) == -signal.SIGKILL, daemon.output()
    daemon.set_env(**{VARIABLE: None})
