"""Load on a daemon: messages over all three ways in at once, each handed in until it is acknowledged."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.acceptance.district import ADDRESSES, smtp_port, steer
from tests.acceptance.senders import by_form, by_maildir, by_smtp, form_message, insist, mail_message

WAYS = ("form", "smtp", "maildir")
DESKS = ("transportation", "enrollment", "food-services", "technology")


class Load:
    """Hands in what was allowed (`allow`), a few messages at a time; `reach` waits for a moment of it."""

    def __init__(self, daemon, ledger, rng, ways=WAYS, desks=DESKS, at_once=6):
        self._daemon = daemon
        self._ledger = ledger
        self._rng = rng
        self._allowed = asyncio.Semaphore(0)
        self._changed = asyncio.Condition()
        self.counts = Counter()
        self._ways = ways
        self._desks = desks
        self._senders = [asyncio.create_task(self._hand_in()) for _ in range(at_once)]

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_error):
        for sender in self._senders:
            sender.cancel()
        for sender in await asyncio.gather(*self._senders, return_exceptions=True):
            assert isinstance(sender, asyncio.CancelledError), sender

    def allow(self, count):
        """Let so many more messages be handed in."""
        self.counts["allowed"] += count
        for _ in range(count):
            self._allowed.release()

    async def reach(self, moment, count, timeout_s=60):
        """Return when so many messages were "handed in" or "acknowledged", at once."""
        async with asyncio.timeout(timeout_s), self._changed:
            await self._changed.wait_for(lambda: self.counts[moment] >= count)

    async def all_acknowledged(self, timeout_s=60):
        """Return when everything that was allowed is acknowledged."""
        await self.reach("acknowledged", self.counts["allowed"], timeout_s)

    async def _hand_in(self):
        while True:
            await self._allowed.acquire()
            way, department = self._rng.choice(self._ways), self._rng.choice(self._desks)
            hand_over = self._message(way, ADDRESSES[department], steer(department))
            await self._count("handed in")
            self._ledger.acked.add(await hand_over())
            await self._count("acknowledged")

    async def _count(self, moment):
        async with self._changed:
            self.counts[moment] += 1
            self._changed.notify_all()

    def _message(self, way, to, words):
        """Make a message; return what hands it over until it is acknowledged and then returns its token."""
        make = form_message if way == "form" else mail_message
        token, content = make(self._ledger, to, words)

        async def hand_over():
            if way == "form":
                await insist(lambda: by_form(self._daemon.url, content, key=token))
            elif way == "smtp":
                await insist(lambda: by_smtp(smtp_port(self._daemon.configuration), content))
            else:
                by_maildir(self._daemon.folder / "old-mail", content)
            return token

        return hand_over
