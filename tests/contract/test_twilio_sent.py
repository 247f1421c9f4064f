"""What became of texts that went out, where Twilio said so while no daemon ran: its list still knows."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text as sql
from sqlalchemy import update

from channels import twilio_sms
from router.errors import StoreBusy
from router.hearing import Hearing
from router.interfaces import memory_cursors
from router.records import DeliveryKind, DeliveryState
from router.returns import Returns
from router.store import reports, tables
from router.testing import FakeClock, RecordingIntake, until
from router.testing_sinks import sample_context
from tests.contract.test_twilio_news import LINE, Line
from tests.integration.fake_twilio import fake_twilio
from tests.unit.router.district import ALERTS, DESKS, District

pytestmark = pytest.mark.usefixtures("twilio_token")


@pytest.fixture
def clock():
    """Turned by hand."""
    return FakeClock()


@pytest.fixture
async def line(store, log, rng):
    """A district whose desk for buses is reached by text; its web server is away, so that nobody hears of a text."""
    async with fake_twilio() as twilio:
        hearing = Hearing(store, Returns(ALERTS, DESKS, rng), lambda: None, log)
        hear = partial(hearing.hear, "relay")
        context = sample_context(name="relay", clock=store.clock, cursor=memory_cursors(), hear=hear)
        sink = twilio_sms.TwilioSink(settings(twilio), context)
        made = Line(twilio, District(store, log, rng, sink=sink), None, "", context)
        made.context = context
        yield made
        await sink.aclose()


def settings(twilio, **changes):
    """Return the line's settings; it looks all the time."""
    values = LINE | {"api_base": twilio.base, "timeout": "1s", "reconcile": "5ms"} | changes
    return twilio_sms.TwilioSettings.model_validate(values)


@asynccontextmanager
async def a_daemon(line, *, ago=timedelta(hours=1), context=None, **changes):
    """Run the line's source, whose last look was so long ago by Twilio's clock."""
    context = context or line.context
    since = (line.twilio.now - ago).isoformat()
    await context.cursor("texts").set({"from": since, "since": since})
    source = twilio_sms.TwilioSource(settings(line.twilio, **changes), context)
    running = asyncio.create_task(source.run(RecordingIntake().accept))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def looked(line, times=20):
    """Return when the list has been asked for so often again: of eight looks one is at what went out."""
    asked = len(line.twilio.requests)
    await until(lambda: len(line.twilio.requests) >= asked + times)


def fails(text, code, status="undelivered"):
    """Let a text come to nothing at Twilio."""
    text.update(status=status, error_code=code)


@pytest.mark.case("T05")
async def test_a_text_that_failed_while_the_daemon_was_down_was_taken_for_delivered(line, tally):
    """A number that is gone makes it a dead letter; people are told, the fallback gets the message: once each."""
    delivery, text = await line.sent()
    fails(text, 30005)
    for _restart in range(2):
        async with a_daemon(line):
            await looked(line)
    found = await line.now(delivery.id)
    assert (found.state, "doesn't exist any more" in found.last_error) == (DeliveryState.DEAD, True)
    others = await line.others(delivery.id)
    assert sorted((each.kind, each.to) for each in others) == [
        (DeliveryKind.ALERT, "it@district.example"),
        (DeliveryKind.ROUTE, "office@district.example"),
    ]
    tally(messages=1, lost=0, copies=0)


@pytest.mark.case("T05")
async def test_a_telephone_that_was_off_gets_the_text_again(line, tally):
    """Once for each time that Twilio says so; the list still has the first text, which changes nothing any more."""
    delivery, first = await line.sent()
    fails(first, 30003, "failed")
    async with a_daemon(line):
        await looked(line)
    assert (await line.now(delivery.id)).state is DeliveryState.WAITING
    await line.again()
    assert len(line.texts()) == 2
    async with a_daemon(line):
        await looked(line)
    found = await line.now(delivery.id)
    assert (found.state, found.remote_id) == (DeliveryState.DELIVERED, line.texts()[-1]["sid"])
    tally(messages=1, lost=0, copies=0)


async def test_a_key_that_may_not_list_what_went_out_takes_in_all_the_same(line):
    """It is said of the channel, and the looks at what came in go on: ended by it, there would be one look alone."""
    line.twilio.lists_sent, told = False, []
    async with a_daemon(line, context=replace(line.context, on_trouble=told.append)):
        await looked(line, 40)
    assert any("sent can't be read" in each and "403" in each for each in told)


async def test_what_twilio_delivered_or_nobody_knows_changes_nothing(line):
    """Texts that arrived or are under way, those of other numbers, of other programs, and automatic answers."""
    delivery, text = await line.sent()
    text["status"] = "sent"
    line.twilio.messages += [
        text | {"sid": "SM" + "e" * 32, "status": "failed", "error_code": 30005},  # sent by hand, or by another program
        text | {"from": "+15555550199", "status": "failed"},
        text | {"direction": "inbound", "status": "failed"},
        text | {"to": "+15555550144", "status": "failed"},
    ]
    async with a_daemon(line):
        await looked(line)
    assert (await line.now(delivery.id)).state is DeliveryState.DELIVERED
    kind = update(tables.deliveries).where(tables.deliveries.c.id == delivery.id).values(kind="answer")
    await line.district.store.write(lambda c: c.execute(kind))
    fails(text, 30005)
    async with a_daemon(line):
        await looked(line)
    assert (await line.now(delivery.id)).state is DeliveryState.DELIVERED
    assert await line.others(delivery.id) == []


async def test_what_was_sent_long_ago_is_left_alone(line):
    """A day before the last look, a week at most: what Twilio says of older texts changes nothing."""
    delivery, text = await line.sent()
    fails(text, 30005)
    line.twilio.now += timedelta(days=8)
    async with a_daemon(line, ago=timedelta(days=8)):
        await looked(line)
    assert (await line.now(delivery.id)).state is DeliveryState.DELIVERED
    line.twilio.now -= timedelta(days=2)
    async with a_daemon(line, ago=timedelta(days=6)):  # as long as that nobody was there
        await looked(line)
    assert (await line.now(delivery.id)).state is DeliveryState.DEAD


async def test_who_wants_no_news_gets_none(line):
    """With `status_callbacks: false` the list of what went out isn't read."""
    delivery, text = await line.sent()
    fails(text, 30005)
    async with a_daemon(line, status_callbacks=False):
        await looked(line)
    assert (await line.now(delivery.id)).state is DeliveryState.DELIVERED


async def test_a_store_that_is_busy_hears_of_it_later(line):
    """News that can't be noted now is told again at the next look."""
    delivery, text = await line.sent()
    fails(text, 30005)
    line.twilio.now += timedelta(hours=1)
    heard = []

    async def busy(news):
        heard.append(news)
        if len(heard) == 1:
            raise StoreBusy("not now")
        return await line.context.hear(news)

    async with a_daemon(line, context=replace(line.context, hear=busy)):
        await looked(line, 40)
    assert (await line.now(delivery.id)).state is DeliveryState.DEAD
    assert len(heard) == 2


async def test_a_name_is_found_by_an_index(sqlite_store):
    """However many deliveries there are: none of those by mail is looked at."""
    statement = str(reports._CONFIRMED.compile(compile_kwargs={"literal_binds": False}))
    plan = sql("EXPLAIN QUERY PLAN " + statement).bindparams(name="SM1", by="relay", param_1=1)
    rows = await sqlite_store.read(lambda c: c.execute(plan).all())
    assert "ix_deliveries_named" in rows[0].detail
