"""From a misroute to a lesson: the link in the forwarded mail, the command, and what a person does with the flag."""

from __future__ import annotations

import re

import aiohttp
import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, FALLBACK, smtp_port, steer
from tests.acceptance.senders import by_form, by_smtp, form_message, mail

BUSES, MEALS, TECHNOLOGY = (ADDRESSES[name] for name in ("transportation", "food-services", "technology"))
PEOPLE = "dana@maple.example"


async def arrival_at(collector, recipient, count=1):
    """Wait for the latest mail at one recipient."""
    await until(lambda: len(collector.at(recipient)) >= count, 30, lambda: f"{count} mails at {recipient}")
    return collector.at(recipient)[-1]


@pytest.fixture
async def forwarded(daemon, collector, ledger):
    """A message as it arrived at the buses."""
    _token, fields = form_message(ledger, BUSES, steer("transportation"))
    await by_form(daemon.url, fields)
    return await arrival_at(collector, BUSES)


async def counted(daemon):
    """What is in the store, without what goes on by itself, such as the channels' proofs of life."""
    status = await daemon.status()
    return {name: status[name] for name in ("messages", "deliveries", "answers")}


async def post(url, **form):
    """Send a form and return the status and the page that follows."""
    async with aiohttp.ClientSession() as client, client.post(url, data=form) as answer:
        return answer.status, await answer.text()


async def test_the_link_moves_the_message_and_its_flag_is_governed(daemon, collector, forwarded):
    """GET changes nothing; POST sends the message on at once; the flag is listed, confirmed and withdrawn by name."""
    link, before = forwarded["X-Signpost-Misroute"], await counted(daemon)
    async with aiohttp.ClientSession() as client:
        for method in ("GET", "HEAD", "GET"):
            async with client.request(method, link) as page:
                assert page.status == 200
    assert await counted(daemon) == before

    status, page = await post(link, department="technology", note="it is about the app")
    assert (status, "Sent on to Technology" in page) == (200, True)
    second = await arrival_at(collector, TECHNOLOGY)
    assert second["X-Signpost-Reason"] == "correction"
    assert second["X-Signpost-Department"] == "technology"
    assert second["X-Signpost-Message"] == forwarded["X-Signpost-Message"]
    assert second["Message-ID"] != forwarded["Message-ID"]
    assert second.original == forwarded.original

    [flag] = await daemon.ask("corrections", "list")
    facts = {name: flag[name] for name in ("message_id", "from", "to", "via", "state", "note")}
    assert facts == {
        "message_id": forwarded["X-Signpost-Message"],
        "from": "transportation",
        "to": "technology",
        "via": "link",
        "state": "proposed",
        "note": "it is about the app",
    }
    [confirmed] = await daemon.ask("corrections", "confirm", flag["id"], "--by", PEOPLE)
    assert (confirmed["state"], confirmed["confirmed_by"]) == ("confirmed", PEOPLE)
    assert [each["id"] for each in await daemon.ask("corrections", "list", "--state", "confirmed")] == [flag["id"]]
    [withdrawn] = await daemon.ask("corrections", "withdraw", flag["id"], "--by", PEOPLE)
    assert withdrawn["state"] == "withdrawn"
    assert (await daemon.settled())["deliveries"]["delivered"] == 2


async def test_what_the_link_did_can_be_undone(daemon, collector, forwarded):
    """The page that follows has the button; afterwards the message is where it was, and the flag teaches nothing."""
    link = forwarded["X-Signpost-Misroute"]
    _status, page = await post(link, department="technology")
    status, page = await post(f"{link}/undo", correction=re.search(r'name="correction" value="([^"]+)"', page)[1])
    assert (status, "Undone" in page) == (200, True)
    [flag] = await daemon.ask("corrections", "list")
    assert flag["state"] == "withdrawn"
    shown = await daemon.ask("messages", "show", forwarded["X-Signpost-Message"])
    assert shown["state"] == "routed"
    [row] = await daemon.ask("messages", "list", "--department", "transportation")
    assert row["id"] == forwarded["X-Signpost-Message"]


async def test_the_third_time_it_is_passed_on_a_person_decides(daemon, collector, forwarded):
    """Passed on by link, by command and by link: the third time it goes to the fallback, marked disputed."""
    message_id = forwarded["X-Signpost-Message"]
    await post(forwarded["X-Signpost-Misroute"], department="technology")
    await arrival_at(collector, TECHNOLOGY)
    moved = await daemon.ask("misroute", message_id, "--to", "food-services", "--by", PEOPLE, "--note", "lunch")
    assert (moved["department"], moved["disputed"]) == ("food-services", False)
    third = await arrival_at(collector, MEALS)
    await post(third["X-Signpost-Misroute"], department="transportation")
    disputed = await arrival_at(collector, FALLBACK)
    assert disputed["X-Signpost-Reason"] == "disputed"
    assert disputed["X-Signpost-Department"] == "front-office"
    assert len(collector.at(BUSES)) == 1
    flags = await daemon.ask("corrections", "list")
    assert [(flag["via"], flag["to"]) for flag in flags] == [
        ("link", "transportation"),
        ("command", "food-services"),
        ("link", "technology"),
    ]


async def test_a_reply_to_our_own_mail_is_held_until_a_person_lets_it_go(daemon, collector, forwarded):
    """It waits where people see it, they are told, and `messages release` sends it to the desk they name."""
    reply = mail("RT-a1-900-end", "Thank you!", sender="office@maple.example")
    reply = f"In-Reply-To: {forwarded['Message-ID']}\r\n".encode() + reply
    await by_smtp(smtp_port(daemon.configuration), reply, sender="office@maple.example")

    alert = await arrival_at(collector, ALERTS)
    [held] = await daemon.ask("messages", "list", "--state", "held")
    assert held["id"] in alert.words
    assert f"signpost messages release {held['id']}" in alert.words
    shown = await daemon.command("messages", "show", held["id"])
    assert shown.status == 0
    assert "Thank you!" in shown.out
    await daemon.ask("messages", "release", held["id"], "--to", "technology", "--by", PEOPLE)
    released = await arrival_at(collector, TECHNOLOGY)
    assert released.original == reply
    again = await daemon.command("messages", "release", held["id"])
    assert (again.status, f"message {held['id']} isn't held" in again.err) == (1, True)
    assert (await daemon.settled())["messages"]["held"] == 0


async def test_a_dead_letter_is_told_and_revived(daemon, relay, collector, ledger):
    """A refusal for good: a dead letter, an alert to operations, and once the server is mended one command sends it."""
    relay.recipient_reply = "550 5.1.1 there is no such mailbox"
    token, fields = form_message(ledger, BUSES, steer("transportation"))
    await by_form(daemon.url, fields)
    alert = await arrival_at(collector, ALERTS)
    [dead] = await daemon.ask("deliveries", "list")
    assert (dead["state"], dead["to"], dead["attempts"]) == ("dead", BUSES, 1)
    assert "550 5.1.1" in dead["last_error"]
    assert f"signpost deliveries retry {dead['id']}" in alert.words
    assert alert["Auto-Submitted"] == "auto-generated"
    assert (await daemon.status())["deliveries"]["dead"] == 1

    relay.recipient_reply = ""
    assert await daemon.ask("deliveries", "retry", dead["id"]) == {"revived": [dead["id"]]}
    assert (await arrival_at(collector, BUSES)).token == token
    assert await daemon.ask("deliveries", "list") == []
    ledger.acked.add(token)
    audit = ledger.audit(collector.arrivals)
    assert (audit.lost, audit.unexpected, audit.corrupt, audit.duplicates) == ([], [], [], {})
