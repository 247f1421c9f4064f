"""Ten minutes in which Twilio can't reach the web server, or the store can't be written: no text is lost or doubled."""

from __future__ import annotations

import asyncio
import sqlite3
from datetime import timedelta

import aiohttp
import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, district, steer
from tests.acceptance.ledger import Sent
from tests.acceptance.senders import NotTaken
from tests.acceptance.test_faults import all_arrived
from tests.integration.fake_twilio import ACCOUNT, NUMBER, TOKEN, fake_twilio, sign

OUTAGE_S, EVERY_S = 600, 30  # by Twilio's clock, which the test turns
BUSES = ADDRESSES["transportation"]
PICTURE = ("image/jpeg", b"\xff\xd8\xff a child's coat, left on bus 12")


class TextLine:
    """The families' telephones, Twilio, and the webhook; Twilio keeps what the webhook doesn't take."""

    def __init__(self, twilio, daemon, ledger):
        self.twilio = twilio
        self._url = f"{daemon.configuration['organization']['public_url']}/webhooks/text-line"
        self._ledger = ledger
        self._number = 0

    def text(self, *files):
        """Write a text and return what Twilio posts then."""
        self._number += 1
        token = self._ledger.new_token()
        words = f"{steer('transportation')}\n{token}"
        self._ledger.hand_in(Sent(token, BUSES, words))
        self._ledger.acked.add(token)  # for the family it is sent, whatever the webhook answers
        sender = f"+1555555{self._number:04}"
        return self.twilio.incoming(self._number, words, *files, From=sender)

    async def post(self, parameters):
        """Call the webhook; raise `NotTaken` unless it answers 200."""
        headers = {"X-Twilio-Signature": sign(self._url, list(parameters.items()))}
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.post(self._url, data=parameters, headers=headers) as answer,
            ):
                if answer.status != 200:
                    raise NotTaken(str(answer.status))
        except aiohttp.ClientError as error:
            raise NotTaken(type(error).__name__) from error

    async def looked(self):
        """Wait until the list has been looked through, all of it."""
        asked = len(self.twilio.requests)
        await until(lambda: len(self.twilio.requests) >= asked + 3, 240, "the list was looked at")


@pytest.fixture
async def line(daemons, tmp_path, relay, ledger):
    """A daemon with a text line that has looked at Twilio's list before."""
    async with fake_twilio() as twilio:
        configuration = district(tmp_path, relay.port)
        configuration["channels"]["text-line"] = {
            "type": "twilio_sms",
            "account_sid": ACCOUNT,
            "auth_token_env": "TWILIO",
            "from_number": NUMBER,
            "api_base": twilio.base,
            "reconcile": "300ms",
        }
        daemon = daemons(tmp_path, configuration, TWILIO=TOKEN)
        await daemon.start()
        line = TextLine(twilio, daemon, ledger)
        await line.looked()
        yield daemon, line
        await daemon.close()


def stored(daemon):
    """Return how many messages the store has."""
    path = daemon.configuration["store"]["url"].removeprefix("sqlite:///")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30) as connection:
        return connection.execute("SELECT count(*) FROM messages").fetchone()[0]


@pytest.mark.case("T03")
async def test_ten_minutes_without_the_web_server(line, collector, ledger, tally):
    """A text every half minute meanwhile; when it is back each arrives once, those that the webhook had taken, too.

    A picture that takes its time holds nothing up and follows its text to the same desk. Twilio's late calls change
    nothing.
    """
    daemon, line = line
    for _ in range(3):
        await line.post(line.text())
    await daemon.stop()
    missed = []
    for _ in range(OUTAGE_S // EVERY_S):
        line.twilio.now += timedelta(seconds=EVERY_S)
        missed.append(line.text(*([] if missed else [PICTURE])))
        line.twilio.hanging |= {*line.twilio.files}
        with pytest.raises(NotTaken):
            await line.post(missed[-1])
    await daemon.start()
    audit = await all_arrived(collector, ledger, 240)
    line.twilio.let_go.set()
    await until(lambda: any(_has_picture(each) for each in collector.at(BUSES)), 240, "the picture is at the same desk")
    for parameters in missed:
        await line.post(parameters)
    await line.looked()
    await daemon.settled()
    copies = ledger.audit(collector.arrivals).copies
    tally(messages=len(ledger.acked), faults=len(missed), lost=len(audit.lost), copies=copies)
    assert copies == 0
    assert stored(daemon) == len(ledger.acked) + 1  # and the message with the picture


def _has_picture(arrival):
    return any(
        part.get_content() == PICTURE[1]
        for original in arrival.mail.iter_attachments()
        for part in original.get_content().iter_attachments()
    )


@pytest.mark.case("T03")
async def test_a_store_that_cannot_be_written_for_a_while(line, collector, ledger, tally):
    """While another program holds the store Twilio hears 503 and gives up; the texts are fetched when it is free."""
    daemon, line = line
    path = daemon.configuration["store"]["url"].removeprefix("sqlite:///")
    blocker = sqlite3.connect(path, timeout=30, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    refused = await asyncio.gather(*(line.post(line.text()) for _ in range(3)), return_exceptions=True)
    assert [str(each) for each in refused] == ["503"] * 3
    blocker.execute("ROLLBACK")
    blocker.close()
    audit = await all_arrived(collector, ledger, 240)
    await line.looked()
    await daemon.settled()
    copies = ledger.audit(collector.arrivals).copies
    tally(messages=len(ledger.acked), faults=3, lost=len(audit.lost), copies=copies)
    assert copies == 0
    assert stored(daemon) == len(ledger.acked)
