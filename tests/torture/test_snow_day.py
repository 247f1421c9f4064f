"""A snow day: every family writes within the hour, most of them by text, and each message gets in and arrives once."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from tests.acceptance.district import ADDRESSES, district, steer
from tests.acceptance.senders import by_form, form_message, insist
from tests.acceptance.test_faults import all_arrived
from tests.acceptance.test_text_outage import TextLine
from tests.integration.fake_twilio import ACCOUNT, NUMBER, TOKEN, fake_twilio
from tests.torture.test_places import sound

TEXTS = 0.6  # of all messages; the others come by form
RUSH, AFTER = 100, 10  # messages a second
BUSES = ADDRESSES["transportation"]


@pytest.mark.case("P01")
@pytest.mark.torture
async def test_a_snow_day(daemons, tmp_path, relay, collector, ledger, rng, rounds, tally):
    """A hundred a second for a minute, then ten for an hour: all are acknowledged, and arrive once.

    How long the slowest hundredth waited for its acknowledgement is told, and judged by a reader: machines differ.
    """
    async with fake_twilio() as twilio:
        daemon = daemons(tmp_path, with_texts(district(tmp_path, relay.port), twilio.base), TWILIO=TOKEN)
        await daemon.start()
        line, waits = TextLine(twilio, daemon, ledger), {RUSH: [], AFTER: []}

        async def hand_in(rate):
            begun = monotonic()
            if rng.random() < TEXTS:
                parameters = line.text()
                await insist(lambda: line.post(parameters))
            else:
                token, fields = form_message(ledger, BUSES, steer("transportation"))
                await insist(lambda: by_form(daemon.url, fields, key=token))
                ledger.acked.add(token)
            waits[rate].append(monotonic() - begun)

        for rate, seconds in ((RUSH, rounds(quick=5, long=60)), (AFTER, rounds(quick=5, long=3600))):
            await paced(hand_in, rate, rate * seconds)
        drains_from = monotonic()
        audit = await all_arrived(collector, ledger, 1800)
        drained_s = monotonic() - drains_from
        await daemon.settled(120)
        await daemon.close()
    slowest = {f"p99_ms_at_{rate}": round(1000 * sorted(each)[len(each) * 99 // 100]) for rate, each in waits.items()}
    tally(messages=len(ledger.acked), copies=audit.copies, drained_s=round(drained_s), **slowest, **sound(audit))
    assert audit.copies == 0
    assert audit.lost == []


def with_texts(configuration, api_base):
    """Return a configuration with a text line."""
    line = {"type": "twilio_sms", "account_sid": ACCOUNT, "auth_token_env": "TWILIO", "from_number": NUMBER}
    configuration["channels"]["text-line"] = line | {"api_base": api_base}
    return configuration


async def paced(hand_in, rate, count):
    """Hand in so many at a rate, whether those before are done or not; return when all are."""
    begun = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        for number in range(count):
            await asyncio.sleep(max(0.0, begun + number / rate - asyncio.get_running_loop().time()))
            tasks.create_task(hand_in(rate))
