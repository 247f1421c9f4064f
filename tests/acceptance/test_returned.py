"""A relay takes a mail and sends it back later: people hear of it, another desk gets it, and nobody can forge that."""

from __future__ import annotations

import re

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, FALLBACK, smtp_port, steer
from tests.acceptance.senders import by_form, by_smtp, form_message
from tests.unit.channels import bounces

BUSES = ADDRESSES["transportation"]


async def forwarded(daemon, collector, ledger):
    """Send a message to the buses and return it as it arrived there."""
    token, fields = form_message(ledger, BUSES, steer("transportation"))
    await by_form(daemon.url, fields)
    await until(lambda: collector.at(BUSES, token), 60, "the message at the buses")
    await daemon.settled()  # as noted in the store
    return collector.at(BUSES, token)[0]


async def delivery_of(daemon, message_id):
    """Return the only delivery of a message to the buses."""
    [found] = [d for d in (await daemon.ask("messages", "show", message_id))["deliveries"] if d["to"] == BUSES]
    return found


async def test_a_mail_that_came_back_is_escalated(daemon, collector, ledger):
    """The delivery is dead with its reason, an alert is out, and the fallback has the message with its original."""
    arrival = await forwarded(daemon, collector, ledger)
    report = bounces.report(arrival["Message-ID"], BUSES, said="smtp; 550 5.1.1 User unknown")
    await by_smtp(smtp_port(daemon.configuration), report, sender="")

    [copy] = await until(lambda: collector.at(FALLBACK, arrival.token), 60, "the message at the fallback")
    assert copy.original == arrival.original
    assert "This was sent to Transportation and came back from its mail server" in copy.words
    assert copy["X-Signpost-Message"] == arrival["X-Signpost-Message"]
    [alert] = await until(lambda: collector.on_shelf(ALERTS), 60, "an alert")
    assert re.search(r"Delivery \d+ of message \w+ came back: .*550 5\.1\.1 User unknown", alert.words)

    ledger_now = await daemon.settled()
    assert ledger_now["messages"] == {"received": 2, "routed": 1, "held": 0, "filed": 1, "undecided": 0}
    assert ledger_now["deliveries"]["dead"] == 1
    delivery = await delivery_of(daemon, arrival["X-Signpost-Message"])
    assert delivery["state"] == "dead"
    assert "came back: 5.1.1" in delivery["last_error"]
    assert BUSES not in daemon.output()


async def test_forged_reports_change_nothing(daemon, collector, ledger):
    """A made-up Message-ID, another recipient, a person's reverse path and a form: nothing is dead, nothing is lost."""
    arrival = await forwarded(daemon, collector, ledger)
    mail_id, port = arrival["Message-ID"], smtp_port(daemon.configuration)
    made_up = re.sub(r"\.[0-9a-f]{24}@", f".{'0' * 24}@", mail_id)
    assert made_up != mail_id
    await by_smtp(port, bounces.report(made_up, BUSES, number=1), sender="")
    await by_smtp(port, bounces.report(mail_id, FALLBACK, number=2), sender="")
    await by_smtp(port, bounces.report(mail_id, BUSES, number=3), sender="eve@elsewhere.example")
    text = bounces.qmail(mail_id, BUSES).decode()
    await by_form(daemon.url, {"email": "eve@elsewhere.example", "message": text})

    ledger_now = await daemon.settled()
    assert ledger_now["messages"] == {"received": 5, "routed": 2, "held": 3, "filed": 0, "undecided": 0}
    assert ledger_now["deliveries"]["dead"] == 0
    assert (await delivery_of(daemon, arrival["X-Signpost-Message"]))["state"] == "delivered"
    assert collector.at(FALLBACK, arrival.token) == []
