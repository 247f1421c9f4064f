"""`kill -9` at random moments while messages come in every way at once: form, SMTP, a mailbox on Dovecot, texts."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress

import aiohttp
import pytest

from tests.acceptance.district import ADDRESSES, district, smtp_port, steer
from tests.acceptance.ledger import Sent
from tests.acceptance.senders import NotTaken, by_form, by_smtp, form_message, insist, mail_message
from tests.acceptance.test_faults import all_arrived
from tests.integration.fake_twilio import sign, text_parameters
from tests.torture.books import Books
from tests.torture.test_places import RELAYED, sound
from tests.torture.test_places_apart import with_mailbox, with_texts

LIVES_S = (0.0, 3.0)  # how long a daemon that is ready is let live
EVERY_S = 0.05  # twenty messages a second
_numbers = itertools.count(1)


class Families:
    """Hands messages in, by every way in turn, until told to stop; each is insisted on until it is acknowledged."""

    def __init__(self, daemon, dovecot, ledger, rng):
        self._daemon = daemon
        self._dovecot = dovecot
        self._ledger = ledger
        self._rng = rng
        self._insisting = set()
        self._enough = asyncio.Event()
        self._writing = asyncio.create_task(self._write())

    async def _write(self):
        for way in itertools.cycle((self._form, self._smtp, self._mailbox, self._text)):
            if self._enough.is_set():
                return
            if len(self._insisting) < 40:  # else it is down: they wait
                self._insisting.add(task := asyncio.create_task(self._hand_in(way)))
                task.add_done_callback(self._insisting.discard)
            await within(EVERY_S, self._enough.wait())

    async def finish(self, timeout_s=120):
        """Write no more, and return when everything is acknowledged."""
        self._enough.set()
        async with asyncio.timeout(timeout_s):
            await self._writing
            while self._insisting:
                await asyncio.wait(set(self._insisting))

    async def _hand_in(self, way):
        department = self._rng.choice(RELAYED)
        self._ledger.acked.add(await way(ADDRESSES[department], steer(department)))

    async def _form(self, to, words):
        token, fields = form_message(self._ledger, to, words)
        await insist(lambda: by_form(self._daemon.url, fields, key=token))
        return token

    async def _smtp(self, to, words):
        token, data = mail_message(self._ledger, to, words)
        await insist(lambda: by_smtp(smtp_port(self._daemon.configuration), data))
        return token

    async def _mailbox(self, to, words):
        token, data = mail_message(self._ledger, to, words)
        self._dovecot.deliver(data)
        return token

    async def _text(self, to, words):
        token = self._ledger.new_token()
        self._ledger.hand_in(Sent(token, to, f"{words} {token}"))
        number = next(_numbers)
        parameters = text_parameters(number, f"{words} {token}", From=f"+1555555{number % 10_000:04d}")
        await insist(lambda: post_signed(f"{self._daemon.url}/webhooks/text-line", parameters))
        return token


async def post_signed(url, parameters):
    """Post a text as Twilio does; raise `NotTaken` unless it is acknowledged."""
    headers = {"X-Twilio-Signature": sign(url, list(parameters.items()))}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as client,
            client.post(url, data=parameters, headers=headers) as answer,
        ):
            if answer.status != 200:
                raise NotTaken(str(answer.status))
    except (aiohttp.ClientError, OSError) as error:
        raise NotTaken(type(error).__name__) from error


@pytest.mark.case("D01")
async def test_killed_at_random(daemons, tmp_path, relay, collector, ledger, dovecot, rng, rounds, tally):
    """Killed again and again, at seeded moments under mixed load: nothing lost, strange or altered.

    What comes twice is no more than what the mail server had when a daemon died that didn't know of it yet.
    """
    configuration = district(tmp_path, relay.port)
    texts = with_texts(configuration)
    daemon = daemons(tmp_path, configuration, **texts, **with_mailbox(configuration, dovecot.port))
    books, doubted, kills = Books(daemon, relay), 0, rounds(quick=2, long=300)
    await daemon.start()
    families = Families(daemon, dovecot, ledger, rng)
    for _ in range(kills):
        await relay.wait_for(len(relay.mails) + 1, 90)
        await within(rng.uniform(*LIVES_S), asyncio.Event().wait())  # a kill has to come at a random moment
        await daemon.kill()
        doubted += await books.note_doubts()
        await daemon.start()
    await families.finish()
    await books.settled(300)
    if books.number("SELECT count(*) FROM deliveries WHERE state = 'dead'"):  # three daemons in a row died over it
        await daemon.ask("deliveries", "retry", "--all")
        await books.settled(300)
    audit = await all_arrived(collector, ledger, 60)
    tally(messages=len(ledger.acked), faults=kills, ambiguous=doubted, copies=audit.copies, **sound(audit))
    assert audit.copies <= doubted
    assert all(len(set(mail_ids)) == 1 for mail_ids in audit.duplicates.values())
    assert books.number("SELECT count(*) FROM messages") == len(ledger.sent)


async def within(seconds, waiting):
    """Return when something has come to pass, or time is up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await waiting
