"""STOP, from the text to the list that outgoing texts are checked against (T04)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from channels import twilio_sms
from channels._mime import understand
from router.errors import Permanent
from router.records import Content, DeliveryState, Medium, Message, State
from router.routing.steps import OptOut
from router.store import messages, opt_outs
from router.store.codec import content_from_json, content_to_json
from router.testing import RecordingIntake
from router.testing_sinks import RecordingSink, sample_context, sample_forward
from router.understand_child import decode_content, encode_content
from tests.integration.fake_twilio import ACCOUNT, fake_twilio, mounted, post_text, text_parameters
from tests.unit.router.district import ByFirstWord, District

NUMBER = "+15555550111"
NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
LINE = {"account_sid": ACCOUNT, "auth_token_env": "TWILIO_AUTH_TOKEN", "from_number": "+15555550100"}


pytestmark = pytest.mark.usefixtures("twilio_token")


def said(keyword, minutes=0, sender=NUMBER, **content):
    """Return a message that says a keyword, some minutes later."""
    return Message(
        id="0WE28VGDH208",
        channel="text-line",
        medium=Medium.SMS,
        received_at=NOW + timedelta(minutes=minutes),
        content=Content(sender=sender, phone=sender.rpartition(":")[2], keyword=keyword, **content),
    )


async def opted_out(store, *addresses):
    return await store.read(lambda c: opt_outs.among(c, addresses or (NUMBER,)))


@pytest.mark.case("T04")
@pytest.mark.parametrize(
    ("words", "filed"),
    [("STOP", True), ("stop please", True), ("Alto", True), ("Por favor no me manden más mensajes", True),
     ("HELP", True), ("START", True), ("cancel my bus stop", False), ("stop the bus", False), ("yes", False)],
)  # fmt: skip
async def test_from_the_text_to_the_decision(words, filed):
    """Through the webhook, the understanding and the step: keywords are filed, everything else goes on."""
    intake, context = RecordingIntake(), sample_context(name="text-line")
    webhook = twilio_sms.TwilioWebhook(twilio_sms.TwilioSettings.model_validate(LINE), context)
    path = "/webhooks/text-line"
    async with mounted(webhook, intake.accept, path) as (http, url):
        assert await post_text(http, url, context.public_url + path, text_parameters(body=words)) == 200
    [inbound] = intake.taken.values()
    content = understand(inbound.original, inbound.facts, inbound.medium.value)
    message = replace(said(""), content=content)

    [answer] = await OptOut().decide([message])
    assert (answer is not None) is filed
    [answer] = await OptOut().decide([replace(message, released=True)])
    assert answer is None


def test_the_keyword_survives_the_child_and_the_store():
    """Both ways of writing a content down keep it."""
    content = Content(sender=NUMBER, keyword="stop")
    assert decode_content(encode_content(content)) == content
    assert content_from_json(content_to_json(content)) == content


@pytest.mark.case("T04")
async def test_the_last_word_of_a_number_counts(store):
    """STOP, START and STOP again, noted in whatever order they are decided; HELP changes nothing."""
    await store.write(lambda c: opt_outs.note(c, [said("stop", 5)]))
    assert await opted_out(store) == {NUMBER}
    await store.write(lambda c: opt_outs.note(c, [said("start", 3), said("help", 9)]))
    assert await opted_out(store) == {NUMBER}
    await store.write(lambda c: opt_outs.note(c, [said("start", 6)]))
    assert await opted_out(store) == set()
    await store.write(lambda c: opt_outs.note(c, [said("stop", 8), said("", 9)]))
    assert await opted_out(store) == {NUMBER}


async def test_one_telephone_is_one_wish(store):
    """Who left on WhatsApp gets no text message either; others and mail addresses aren't concerned."""
    await store.write(lambda c: opt_outs.note(c, [said("stop", sender=f"whatsapp:{NUMBER}")]))

    addresses = (NUMBER, f"whatsapp:{NUMBER}", "+15555550199", "+1@example.org", "office@example.org")
    assert await opted_out(store, *addresses) == {NUMBER, f"whatsapp:{NUMBER}"}


@pytest.mark.case("T04")
async def test_after_stop_nothing_is_sent(store, log, rng):
    """A STOP that was decided is on the list before anything else is sent, and the delivery waits for a person."""
    district = District(store, log, rng, steps=(OptOut(), ByFirstWord()), sink=RecordingSink())

    async def as_text(original, facts, _medium):
        return Content(sender=facts["sender"], phone=facts["sender"], text=original.decode(), keyword=facts["keyword"])

    district.understand = as_text
    message_id = await district.route("buses stop", sender="+15555550123", keyword="stop")
    assert await store.read(lambda c: messages.state_of(c, message_id)) is State.FILED

    await district.route("buses are late", sender=NUMBER, keyword="")
    [delivery] = await district.deliveries(await district.route("buses again", sender=NUMBER, keyword=""))
    assert delivery.state is DeliveryState.WAITING
    forwards = await store.read(
        lambda c: district.dispatcher.forwarding.load(c, [replace(delivery, to="+15555550123"), delivery])
    )
    assert [forward.opted_out for forward in forwards] == [True, False]


@pytest.mark.case("T04")
async def test_the_sink_sends_nothing_to_who_has_left():
    """Twilio isn't even asked."""
    async with fake_twilio() as twilio:
        settings = twilio_sms.TwilioSettings.model_validate(LINE | {"api_base": twilio.base})
        sink = twilio_sms.TwilioSink(settings, sample_context())
        with pytest.raises(Permanent, match="STOP"):
            await sink.send(sample_forward(to=NUMBER, opted_out=True))
        await sink.aclose()
        assert twilio.requests == []
