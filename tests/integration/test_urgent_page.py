"""The link in an urgent alert from end to end: what GET shows, and that only POST says "I have it"."""

from __future__ import annotations

import pytest

from router.forwarding import ACKNOWLEDGE, MISROUTE
from router.store import alarms
from router.testing_sinks import RecordingSink
from tests.integration.test_misroute_page import post, row_counts
from tests.unit.router.alarms import THEN, alarmed, alerts, escalation, notes
from tests.unit.router.district import RING
from tests.unit.router.web.site import LogLines, serving

TEXT = "buses <b>Ana</b> is missing since three"


@pytest.fixture
async def district(sqlite_store, log, rng):
    """A district in which "missing" is urgent."""
    return alarmed(sqlite_store, log, rng, sink=RecordingSink())


@pytest.fixture
async def message_id(district):
    """An urgent message whose alert was sent."""
    message_id = await district.route(TEXT, sender="ana@home.example")
    await district.dispatch()
    return message_id


@pytest.fixture
async def lines():
    """The log of the web application."""
    return LogLines()


@pytest.fixture
async def client(sqlite_store, lines):
    """The web application."""
    async with serving(sqlite_store, log=lines) as opened:
        yield opened


def link_of(alert):
    """Return the path of an alert's link."""
    return f"/u/{RING.sign(str(alert.id), ACKNOWLEDGE)}"


@pytest.fixture
async def link(sqlite_store, message_id):
    """The link in the alert to the safety desk."""
    return link_of((await alerts(sqlite_store, message_id))[0])


async def test_the_alert_carries_the_link_that_opens_the_page(district, message_id, client):
    """What was sent holds an address that the application answers, with the one button."""
    sent = next(f for f in district.dispatcher._sink.sent if f.notice is not None)
    answer = await client.get(sent.notice.url.removeprefix("https://d.example"))
    assert answer.status == 200
    assert (await answer.text()).count("<button") == 1


async def test_looking_changes_nothing(client, link, sqlite_store):
    """A scanner that opens the link fifty times, GET and HEAD, leaves every table as it was."""
    before = await row_counts(sqlite_store)
    for _ in range(50):
        assert (await client.get(link)).status == 200
        assert (await client.head(link)).status == 200
    assert await row_counts(sqlite_store) == before


async def test_the_page_shows_the_essentials_and_escapes_them(client, link, message_id):
    """Why, who, where to and the words; no script, not to be kept, not to be indexed."""
    answer = await client.get(link)
    text = await answer.text()
    for shown in (
        message_id,
        "child missing",
        "ana@home.example",
        "goes to Buses",
        "&lt;b&gt;Ana&lt;/b&gt; is missing",
    ):
        assert shown in text
    assert "<b>Ana" not in text
    assert "<script" not in text
    assert answer.headers["Cache-Control"] == "no-store"
    assert "noindex" in answer.headers["X-Robots-Tag"]


async def test_one_post_acknowledges_and_a_second_changes_nothing(client, link, message_id, sqlite_store, lines):
    """The first form ends the alarm; the same again shows the same page and writes nothing."""
    answer = await post(client, link)
    assert answer.status == 303
    assert "You have it" in await (await client.get(answer.headers["Location"])).text()
    after = await row_counts(sqlite_store)
    first = await sqlite_store.read(lambda c: alarms.get(c, message_id))
    assert (await post(client, link)).status == 303
    assert await row_counts(sqlite_store) == after
    assert await sqlite_store.read(lambda c: alarms.get(c, message_id)) == first
    assert [event for event, _facts in lines.lines].count("urgent_acknowledged") == 1


async def test_the_others_see_who_has_it(client, link, district, message_id, sqlite_store, log):
    """Who opens the second link learns that it is taken care of, finds no button, and was sent a short note."""
    # `AFTER` hasn't passed: the alert is told to the next as if it had
    passing_on = escalation(sqlite_store, log, THEN[:1])
    passing_on._after *= 0
    assert await passing_on.run_once() == 1
    await district.dispatch()
    _first, second = await alerts(sqlite_store, message_id)

    await post(client, link)

    text = await (await client.get(link_of(second))).text()
    assert "safety@district.example</strong> has had this message" in text
    assert "<button" not in text
    assert [to for to, _subject in await notes(sqlite_store)] == ["principal@district.example"]
    assert (await post(client, link_of(second))).status == 303
    alarm = await sqlite_store.read(lambda c: alarms.get(c, message_id))
    assert alarm.acknowledged_by == _first.id


async def test_a_link_for_another_purpose_or_a_forged_one_is_refused(client, message_id, sqlite_store, link):
    """A misroute link's token, one with a letter changed, and one of a delivery that is no alert open nothing."""
    [alert] = await alerts(sqlite_store, message_id)
    wrong = f"/u/{RING.sign(str(alert.id), MISROUTE)}"
    assert (await client.get(wrong)).status == 403
    assert (await post(client, wrong)).status == 403
    assert (await post(client, link[:-2] + ("aa" if link[-2:] != "aa" else "bb"))).status == 403
    assert (await post(client, f"/u/{RING.sign('999', ACKNOWLEDGE)}")).status == 404
    assert (await sqlite_store.read(lambda c: alarms.get(c, message_id))).over_at is None


async def test_a_form_of_another_site_is_refused(client, link, sqlite_store, message_id):
    """A page elsewhere can't press the button for somebody."""
    answer = await post(client, link, headers={"Origin": "https://evil.example"})
    assert answer.status == 403
    assert (await sqlite_store.read(lambda c: alarms.get(c, message_id))).over_at is None
