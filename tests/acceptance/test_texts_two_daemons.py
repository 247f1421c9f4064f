"""Two daemons on one PostgreSQL with one text line: each text is one message, and one daemon looks at Twilio's list."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import district
from tests.acceptance.test_faults import all_arrived
from tests.acceptance.test_text_outage import TextLine
from tests.integration.fake_twilio import ACCOUNT, NUMBER, TOKEN, fake_twilio

TAKEN_OVER_S = 30  # what the documentation promises
LINE = "text-line"


@pytest.fixture
async def two(daemons, tmp_path, relay, postgres_url, ledger):
    """Two daemons, ready, on one database, each with the address that Twilio signs for; the double of Twilio."""
    async with fake_twilio() as twilio:
        made = []
        for name in ("one", "other"):
            configuration = district(tmp_path, relay.port, store={"url": postgres_url.replace(":@", "@")})
            configuration["channels"].pop("old-mail")
            configuration["channels"][LINE] = {
                "type": "twilio_sms",
                "account_sid": ACCOUNT,
                "auth_token_env": "TWILIO",
                "from_number": NUMBER,
                "api_base": twilio.base,
                "reconcile": "300ms",
            }
            folder = tmp_path / name
            folder.mkdir()
            made.append(daemons(folder, configuration, TWILIO=TOKEN, XDG_RUNTIME_DIR=str(folder)))
            await made[-1].start()
        lines = [TextLine(twilio, daemon, ledger) for daemon in made]
        await lines[0].looked()
        yield made, lines
        for daemon in made:
            await daemon.close()


def times_taken(daemon):
    """Return how often a daemon has begun to look at the list."""
    return len([event for event in daemon.events("mailbox_taken") if event["channel"] == LINE])


@pytest.mark.case("T02")
@pytest.mark.case("T03")
async def test_each_text_is_one_message(two, collector, ledger, tally):
    """Five calls at once for each text, to both daemons; then the one that looks at the list is killed.

    The other one takes over within half a minute, and what no webhook was called for is fetched, once.
    """
    (one, other), lines = two
    assert times_taken(one) + times_taken(other) == 1
    posts = []
    for _ in range(8):
        parameters = lines[0].text()
        posts += [lines[number % 2].post(parameters) for number in range(5)]
    await asyncio.gather(*posts)
    await all_arrived(collector, ledger, 240)
    owner, successor = (one, other) if times_taken(one) else (other, one)
    await owner.kill()
    for _ in range(3):
        lines[0].text()
    await until(lambda: times_taken(successor) == 1, TAKEN_OVER_S, "the other daemon looks at the list")
    await all_arrived(collector, ledger, 240)
    await lines[0].looked()
    ledger_of_states = await successor.settled()
    audit = await all_arrived(collector, ledger, 10)
    tally(messages=len(ledger.acked), faults=len(posts) - 8 + 1, copies=audit.copies, lost=len(audit.lost))
    assert audit.copies == 0
    assert ledger_of_states["messages"]["received"] == len(ledger.acked)
