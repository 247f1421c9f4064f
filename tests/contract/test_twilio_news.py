"""What Twilio says later of texts that went out: late, twice, in any order, about strangers, and forged."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from channels import twilio_sms
from router.hearing import Hearing
from router.records import DeliveryKind, DeliveryState
from router.returns import Returns
from router.store import deliveries, tables
from router.testing import FakeClock, until
from router.testing_sinks import sample_context, sample_forward
from tests.integration.fake_twilio import ACCOUNT, NUMBER, TOKEN, fake_twilio, form_body, mounted, sign, text_parameters
from tests.unit.router.district import ALERTS, DESKS, District

PHONE, PATH = "+15555550123", "/webhooks/relay"
LINE = {"account_sid": ACCOUNT, "auth_token_env": "TWILIO_AUTH_TOKEN", "from_number": NUMBER}


pytestmark = pytest.mark.usefixtures("twilio_token")


@pytest.fixture
def clock():
    """Turned by hand."""
    return FakeClock()


@pytest.fixture
async def line(store, log, rng):
    """A district whose desk for buses is reached by text, and the channel's webhook."""
    async with fake_twilio() as twilio:
        settings = twilio_sms.TwilioSettings.model_validate(LINE | {"api_base": twilio.base, "timeout": "1s"})
        hearing = Hearing(store, Returns(ALERTS, DESKS, rng), lambda: None, log)
        context = sample_context(name="relay", clock=store.clock, hear=partial(hearing.hear, "relay"))
        sink = twilio_sms.TwilioSink(settings, context)
        district = District(store, log, rng, sink=sink)
        webhook = twilio_sms.TwilioWebhook(settings, context)
        async with mounted(webhook, district.accept, PATH) as (http, url):
            yield Line(twilio, district, http, url, context)
        await sink.aclose()


class Line:
    """Sends texts, and reports on them as Twilio does."""

    def __init__(self, twilio, district, http, url, context):
        self.twilio = twilio
        self.district = district
        self._http = http
        self._url = url
        self._known = context.public_url + PATH

    async def route(self):
        """Return the id of a delivery to a telephone that is due."""
        message_id = await self.district.route("buses are late")
        [delivery] = await self.district.deliveries(message_id)
        to = update(tables.deliveries).where(tables.deliveries.c.id == delivery.id).values(to=PHONE)
        await self.district.store.write(lambda c: c.execute(to))
        return delivery.id

    async def sent(self):
        """Return a delivery that Twilio has taken, and the text that it has."""
        number = await self.route()
        await self.district.dispatch()
        return await self.now(number), self.texts()[-1]

    def texts(self):
        """Return the texts that went to the telephone."""
        return [message for message in self.twilio.messages if message["to"] == PHONE]

    async def now(self, number):
        """Return a delivery as it is."""
        return await self.district.store.read(lambda c: deliveries.get(c, number))

    async def others(self, number):
        """Return what else is in the outbox: who is told, and who gets it instead."""
        found = await self.district.store.read(lambda c: deliveries.in_states(c, [*DeliveryState], 100))
        return [each for each in found if each.id != number]

    async def again(self):
        """Attempt what is due in two hours."""
        self.district.store.clock.advance(timedelta(hours=2))
        await self.district.dispatch()

    async def report(self, text, status, code="", *, token=TOKEN, query=None, known=None, **changes):
        """Post what became of a text where it says; return the answer's status."""
        parts = urlsplit(text["status_callback"])
        query = parts.query if query is None else query
        parameters = {"MessageSid": text["sid"], "MessageStatus": status, "To": text["to"], "AccountSid": ACCOUNT}
        parameters |= ({"ErrorCode": code} if code else {}) | changes
        signature = sign(known or f"{self._known}/status?{parts.query}", list(parameters.items()), token)
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        url, body = f"{self._url}/status?{query}", form_body(list(parameters.items()))
        async with self._http.post(url, data=body, headers=headers) as answer:
            return answer.status


@pytest.mark.case("T05")
async def test_what_arrived_stays_as_it_is(line, tally):
    """Good news, in any order and twice, changes nothing of a delivery that Twilio has confirmed."""
    delivery, text = await line.sent()
    assert urlsplit(text["status_callback"]).path == f"{PATH}/status"
    for status in ("delivered", "sent", "queued", "delivered", "read"):
        assert await line.report(text, status) == 204
    assert await line.now(delivery.id) == delivery
    assert delivery.state is DeliveryState.DELIVERED
    tally(messages=1, faults=5, lost=0, copies=len(line.texts()) - 1)


@pytest.mark.case("T05")
@pytest.mark.parametrize("code", ["21610", "30005"])
async def test_what_will_never_arrive_is_a_dead_letter(line, code, tally):
    """At once, with the code; operations are told and the fallback gets the message.

    The same again, or older news that comes late, changes nothing more.
    """
    delivery, text = await line.sent()
    assert await line.report(text, "undelivered", code) == 204
    dead = await line.now(delivery.id)
    others = await line.others(delivery.id)
    assert (dead.state, code in dead.last_error, dead.remote_id) == (DeliveryState.DEAD, True, text["sid"])
    assert {each.kind for each in others} == {DeliveryKind.ALERT, DeliveryKind.ROUTE}
    line.district.store.clock.advance(timedelta(days=3))
    for status, again in (("undelivered", code), ("failed", code), ("sent", ""), ("delivered", "")):
        assert await line.report(text, status, again) == 204
    assert await line.now(delivery.id) == dead
    assert await line.others(delivery.id) == others
    tally(messages=1, faults=5, lost=0, copies=len(line.texts()) - 1)


@pytest.mark.case("T05")
@pytest.mark.parametrize("code", ["30003", ""])
async def test_what_may_arrive_later_is_sent_again(line, code, tally):
    """Once, with a new text; what is said of the first one from then on doesn't count."""
    delivery, first = await line.sent()
    assert await line.report(first, "undelivered", code) == 204
    waits = await line.now(delivery.id)
    assert waits.state is DeliveryState.WAITING
    assert waits.next_attempt_at - line.district.store.clock.now() > timedelta(minutes=30)
    for status in ("undelivered", "sent", "delivered"):
        assert await line.report(first, status, code) == 204
    assert await line.now(delivery.id) == waits
    await line.again()
    sent = await line.now(delivery.id)
    assert (sent.state, sent.remote_id) == (DeliveryState.DELIVERED, line.texts()[1]["sid"])
    assert await line.report(first, "undelivered", code) == 204
    assert await line.now(delivery.id) == sent
    tally(messages=1, faults=5, lost=0, copies=len(line.texts()) - 2)


@pytest.mark.case("T05")
@pytest.mark.parametrize("status", ["queued", "delivered"])
async def test_news_ends_a_doubt(line, status, tally):
    """The answer was lost, and Twilio reports on the text: it has it, so nothing is sent again."""
    line.twilio.lose_answers = True
    number = await line.route()
    await line.district.dispatch()
    assert (await line.now(number)).unclear == 1
    [text] = line.texts()
    assert await line.report(text, status) == 204
    known = await line.now(number)
    assert (known.state, known.remote_id) == (DeliveryState.DELIVERED, text["sid"])
    await line.again()
    tally(messages=1, faults=1, ambiguous=1, lost=0, copies=len(line.texts()) - 1)
    assert len(line.texts()) == 1


@pytest.mark.case("T05")
async def test_news_ends_a_doubt_that_a_person_was_asked_about(line):
    """After two lost answers it is unclear; a report on the second attempt's text settles it."""
    line.twilio.lose_answers = True
    number = await line.route()
    await line.district.dispatch()
    line.twilio.messages.clear()  # the first never arrived after all
    await line.again()
    assert (await line.now(number)).state is DeliveryState.UNCLEAR
    assert await line.report(line.texts()[0], "delivered") == 204
    assert (await line.now(number)).state is DeliveryState.DELIVERED


@pytest.mark.case("T05")
async def test_a_doubt_may_end_badly(line):
    """The answer was lost and the text wasn't delivered: it is sent again, although Twilio has the first one."""
    line.twilio.lose_answers = True
    number = await line.route()
    await line.district.dispatch()
    line.twilio.lose_answers = False
    line.texts()[0]["status"] = "undelivered"
    assert await line.report(line.texts()[0], "undelivered", "30003") == 204
    assert await line.report(line.texts()[0], "sent") == 204  # late
    assert (await line.now(number)).state is DeliveryState.WAITING
    await line.again()
    known = await line.now(number)
    assert (known.state, known.remote_id) == (DeliveryState.DELIVERED, line.texts()[1]["sid"])


@pytest.mark.case("T05")
async def test_news_may_come_before_the_answer(line):
    """Twilio reports on a text before it has answered the request that made it: the answer changes nothing then."""
    line.twilio.keep_silent = True
    number = await line.route()
    sending = asyncio.create_task(line.district.dispatch())
    await until(line.texts)
    assert await line.report(line.texts()[0], "undelivered", "30005") == 204
    line.twilio.keep_silent = False
    line.twilio.let_go.set()
    await sending
    assert (await line.now(number)).state is DeliveryState.DEAD


@pytest.mark.case("T05")
@pytest.mark.parametrize(
    "changes",
    [
        {"MessageSid": "SM" + 32 * "f"},
        {"To": "+15555550199"},
        {"MessageStatus": "exploded"},
        {"query": "delivery=999999&attempt=1"},
        {"query": "delivery=x&attempt=1"},
        {"query": ""},
        {"query": "delivery=99999999999999999999&attempt=1"},
    ],
)
async def test_news_of_strangers_changes_nothing(line, changes, tally):
    """Signed, but about a text, a number or a delivery that isn't ours: taken, so that Twilio lets it be."""
    delivery, text = await line.sent()
    query = changes.get("query")
    known = None if query is None else f"https://contact.maplevalley.example{PATH}/status" + (query and f"?{query}")
    fields = {name: value for name, value in changes.items() if name != "query"}
    assert await line.report(text, "undelivered", "30005", query=query, known=known, **fields) == 204
    assert await line.now(delivery.id) == delivery
    assert not await line.others(delivery.id)
    tally(messages=1, faults=1, lost=0, unexpected=0)


@pytest.mark.case("T05")
@pytest.mark.parametrize(
    "forged",
    [
        {"token": "another-token"},
        {"query": "delivery=2&attempt=1"},
        {"known": f"https://contact.maplevalley.example{PATH}"},
        {"known": f"http://contact.maplevalley.example{PATH}/status"},
    ],
)
async def test_forged_news_is_refused(line, forged, tally):
    """Another token, another delivery than the signed address names, another address: 403, and nothing changes."""
    delivery, text = await line.sent()
    assert await line.report(text, "undelivered", "30005", **forged) == 403
    assert await line.now(delivery.id) == delivery
    tally(messages=1, faults=1, lost=0, unexpected=0)


async def test_a_text_cannot_be_posted_where_news_go(line):
    """The signature of one address is no good at the other."""
    parameters = text_parameters()
    known = f"https://contact.maplevalley.example{PATH}"
    stranger = {"status_callback": "?", "sid": parameters["MessageSid"], "to": PHONE}
    assert await line.report(stranger, "received", query="", known=known, **parameters) == 403


@asynccontextmanager
async def sent_by(forward, public_url="https://contact.maplevalley.example", **changes):
    """Send one text and yield what Twilio was asked."""
    async with fake_twilio() as twilio:
        settings = twilio_sms.TwilioSettings.model_validate(LINE | {"api_base": twilio.base} | changes)
        sink = twilio_sms.TwilioSink(settings, sample_context(public_url=public_url))
        await sink.send(forward)
        await sink.aclose()
        yield SimpleNamespace(**twilio.messages[0])


@pytest.mark.parametrize(
    ("changes", "public_url"),
    [({"status_callbacks": False}, "https://contact.maplevalley.example"), ({}, "http://127.0.0.1:8080")],
)
async def test_where_nobody_asks_for_news(changes, public_url):
    """Switched off, or at an address that Twilio can't reach and would refuse."""
    async with sent_by(sample_forward(to=PHONE), public_url, **changes) as text:
        assert text.status_callback == ""
