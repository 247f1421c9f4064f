"""Loops: desks that answer, send back or open tickets, whatever they say of themselves. Each stops by itself."""

from __future__ import annotations

from email import message_from_bytes, policy
from itertools import count

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, district, smtp_port, steer
from tests.acceptance.senders import by_form, by_smtp
from tests.torture.books import Books

OURS, PARENT = "contact@maple.example", "ana@home.example"
MOST = 3  # mails that a message may make of itself
MOST_ROUNDS = 12  # of mail to and fro: a loop would need more
STOPPED = {
    "an automatic answer to our own mail",
    "a reply to our own mail",
    "our own forwarded mail came back",
    "the same words came more often than routing.loops.alike allows",
}
HELLO = "Thank you for contacting us. We answer within two working days, as soon as somebody has read this."


class Robot:
    """A program behind a desk's mailbox: what it sends for each mail, by the way it behaves."""

    def __init__(self, way, port):
        self._way = way
        self._port = port
        self._numbers = count(1)
        self.sent = 0

    async def __call__(self, received):
        """Take a mail, and send what follows from it."""
        number, mail = next(self._numbers), message_from_bytes(received.data, policy=policy.default)
        sender, lines, text = getattr(self, f"_{self._way}")(number, mail, received)
        self.sent += 1
        if lines is not None:
            names = [f"Message-ID: <{self._way}.{number}@robot.example>", f"To: {OURS}", *lines]
            text = "\r\n".join([f"From: {sender}", *names, "", text, ""]).encode()
        await by_smtp(self._port, text, sender=sender, to=OURS)

    def _vacation(self, _number, mail, received):
        lines = [f"In-Reply-To: {mail['Message-ID']}", "Auto-Submitted: auto-replied", "Subject: Away"]
        return received.recipient, lines, HELLO

    def _answers(self, _number, mail, received):
        return received.recipient, [f"References: {mail['Message-ID']}", f"Subject: Re: {mail['Subject']}"], HELLO

    def _redirects(self, _number, _mail, received):
        return received.recipient, None, b"Received: from a by b; Mon, 5 Oct 2026 08:00:00 -0500\r\n" + received.data

    def _forwards(self, _number, mail, received):
        quoted = mail.get_body(("plain",)).get_content().replace("\n", "\r\n")
        return received.recipient, [f"Subject: Fwd: {mail['Subject']}"], f"Please see below.\r\n\r\n{quoted}"

    def _quotes(self, number, mail, _received):
        quoted = "\r\n> ".join(mail.get_body(("plain",)).get_content().splitlines())
        return f"case{number}@helpdesk.example", [f"Subject: Case {number}"], f"Case {number} is open.\r\n> {quoted}"

    def _tickets(self, number, mail, _received):
        return (
            f"case+{number}@helpdesk.example",
            [f"Subject: [{number}] Re: {mail['Subject']}"],
            f"No. {number}: {HELLO}",
        )

    def _strangers(self, number, _mail, _received):
        return f"case{number}@maple.example", [f"Subject: Ticket {number}"], f"You have ticket {number}."


WAYS = [name.removeprefix("_") for name in vars(Robot) if name[1:2].isalpha()]


async def until_quiet(books, relay, robot, seen):
    """Let the robot have every mail to a desk, until nobody sends anything."""
    for _ in range(MOST_ROUNDS):
        await books.settled()
        new, seen = relay.mails[seen:], len(relay.mails)
        if not new:
            return
        for mail in new:
            if mail.recipient in ADDRESSES.values():
                await robot(mail)
    raise AssertionError("it never ends")


@pytest.mark.case("M07")
async def test_loops_of_every_kind_stop(daemons, tmp_path, relay, collector, rounds, tally):
    """However the desks' program behaves, a message makes three mails at most, none to the family; people are told."""
    daemon = daemons(tmp_path, district(tmp_path, relay.port))
    await daemon.start()
    seeds = rounds(quick=1, long=5)
    books = Books(daemon, relay)
    for way in WAYS:
        robot, before = Robot(way, smtp_port(daemon.configuration)), len(relay.mails)
        for seed in range(seeds):
            said = f"{steer('transportation')}, about {way} {seed}"
            await by_form(daemon.url, {"name": "Ana Ruiz", "email": PARENT, "message": said})
        await until_quiet(books, relay, robot, before)
        made = len(relay.mails) - before
        tally(messages=seeds, mails_made=made, mails_by_robots=robot.sent)
        assert made <= MOST * seeds, f"{way}: {made}"
        assert robot.sent >= made
    assert {event["why"].partition(" (")[0] for event in daemon.events("message_held")} >= STOPPED
    assert [mail for mail in relay.mails if mail.recipient == PARENT] == []
    await until(lambda: collector.on_shelf(ALERTS), 30, "people are told")
    assert "is held" in collector.on_shelf(ALERTS)[0]["Subject"]
    [*_, last] = [event for event in daemon.events("message_held") if "alike" in event["why"]]
    explained = await daemon.command("explain", last["message_id"])
    assert "routing.loops.alike allows (2/h)" in explained.err
