"""An urgent message from the family's form to the person who has it, across a crash, with mail and Maildirs."""

from __future__ import annotations

import re

import aiohttp

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, district, steer
from tests.acceptance.senders import by_form

SAFETY, PRINCIPAL = "safety@maple.example", "principal"
TEXT = f"My son never got off the bus. He is six and it is five o'clock. {steer('transportation')}"


def urgent_district(folder, relay_port):
    """A district that passes alarms on after a second."""
    configuration = district(folder, relay_port)
    configuration["routing"]["urgent"] |= {"escalate_after": "1s", "then": [{"via": "shelf", "to": PRINCIPAL}]}
    return configuration


def link_in(arrival):
    """Return the link to acknowledge, as a mail program shows it."""
    return re.search(r"http://\S+/u/\S+", arrival.words)[0]


async def at(collector, recipient, count=1):
    """Wait until so many mails have arrived at one recipient, and return them."""
    await until(lambda: len(collector.at(recipient)) >= count, 60, lambda: f"{count} mails at {recipient}")
    return collector.at(recipient)


async def test_an_alarm_is_passed_on_until_somebody_has_it(daemons, tmp_path, relay, collector):
    """Safety is told at once; nobody answers, the daemon dies and comes back, the principal is told and takes it."""
    daemon = daemons(tmp_path, urgent_district(tmp_path, relay.port))
    await daemon.start()
    await by_form(daemon.url, {"name": "Ana Ruiz", "email": "ana@home.example", "message": TEXT})
    [alert] = await at(collector, SAFETY)
    assert alert["Subject"].startswith("URGENT message")
    assert "child missing" in alert["Subject"]
    await at(collector, ADDRESSES["transportation"])

    await daemon.kill()
    await daemon.start()
    [passed_on] = await at(collector, PRINCIPAL)
    assert "not acknowledged" in passed_on["Subject"]
    await until(lambda: collector.at(ALERTS), 60, "operations are told that nobody answers")
    assert (await daemon.status())["urgent"]["waiting_for_acknowledgement"] == 1

    link = link_in(passed_on)
    assert link_in(alert) != link
    async with aiohttp.ClientSession() as client:
        async with client.get(link) as page:
            assert "Do you have this?" in await page.text()
        assert (await daemon.status())["urgent"]["waiting_for_acknowledgement"] == 1
        async with client.post(link) as page:
            assert "You have it" in await page.text()
        async with client.get(link_in(alert)) as page:
            assert f"{PRINCIPAL}</strong> has had this message" in await page.text()

    note = (await at(collector, SAFETY, 2))[-1]
    assert "taken care of" in note["Subject"]
    ledger = await daemon.settled()
    assert ledger["urgent"] == {"waiting_for_acknowledgement": 0, "oldest_s": 0.0}
    [told] = (await daemon.ask("messages", "list"))[:1]
    shown = await daemon.ask("messages", "show", told["id"])
    assert shown["alarm"]["acknowledged_by"] == PRINCIPAL
    assert len([each for each in shown["deliveries"] if each["kind"] == "alert"]) == 3
