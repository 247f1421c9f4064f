"""An urgent message from the family's form to the person who has it, across a crash, with mail and Maildirs."""

from __future__ import annotations

import re

import aiohttp

from channels._form_body import TRAP_FIELD
from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, district, smtp_port, steer
from tests.acceptance.senders import by_form, by_smtp

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


def plain_mail(number, body, *headers, sender="ana@home.example", kind="text/plain"):
    """Return a mail as bytes, with more headers before the usual ones."""
    lines = [
        *headers,
        f"Message-ID: <alarm-{number}@home.example>",
        f"From: Ana Ruiz <{sender}>",
        "To: contact@maple.example",
        "Subject: Marcus",
        f"Content-Type: {kind}; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        body,
        "",
    ]
    return "\r\n".join(lines).encode()


async def test_nothing_holds_an_alert_back(daemons, tmp_path, relay, collector):
    """Whatever becomes of the message, in observe mode and without any model, each way of telling people is taken."""
    configuration = district(tmp_path, relay.port)
    duty = {"via": "shelf", "to": "duty"}
    urgent = {"notify": [*configuration["routing"]["urgent"]["notify"], duty]}
    configuration["routing"] |= {"mode": "observe", "spam": "hold", "urgent": urgent}
    daemon = daemons(tmp_path, configuration)
    await daemon.start()
    hops = [f"Received: from a{n}.example by b{n}.example; Mon, 05 Oct 2026 08:00:00 -0500" for n in range(30)]
    looping = ("Auto-Submitted: auto-generated",)
    mails = [
        plain_mail(1, "<p>My son <b>never</b>&nbsp;came home.</p>", kind="text/html"),
        plain_mail(2, "she never got off the bus", *hops),
        plain_mail(3, "there is a man with a gun in the gym", *looping, sender=ADDRESSES["transportation"]),
        plain_mail(4, "Pitit mwen pa rive lakay, li gen 7 an."),
    ]
    for data in mails:
        await by_smtp(smtp_port(configuration), data)
    form = {"name": "Ana", "email": "ana@home.example", "message": "my daughter says she wants to die"}
    await by_form(daemon.url, form)
    await by_form(daemon.url, form | {"email": "ben@home.example"})
    await by_form(daemon.url, form | {TRAP_FIELD: "https://pills.example"})

    await at(collector, SAFETY, 7)
    await at(collector, "duty", 7)
    quoted = "On Mon, Oct 5, 2026 at 8:00 AM Ana Ruiz <ana@home.example> wrote:\r\n> My son never came home."
    again = plain_mail(5, f"He is here, thank you!\r\n\r\n{quoted}", "In-Reply-To: <alarm-1@home.example>")
    worse = plain_mail(6, f"He says he has a gun.\r\n\r\n{quoted}", "In-Reply-To: <alarm-1@home.example>")
    await by_smtp(smtp_port(configuration), again)
    await by_smtp(smtp_port(configuration), worse)

    told = [mail["Subject"].partition(": ")[2].partition(" (")[0] for mail in await at(collector, SAFETY, 8)]
    assert sorted(told) == [*["child missing"] * 3, *["self-harm"] * 3, *["weapon"] * 2]
    await at(collector, "duty", 8)
    ledger = await daemon.settled()
    assert ledger["messages"] == {"received": 9, "routed": 7, "held": 2, "filed": 0, "undecided": 0}
    assert ledger["urgent"]["waiting_for_acknowledgement"] == 8
    assert [len(collector.at(each)) for each in (SAFETY, "duty")] == [8, 8]
