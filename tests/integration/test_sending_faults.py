"""Answers lost, refusals of every kind and bad lines between the outbox and a real mail server: counted to the end."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

import pytest

from channels.smtp import SmtpSettings, SmtpSink
from router.records import DeliveryKind, DeliveryState, Destination
from router.store import deliveries
from router.testing import FakeClock
from router.testing_sinks import sample_context
from router.testing_smtp import SmtpServer, smtp_server
from tests.integration.proxy import Proxy
from tests.unit.router.district import District

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


@dataclass(slots=True)
class Choosy(SmtpServer):
    """A mail server that answers some recipients in its own way."""

    replies: dict[str, str] = field(default_factory=dict)

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        """Answer RCPT TO."""
        self.recipient_reply = self.replies.get(address, "")
        return await SmtpServer.handle_RCPT(self, server, session, envelope, address, options)


@pytest.fixture
def clock():
    """Turned by hand."""
    return FakeClock(NOW)


class Sending(District):
    """A district whose relay is a real mail server; time passes when `pass_time` says so."""

    async def pass_time(self, seconds, step=60):
        """Let time pass, and attempt what becomes due."""
        for _ in range(max(1, round(seconds / step))):
            self.store.clock.advance(step)
            await self.dispatch()

    async def states(self):
        """Return how many routed deliveries are in each state."""
        return Counter(each.state.value for each in await self._all() if each.kind is DeliveryKind.ROUTE)

    async def revive(self, state):
        """Send again what is in a state, as `signpost deliveries retry --all` does."""
        now = self.store.clock.now()
        for delivery in await self.store.read(lambda c: deliveries.in_states(c, [state], 10_000)):
            await self.store.write(lambda c, i=delivery.id: deliveries.revive(c, i, now))
        await self.dispatch()

    async def alerts(self):
        """Return how many people have been told."""
        return sum(each.kind is DeliveryKind.ALERT for each in await self._all())

    async def _all(self):
        return await self.store.read(lambda c: deliveries.in_states(c, list(DeliveryState), 100_000))


@pytest.fixture
def sending(sqlite_store, log, rng):
    """Return what makes a district that sends to a port."""

    @asynccontextmanager
    async def make(port, **settings):
        values = {"host": "127.0.0.1", "port": port, "tls": "none", "from": "router@district.example", **settings}
        sink = SmtpSink(SmtpSettings.model_validate(values), sample_context())
        try:
            yield Sending(sqlite_store, log, rng, sink=sink)
        finally:
            await sink.aclose()

    return make


def ids_at(server, recipient=""):
    """Return how often each Message-ID arrived at a recipient, or at any."""
    mails = [mail for mail in server.mails if recipient in mail.recipient and "it@" not in mail.recipient]
    return Counter(message_from_bytes(mail.data, policy=default)["Message-ID"] for mail in mails)


# --- lost answers -----------------------------------------------------------------------------------------------------


@pytest.mark.case("N01")
async def test_a_confirmation_that_is_lost_once_costs_one_copy(sending, rounds, tally):
    """The line swallows the 250 and breaks: one more try with the same Message-ID, and it is delivered."""
    count = rounds(quick=5, long=500)
    async with smtp_server() as server, Proxy(server.port) as line, sending(line.port, connections=1) as district:
        for number in range(count):
            line.swallows = 1
            await district.route(f"buses {number}")
            await district.dispatch()
            await district.pass_time(60)
        assert line.swallowed == count
        assert await district.states() == {"delivered": count}
        arrived = ids_at(server)
    assert (len(arrived), set(arrived.values())) == (count, {2})
    tally(messages=count, faults=count, ambiguous=count, lost=count - len(arrived), copies=arrived.total() - count)


@pytest.mark.case("N01")
async def test_after_two_lost_confirmations_a_person_is_asked(sending, rounds, tally):
    """It isn't tried a third time in a day, people are told, and one command sends it again, as the same mail."""
    count = rounds(quick=2, long=100)
    async with smtp_server() as server, Proxy(server.port) as line, sending(line.port, connections=1) as district:
        for number in range(count):
            line.swallows = 2
            await district.route(f"buses {number}")
            await district.dispatch()
            await district.pass_time(300)  # while answers are lost the server is asked ever more seldom
        assert line.swallowed == 2 * count
        await district.pass_time(86_400, step=3_600)
        assert await district.states() == {"unclear": count}
        assert set(ids_at(server).values()) == {2}
        assert await district.alerts() >= 1
        await district.revive("unclear")
        assert await district.states() == {"delivered": count}
        arrived = ids_at(server)
    assert (len(arrived), set(arrived.values())) == (count, {3})
    tally(messages=count, faults=2 * count, ambiguous=2 * count, lost=count - len(arrived))
    tally(copies=2 * count)  # the third was ordered by a person


@pytest.mark.case("N01")
async def test_where_every_confirmation_is_lost_few_are_sent_in_vain(sending, tally):
    """Of 60 messages that are due a handful is sent without an answer; the others wait, and arrive once afterwards."""
    async with smtp_server() as server, Proxy(server.port) as line, sending(line.port, connections=1) as district:
        line.swallows = 1_000
        for number in range(60):
            await district.route(f"buses {number}")
        await district.dispatch()
        await district.pass_time(300)
        lost, line.swallows = line.swallowed, 0
        assert 5 <= lost <= 15
        await district.pass_time(3 * 3_600, step=120)
        states, arrived = await district.states(), ids_at(server)
    assert states["delivered"] + states["unclear"] == len(arrived) == 60
    assert max(arrived.values()) == 2
    tally(messages=60, faults=lost, ambiguous=lost, lost=60 - len(arrived), copies=arrived.total() - 60)


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.case("N03")
async def test_greylisting_for_two_hours_delays_and_nothing_else(sending, tally):
    """450 to every attempt: each is tried ever more seldom, and arrives once when it is let in."""
    async with smtp_server() as server, sending(server.port) as district:
        server.recipient_reply = "450 4.7.1 greylisted, try again later"
        for number in range(5):
            await district.route(f"buses {number}")
        await district.dispatch()
        await district.pass_time(7_200)
        asked = sum(command.startswith("RCPT") for command in server.commands)
        assert 5 * 6 <= asked <= 5 * 12  # waits double from half a minute
        server.recipient_reply = ""
        await district.pass_time(7_200, step=600)
        assert await district.states() == {"delivered": 5}
        assert set(ids_at(server).values()) == {1}
    tally(messages=5, faults=asked, lost=0, copies=0)


@pytest.mark.case("N03")
async def test_of_two_recipients_the_refused_one_alone_is_tried_again(sending, sqlite_store, tally):
    """One is taken and one put off, then refused for good: the first gets the mail once, people hear of the second."""
    async with smtp_server(double=Choosy()) as server, sending(server.port) as district:
        server.replies["meals@district.example"] = "450 4.2.1 busy"
        message_id = await district.route("buses for two desks")
        [first] = await district.deliveries(message_id)
        second = Destination(via="relay", to="meals@district.example")
        await sqlite_store.write(
            lambda c: deliveries.add(
                c, [second], kind=DeliveryKind.ROUTE, now=NOW, message_id=message_id, decision_id=first.decision_id
            )
        )
        await district.dispatch()
        await district.pass_time(600)
        assert await district.states() == {"delivered": 1, "waiting": 1}
        server.replies["meals@district.example"] = "550 5.1.1 no such user"
        await district.pass_time(3_600, step=600)
        assert await district.states() == {"delivered": 1, "dead": 1}
        assert set(ids_at(server, "buses@").values()) == {1}
        assert [mail.recipient for mail in server.mails].count("it@district.example") == 1
    tally(messages=1, faults=2, lost=0, copies=0)


@pytest.mark.case("N03")
async def test_a_quota_is_waited_for_by_all_and_ends_nothing(sending, clock, tally):
    """A daily limit that a mail hears of as 550: nothing is given up, and all wait together instead of asking each."""
    async with smtp_server() as server, sending(server.port) as district:
        server.answers = ["550 5.4.5 Daily user sending limit exceeded"] * 100
        for number in range(40):
            await district.route(f"buses {number}")
        await district.dispatch()
        await district.pass_time(3_600)
        refused = 100 - len(server.answers)
        assert await district.states() == {"waiting": 40}
        assert 5 <= refused <= 75  # once a minute or so: 40 deliveries alone would have asked 300 times
        server.answers.clear()
        await district.pass_time(4 * 3_600, step=120)
        assert await district.states() == {"delivered": 40}
        assert set(ids_at(server).values()) == {1}
    tally(messages=40, faults=refused, lost=0, copies=0)


@pytest.mark.case("N04")
@pytest.mark.parametrize(("reply", "days"), [("550 5.1.1 no such user", 0), ("552 5.2.2 mailbox full", 6)])
async def test_a_mailbox_that_is_gone_or_full_makes_a_dead_letter(reply, days, sending, tally):
    """At once or after five days, people are told; one command sends it when the mailbox is mended, once."""
    async with smtp_server(double=Choosy()) as server, sending(server.port) as district:
        server.replies["buses@district.example"] = reply
        await district.route()
        await district.dispatch()
        await district.pass_time(days * 86_400 + 60, step=3_600 if days else 60)
        assert await district.states() == {"dead": 1}
        await district.pass_time(60)
        assert [mail.recipient for mail in server.mails] == ["it@district.example"]
        server.replies.clear()
        await district.revive("dead")
        assert await district.states() == {"delivered": 1}
        assert ids_at(server).total() == 1
    tally(messages=1, faults=1, lost=0, copies=0)


# --- bad lines --------------------------------------------------------------------------------------------------------


@pytest.mark.case("N05")
async def test_a_server_that_offers_no_encryption_any_more_gets_nothing(sending, tally):
    """STARTTLS has been taken away on the line: it waits for days, and not one command about a mail goes out."""
    async with smtp_server() as server, Proxy(server.port) as line, sending(line.port, tls="starttls") as district:
        await district.route()
        await district.dispatch()
        await district.pass_time(2 * 86_400, step=3_600)
        assert await district.states() == {"waiting": 1}
        assert server.commands == []
        assert line.connections >= 10
    tally(messages=1, faults=line.connections, lost=0)


@pytest.mark.case("N09")
async def test_a_bad_line_is_slower_and_right(sending, rng, rounds, tally):
    """Bytes come in crumbs, and connections break at random places: each message arrives as it was, few twice.

    A copy is made only where a connection broke after the last dot, and it is the same mail. Where that happened
    twice, a person is asked, and sends it again.
    """
    count = rounds(quick=15, long=400)
    async with smtp_server() as server, Proxy(server.port) as line, sending(line.port, connections=2) as district:
        line.slices = lambda: rng.choice((1, 7, 100, 1_000))
        line.cuts = [rng.randint(1, 6_000) for _ in range(count)]
        cuts = len(line.cuts)
        for number in range(count):
            await district.route(f"buses {number} {'x' * rng.randint(0, 3_000)}")
        await district.dispatch()
        await district.pass_time(3_600, step=30)
        assert line.cuts == []
        states = await district.states()
        assert states["delivered"] + states["unclear"] == count
        await district.revive("unclear")
        assert await district.states() == {"delivered": count}
        arrived = ids_at(server)
    copies = arrived.total() - count
    assert len(arrived) == count
    assert max(arrived.values()) <= 3
    tally(messages=count, faults=cuts, ambiguous=copies, lost=count - len(arrived), copies=copies)
