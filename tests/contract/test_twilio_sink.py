"""Texts that go out: what is asked of Twilio, and what its answers, and lost ones, mean."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from channels import twilio_sms
from router.again import with_remark
from router.errors import Permanent, Retryable, Unclear
from router.testing_sinks import sample_alert, sample_context, sample_forward
from tests.integration.fake_twilio import ACCOUNT, TOKEN

TO = "+15555550123"
pytestmark = pytest.mark.usefixtures("twilio_token")


def build(base, **changes):
    values = {"account_sid": ACCOUNT, "auth_token_env": "TWILIO_AUTH_TOKEN", "from_number": "+15555550100"}
    values |= {"api_base": base, **changes}
    return twilio_sms.TwilioSink(twilio_sms.TwilioSettings.model_validate(values), sample_context())


@pytest.fixture
async def sink(twilio):
    """A sink that sends to the double."""
    sink = build(twilio.base)
    yield sink
    await sink.aclose()


def forward(to=TO, **changes):
    found = sample_forward(to=to)
    return replace(found, delivery=replace(found.delivery, **changes))


async def test_a_text_is_sent_and_its_sid_is_remembered(twilio, sink):
    """To and from are as configured, and the delivery gets Twilio's id."""
    assert await sink.send(forward()) == twilio.messages[0]["sid"]
    assert (twilio.messages[0]["to"], twilio.messages[0]["from"]) == (TO, "+15555550100")
    assert "The bus was late again." in twilio.messages[0]["body"]


async def test_whatsapp_and_messaging_services(twilio, sink):
    """A number on WhatsApp is written to from WhatsApp; a Messaging Service chooses the number itself."""
    service = build(twilio.base, from_number="MG" + "0" * 32)
    await sink.send(forward(f"whatsapp:{TO}"))
    await service.send(forward())
    await service.aclose()

    assert (twilio.messages[0]["to"], twilio.messages[0]["from"]) == (f"whatsapp:{TO}", "whatsapp:+15555550100")
    assert (twilio.messages[1]["messaging_service_sid"], twilio.messages[1]["from"]) == ("MG" + "0" * 32, None)


@pytest.mark.case("T05")
@pytest.mark.parametrize("code", [21211, 21610, 21614, 21635, 30004, 30005, 30006, 30007])
async def test_what_is_wrong_with_the_recipient_is_permanent(twilio, sink, code):
    """Nobody is asked twice; the reason holds the code and no number."""
    twilio.failures.append((400, code, {}))
    with pytest.raises(Permanent, match=str(code)) as caught:
        await sink.send(forward())
    assert "555" not in str(caught.value)
    assert twilio.requests == ["POST"]


@pytest.mark.case("T05")
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, 20429),
        (400, 30001),
        (400, 30003),
        (500, 20500),
        (503, 0),
        (401, 20003),
        (400, 21606),
        (404, 20404),
        (302, 0),
    ],
)
async def test_what_time_or_a_person_can_mend_is_tried_again(twilio, sink, status, code):
    """By the outbox, later, and never by this attempt itself."""
    twilio.failures.append((status, code, {}))
    with pytest.raises(Retryable) as caught:
        await sink.send(forward())
    assert "555" not in str(caught.value)
    assert twilio.requests == ["POST"]
    assert not twilio.messages


async def test_twilio_says_how_long_to_wait(twilio, sink):
    """Retry-After is handed on."""
    twilio.failures.append((429, 20429, {"Retry-After": "90"}))
    with pytest.raises(Retryable) as caught:
        await sink.send(forward())
    assert caught.value.retry_after == 90


async def test_an_error_in_a_kind_answer_counts(twilio, sink):
    """A text that Twilio took and failed at once is no delivered text."""
    twilio.error_code = 30005
    with pytest.raises(Permanent):
        await sink.send(forward())


async def test_a_wrong_token_can_be_mended(twilio, sink, monkeypatch):
    """401 is tried again, and the token is read afresh each time."""
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "old")
    with pytest.raises(Retryable, match="20003"):
        await sink.send(forward())
    monkeypatch.delenv("TWILIO_AUTH_TOKEN")
    with pytest.raises(Retryable, match="TWILIO_AUTH_TOKEN isn't set"):
        await sink.send(forward())
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    await sink.send(forward())
    assert len(twilio.messages) == 1


@pytest.mark.case("T05")
async def test_a_lost_answer_is_unclear_and_looked_for(twilio, sink, tally):
    """Twilio took the text and the connection died: the next attempt finds it instead of sending it twice."""
    twilio.lose_answers = True
    with pytest.raises(Unclear):
        await sink.send(forward())
    twilio.lose_answers = False

    assert await sink.send(forward(unclear=1, attempts=2)) == twilio.messages[0]["sid"]
    assert twilio.requests == ["POST", "GET"]
    tally(messages=1, faults=1, ambiguous=1, lost=0, copies=len(twilio.messages) - 1)
    assert len(twilio.messages) == 1


async def test_a_text_that_a_process_died_over_is_looked_for(twilio, sink):
    """It may have been posted; Twilio knows."""
    await sink.send(forward())
    assert await sink.send(forward(lost_leases=1, attempts=2)) == twilio.messages[0]["sid"]
    assert len(twilio.messages) == 1


async def test_an_answer_that_does_not_come_is_unclear(twilio):
    """Our own time-out ends the wait."""
    twilio.keep_silent = True
    sink = build(twilio.base, timeout="1s", connect_timeout="1s")
    with pytest.raises(Unclear):
        await sink.send(forward())
    await sink.aclose()
    assert len(twilio.messages) == 1


async def test_what_never_arrived_is_sent_again(twilio, sink):
    """Looking finds other texts, older ones with the same words, and not this one."""
    await sink.send(forward(to="+15555550199"))
    twilio.messages.append(twilio.messages[0] | {"to": TO, "date_created": "Tue, 01 Sep 2020 12:00:00 +0000"})
    await sink.send(forward(unclear=1))

    assert twilio.requests == ["POST", "GET", "POST"]
    assert [message["to"] for message in twilio.messages[2:]] == [TO]


async def test_what_twilio_did_not_deliver_is_sent_again(twilio, sink):
    """A text with the same words that Twilio has as undelivered is no sign that this one arrived."""
    await sink.send(forward())
    twilio.messages[0]["status"] = "undelivered"
    assert await sink.send(forward(unclear=1)) == twilio.messages[1]["sid"]


async def test_a_text_is_looked_for_on_every_page(twilio, sink):
    """Somebody on duty got a hundred other texts since."""
    await sink.send(forward())
    twilio.messages += [twilio.messages[0] | {"sid": f"SM{number}", "body": "another"} for number in range(100)]
    twilio.most_on_a_page = 20
    assert await sink.send(forward(unclear=1)) == twilio.messages[0]["sid"]
    assert twilio.requests.count("POST") == 1


async def test_nothing_is_sent_while_twilio_cannot_be_asked(twilio, sink):
    """An unclear text waits until it is known what became of it."""
    twilio.failures.append((500, 0, {}))
    with pytest.raises(Retryable, match="can't be asked"):
        await sink.send(forward(unclear=1))
    assert not twilio.messages


async def test_no_connection_is_no_doubt(free_port):
    """What was never sent is simply tried again."""
    sink = build(f"http://127.0.0.1:{free_port}")
    with pytest.raises(Retryable, match="refused"):
        await sink.send(forward())
    await sink.aclose()


async def test_a_server_that_does_not_take_connections_is_no_doubt():
    """A full backlog: the time-out of connecting ends it, and nothing was sent."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        sink = build(f"http://127.0.0.1:{server.getsockname()[1]}", connect_timeout="300ms", timeout="20s")
        with pytest.raises(Retryable, match="no connection in time"):
            await sink.send(forward())
        await sink.aclose()
        for filler in fillers:
            filler.close()


async def test_other_destinations_are_permanent(twilio, sink):
    """Nothing is asked for them."""
    with pytest.raises(Permanent):
        await sink.send(forward("office@example.org"))
    assert twilio.requests == []


async def test_an_alert_is_a_text_too(twilio, sink):
    """People on duty can be told by text."""
    await sink.send(sample_alert(to=TO))
    assert twilio.messages[0]["body"].startswith("A delivery was given up")


async def test_an_alert_of_before_a_restore_was_sent_twice(twilio, sink):
    """The remark that it may be a repetition made another text of it: it is looked for as it was sent, too."""
    alert = sample_alert(to=TO)
    assert alert.notice is not None
    sid = await sink.send(alert)
    again = replace(alert, notice=replace(alert.notice, text=with_remark(alert.notice.text)))
    assert await sink.send(again) == sid
    other = replace(alert, notice=replace(alert.notice, text=with_remark("Another message waits.")))
    assert await sink.send(other) != sid
    assert await sink.send(other) == twilio.messages[-1]["sid"]
    assert len(twilio.messages) == 2


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("account_sid", "SK0123", "account_sid"),
        ("from_number", "5555550100", "must be a telephone number"),
        ("api_base", "http://api.twilio.example", "https"),
        ("api_base", "api.twilio.com", "must be an address"),
        ("auth_token_env", "", "auth_token_env"),
    ],
)
def test_typical_mistakes_in_the_settings(key, value, why):
    """Each is told by a sentence."""
    with pytest.raises(ValueError, match=why):
        build(**({"base": "https://api.twilio.com"} | {key: value}))
