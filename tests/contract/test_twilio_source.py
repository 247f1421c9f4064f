"""What the webhook missed is found in Twilio's list: once, page by page, and with whatever hinders that."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from channels import twilio_sms
from channels._mime import understand
from channels._twilio_source import pause_s
from router.errors import SourceRejected, SourceUnavailable, StoreBusy
from router.interfaces import SystemClock, memory_cursors
from router.testing import RecordingIntake, SourceContract, assert_well_formed, until
from router.testing_sinks import sample_context
from tests.integration.fake_twilio import ACCOUNT, NUMBER, mounted, post_text

LINE = {"account_sid": ACCOUNT, "auth_token_env": "TWILIO_AUTH_TOKEN", "from_number": NUMBER, "reconcile": "20ms"}
PATH = "/webhooks/text-line"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def line(twilio):
    """Make the source of a channel that has looked before; made again it is the same one after a restart."""
    return Line(twilio)


class Line:
    """A channel's source, what it remembers, and what it takes in."""

    def __init__(self, twilio):
        self.twilio = twilio
        self.intake = RecordingIntake()
        self.troubles = []
        self.cursors = memory_cursors()
        self.settings = LINE | {"api_base": twilio.base}

    def source(self):
        """Return the source, as after a restart."""
        settings = twilio_sms.TwilioSettings.model_validate(self.settings)
        context = sample_context(name="text-line", cursor=self.cursors, on_trouble=self.troubles.append)
        return twilio_sms.TwilioSource(settings, context)

    async def known(self):
        """Let the position be the present."""
        now = self.twilio.now.isoformat()
        await self.cursors("texts").set({"from": now, "since": now})

    async def reached(self):
        """Return the position as a time by Twilio's clock."""
        return datetime.fromisoformat((await self.cursors("texts").get())["since"])

    @asynccontextmanager
    async def running(self):
        """Run the source meanwhile."""
        task = asyncio.create_task(self.source().run(self.intake.accept))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def look(self):
        """Look through the list, all of it, at least once."""
        self.twilio.now += timedelta(seconds=1)
        async with self.running():
            await self.looked()

    async def looked(self):
        """Wait until the position has reached the present."""
        asked = -1

        def have_been_asked():
            return len(self.twilio.requests) > asked

        while not await self.cursors("texts").get() or await self.reached() < self.twilio.now:
            await until(have_been_asked)
            asked = len(self.twilio.requests)


class TestTwilioSource(SourceContract):
    """The list is upstream; a text is acknowledged when the position has passed it."""

    channel = "text-line"

    @pytest.fixture(autouse=True)
    async def _line(self, line):
        self.line = line
        self.count = 0
        await line.known()

    def build(self, folder):
        return self.line.source()

    async def offer(self, text):
        self.count += 1
        twilio = self.line.twilio
        twilio.incoming(self.count, text)
        twilio.now += timedelta(seconds=1)
        await self.line.looked()


async def test_a_text_from_the_list_is_the_text_that_the_webhook_takes(line):
    """Sender, number, words, id and time are the same; the webhook's later call is a true copy."""
    await line.known()
    posted = line.twilio.incoming(7, "Bus 12 is late, ¿no?")
    sent_at = line.twilio.now
    await line.look()
    [inbound] = line.intake.taken.values()
    assert_well_formed(inbound, "text-line")
    content = understand(inbound.original, inbound.facts, inbound.medium.value)
    assert content.text.strip() == "Bus 12 is late, ¿no?"
    assert (content.sender, content.phone, content.recipient) == (posted["From"], posted["From"], NUMBER)
    assert (content.external_id, inbound.source_key) == (posted["MessageSid"], posted["MessageSid"])
    assert inbound.received_at == min(sent_at, inbound.received_at)
    context = sample_context(name="text-line")
    webhook = twilio_sms.TwilioWebhook(twilio_sms.TwilioSettings.model_validate(LINE), context)
    async with mounted(webhook, line.intake.accept, PATH) as (http, url):
        assert await post_text(http, url, context.public_url + PATH, posted) == 200
    assert len(line.intake.taken) == 1


async def test_the_first_look_takes_nothing(line):
    """What came before Signpost was somebody else's; what comes from then on is taken, after a restart, too.

    So it is if our clock is behind Twilio's.
    """
    line.twilio.now = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    line.twilio.incoming(1, "last year's")
    line.twilio.now += MINUTE
    await line.look()
    assert not line.intake.offered
    line.twilio.incoming(2, "today's")
    await line.look()
    assert [*line.intake.taken] == [f"SM{2:032x}"]


async def test_every_page_is_read_and_nothing_is_handed_in_twice(line):
    """Forty texts on pages of seven; what is listed again at the next looks isn't offered again."""
    await line.known()
    line.twilio.most_on_a_page = 7
    for number in range(1, 41):
        line.twilio.incoming(number, f"text {number}")
    async with line.running():
        await until(lambda: len(line.intake.taken) == 40)
        asked = len(line.twilio.requests)
        await until(lambda: len(line.twilio.requests) >= asked + 20)
    assert len(line.intake.offered) == 40
    assert not line.troubles


async def test_old_texts_are_not_paged_through(line):
    """A thousand texts of the same day that are older than the position cost one page."""
    line.twilio.most_on_a_page = 20
    for number in range(1, 1001):
        line.twilio.incoming(number, "old")
    line.twilio.now += timedelta(hours=3)
    await line.known()
    line.twilio.incoming(2000, "new")
    await line.look()
    assert [*line.intake.taken] == [f"SM{2000:032x}"]
    assert len(line.twilio.requests) <= 2 * 3  # a look or two, and a page more than what is new


async def test_a_text_that_is_listed_late_is_found(line):
    """The last quarter of an hour is looked at again each time."""
    await line.known()
    at = line.twilio.now
    line.twilio.now += 10 * MINUTE
    await line.look()
    line.twilio.now = at + MINUTE
    line.twilio.incoming(3, "late in the list")
    line.twilio.now = at + 11 * MINUTE
    await line.look()
    assert len(line.intake.taken) == 1


async def test_the_position_stays_until_all_is_stored(line):
    """The store is busy in the middle of the list: what wasn't stored is handed in at the next look."""
    await line.known()
    before = await line.reached()
    for number in range(1, 6):
        line.twilio.incoming(number, f"text {number}")
    line.twilio.now += MINUTE
    line.intake.failures = [StoreBusy("busy")] * 10
    async with line.running():
        await until(lambda: line.intake.calls >= 10)
        assert await line.reached() == before
    await line.look()
    assert len(line.intake.taken) == 5


async def test_only_texts_that_came_in_to_this_number_are_taken(line):
    """Not those that went out, that came to another number, or that aren't complete yet."""
    await line.known()
    line.twilio.incoming(1, "to another number", To="+15555550199")
    line.twilio.incoming(3, "sent by us")
    line.twilio.messages[-1]["direction"] = "outbound-api"
    line.twilio.incoming(4, "to us")
    line.twilio.incoming(2, "half a text")
    line.twilio.messages[-1]["status"] = "receiving"
    async with line.running():
        await until(lambda: len(line.twilio.requests) > 2)
    assert [*line.intake.taken] == [f"SM{4:032x}"]


async def test_a_messaging_service_has_several_numbers(line):
    """Texts to each of its senders are taken, whether or not the list names the service."""
    service = "MG" + "1" * 32
    line.settings |= {"from_number": service}
    line.twilio.services[service] = {"senders": ["+15555550100", "+15555550101", "24273"]}
    await line.known()
    for number, to in enumerate(("+15555550100", "+15555550101", "24273", "+15555550199"), 1):
        line.twilio.incoming(number, "hello", To=to)
    line.twilio.incoming(5, "hello", To="+15555550198", MessagingServiceSid=service)
    await line.look()
    assert [*line.intake.taken] == [f"SM{number:032x}" for number in (1, 2, 3, 5)]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 20003, SourceRejected),
        (403, 0, SourceRejected),
        (500, 0, SourceUnavailable),
        (429, 20429, SourceUnavailable),
    ],
)
async def test_twilio_refuses_the_list(line, status, code, kind):
    """Wrong credentials are a person's business; anything else is tried again. The position stays."""
    await line.known()
    line.twilio.failures = [(status, code, {})]
    with pytest.raises(kind, match=str(status)):
        await line.source().run(line.intake.accept)


@pytest.mark.parametrize(
    "following", [f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json?a=b", "//elsewhere.example/list", "//[bad"]
)
async def test_a_list_that_leads_nowhere_is_not_the_end(line, following):
    """A page that leads to itself, or to another host, is a failure, not a list without texts."""
    await line.known()
    line.twilio.next_page = following
    line.twilio.incoming(1, "hello")
    with pytest.raises(SourceUnavailable, match="can't be read"):
        await line.source().run(line.intake.accept)


async def test_a_clock_of_ours_that_is_wrong_misses_nothing(line):
    """The position is a time of Twilio's: a clock that is a year ahead changes nothing."""
    assert SystemClock().now().tzinfo is UTC
    line.twilio.now = datetime.now(UTC).replace(microsecond=0) - timedelta(days=365)
    await line.look()
    line.twilio.incoming(1, "hello")
    await line.look()
    [inbound] = line.intake.taken.values()
    assert message_from_bytes(inbound.original, policy=policy.default)["Date"].datetime.year == line.twilio.now.year


async def test_a_twilio_that_cannot_be_reached_is_tried_again(line, free_port):
    """No connection, or one that breaks off: the source is run again, and people are told that the webhook goes on."""
    line.settings |= {"api_base": f"http://127.0.0.1:{free_port}"}
    with pytest.raises(SourceUnavailable, match=r"refused.*by the webhook alone"):
        await line.source().run(line.intake.accept)


class Failing(RecordingIntake):
    """Takes everything but one text, for ever."""

    def __init__(self, sid):
        super().__init__()
        self.sid = sid

    async def accept(self, inbound):
        """Fail for that one."""
        if inbound.source_key == self.sid:
            raise ValueError(self.sid)
        return await super().accept(inbound)


async def test_a_text_that_always_fails_stops_nothing_else(line):
    """The others are taken, and their files follow; the position waits, so that nothing is passed over."""
    await line.known()
    before = await line.reached()
    line.intake = Failing(f"SM{1:032x}")
    line.twilio.incoming(1, "fails")
    line.twilio.incoming(2, "Look", ("image/jpeg", b"picture"))
    line.twilio.now += MINUTE
    async with line.running():
        await until(lambda: f"SM{2:032x}/files" in line.intake.taken)
    assert await line.reached() == before


def test_looks_that_leave_something_over_become_rarer():
    """A second at first, then twice as long each time, as rare as the others at most."""
    pauses = [pause_s(left_over, 120.0) for left_over in range(9)]
    assert pauses == [120, 1, 2, 4, 8, 16, 32, 64, 120]
    assert pause_s(5000, 120.0) == 120
    assert pause_s(3, 0.5) == 0.5


async def test_a_text_that_is_long_in_coming_is_not_passed_over(line):
    """It is "receiving" for 40 minutes, while others come: when it is whole, it is taken."""
    await line.known()
    line.twilio.incoming(1, "long in coming")
    line.twilio.messages[-1]["status"] = "receiving"
    for number in range(2, 6):
        line.twilio.now += 10 * MINUTE
        line.twilio.incoming(number, "another")
        async with line.running():
            await until(lambda sid=f"SM{number:032x}": sid in line.intake.taken)
            asked = len(line.twilio.requests)
            await until(lambda more=asked + 2: len(line.twilio.requests) >= more)
    assert f"SM{1:032x}" not in line.intake.taken
    line.twilio.messages[0]["status"] = "received"
    await line.look()
    assert f"SM{1:032x}" in line.intake.taken


async def test_a_text_that_never_becomes_whole_is_taken_as_it_is(line):
    """After an hour what there is of it is better than nothing, and the position goes on."""
    await line.known()
    line.twilio.incoming(1, "half a text")
    line.twilio.messages[-1]["status"] = "receiving"
    line.twilio.now += 61 * MINUTE
    await line.look()
    assert [*line.intake.taken] == [f"SM{1:032x}"]
