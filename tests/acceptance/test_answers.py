"""Automatic answers end where they should: programs that answer everything, and two Signposts that write each other."""

from __future__ import annotations

import re
from email import message_from_bytes, policy

import pytest

from router.testing_smtp import smtp_server
from tests.acceptance.daemon import free_port, until
from tests.acceptance.district import ADDRESSES, district, smtp_port, steer
from tests.acceptance.senders import by_form, by_smtp, form_message

BUSES = ADDRESSES["transportation"]
ROBOT = "machine@home.example"
MOST_ROUNDS = 12  # of mail to and fro: a loop would need more


class PostOffice:
    """Hands mails on: `takers` maps a recipient to what is done with a mail for it."""

    def __init__(self, takers):
        self.takers = takers
        self.servers = {}  # a daemon's mail server, and how many of its mails were handed on
        self.carried = []

    async def until_quiet(self):
        """Hand on what the daemons send until nobody sends anything."""
        for _ in range(MOST_ROUNDS):
            new = []
            for daemon, server in self.servers.items():
                await until(lambda daemon=daemon: _idle(daemon), 60, daemon.output)
                new += server.mails[sum(mail in self.carried for mail in server.mails) :]
            if not new:
                return
            self.carried += new
            for mail in new:
                if taker := self.takers.get(mail.recipient):
                    await taker(mail)
        raise AssertionError("it never ends")

    def to(self, recipient):
        """Return the mails for one recipient, parsed, each with its envelope sender."""
        found = [mail for mail in self.carried if mail.recipient == recipient]
        return [(mail.sender, message_from_bytes(mail.data, policy=policy.default)) for mail in found]


async def _idle(daemon):
    ledger = await daemon.status()
    waits = (ledger["messages"]["undecided"], ledger["deliveries"]["waiting"], ledger["answers"]["waiting"])
    return None if any(waits) else ledger


def machine(address, port, to):
    """Return a taker that answers everything at once, and says nothing of being a program."""

    async def answer(received):
        mail = message_from_bytes(received.data, policy=policy.default)
        data = letter(address, to, "Thank you, we have got your mail!", number=mail["Message-ID"].strip("<>"))
        await by_smtp(port, f"In-Reply-To: {mail['Message-ID']}\r\n".encode() + data, sender=address, to=to)

    return answer


def letter(sender, to, text, number="first"):
    """Return a mail as a person's program writes it."""
    lines = [f"From: {sender}", f"To: {to}", "Subject: Hello", f"Message-ID: <re.{number}@x>", "", text, ""]
    return "\r\n".join(lines).encode()


@pytest.fixture
async def acknowledging(daemons, tmp_path, relay):
    """A daemon whose mailbox acknowledges."""
    configuration = district(tmp_path, relay.port)
    configuration["channels"]["mail-in"]["acknowledge"] = True
    daemon = daemons(tmp_path, configuration)
    await daemon.start()
    return daemon


@pytest.mark.case("M07")
async def test_a_machine_that_answers_everything_gets_one_answer(acknowledging, relay):
    """It writes, gets our acknowledgement, answers that; what it says goes to a desk, and nothing more to it."""
    daemon, port = acknowledging, smtp_port(acknowledging.configuration)
    office = PostOffice({ROBOT: machine(ROBOT, port, "contact@maple.example")})
    office.servers[daemon] = relay
    await by_smtp(port, letter(ROBOT, "contact@maple.example", steer("transportation")), sender=ROBOT)
    await office.until_quiet()

    [(reverse_path, answer)] = office.to(ROBOT)
    assert reverse_path == "<>"
    assert answer["Auto-Submitted"] == "auto-replied"
    assert "Transportation" in answer.get_content()
    assert "Thank you" not in answer.get_content()
    ledger = await daemon.status()
    assert ledger["messages"]["received"] == ledger["messages"]["routed"] == 2
    assert ledger["answers"] == {"waiting": 0, "delivered": 1, "dropped": 0}
    assert [event["why"] for event in daemon.events("answer_withheld")] == ["answered within a day"]
    reference = re.search(r"\((\w{12})\)", answer["Subject"])[1]
    assert (await daemon.ask("messages", "show", reference))["state"] == "routed"


@pytest.mark.case("M07")
async def test_a_desk_that_answers_everything_is_told_once(acknowledging, relay, ledger):
    """Its reply to our forwarded mail is held and answered, its reply to that is held: the family gets nothing."""
    daemon, port = acknowledging, smtp_port(acknowledging.configuration)
    office = PostOffice({BUSES: machine(BUSES, port, "contact@maple.example")})
    office.servers[daemon] = relay
    _token, fields = form_message(ledger, BUSES, steer("transportation"))
    await by_form(daemon.url, fields)
    await office.until_quiet()

    (_own, forwarded), (reverse_path, told) = office.to(BUSES)
    assert forwarded["X-Signpost-Misroute"]
    assert (reverse_path, told["Subject"]) == ("<>", "Your reply did not reach the family")
    assert "directly: ana@home.example" in told.get_content()
    stands = await daemon.status()
    assert (stands["messages"]["routed"], stands["messages"]["held"]) == (1, 2)
    assert stands["answers"]["delivered"] == 1
    assert office.to("ana@home.example") == []


@pytest.mark.case("M07")
async def test_two_signposts_that_write_each_other(daemons, tmp_path, relay, collector):
    """Each district's desk is the other's mailbox, both acknowledge: the family gets one answer, and that is all."""
    async with smtp_server(port=free_port()) as other_relay:
        office, contacts = PostOffice({}), ("contact@maple.example", "contact@oak.example")
        for name, server, own, other in (
            ("maple", relay, *contacts),
            ("oak", collector.add(other_relay), *reversed(contacts)),
        ):
            configuration = district(tmp_path / name, server.port)
            configuration["channels"]["mail-in"]["acknowledge"] = True
            configuration["channels"]["relay"]["from"] = own
            for desk in configuration["departments"].values():
                desk["deliver"] = [{"via": "relay", "to": other}]
            daemon = daemons(tmp_path / name, configuration)
            await daemon.start()
            port = smtp_port(configuration)
            office.servers[daemon] = server
            office.takers[own] = lambda mail, port=port: by_smtp(port, mail.data, sender=_path(mail), to=mail.recipient)
        first = next(iter(office.servers))
        data = letter("ana@home.example", contacts[0], steer("transportation"))
        await by_smtp(smtp_port(first.configuration), data, to=contacts[0])
        await office.until_quiet()

        assert len(office.to("ana@home.example")) == 1
        ledgers = [await daemon.status() for daemon in office.servers]
        assert [stands["answers"]["delivered"] for stands in ledgers] == [1, 0]
        assert sum(stands["messages"]["received"] for stands in ledgers) <= 3


def _path(mail):
    return mail.sender.strip("<>")
