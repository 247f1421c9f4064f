"""Automatic answers as they leave: over a real SMTP connection, and as a text through Twilio's API."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy

import pytest

from channels._mime import understand
from channels.smtp import SmtpSettings, SmtpSink
from channels.twilio_sms import TwilioSettings, TwilioSink
from router.answers.texts import Wording
from router.errors import Permanent, Retryable, Unclear
from router.testing_sinks import sample_answer, sample_context, sample_forward
from router.testing_smtp import DROP, smtp_server
from tests.integration.fake_twilio import ACCOUNT, TOKEN, fake_twilio

CONTACT = "contact@maplevalley.example"
PHONE = "+15555550111"


@pytest.fixture
async def server():
    """A mail server."""
    async with smtp_server() as double:
        yield double


@pytest.fixture
async def sink(server):
    """A sink that sends by it."""
    values = {"host": "127.0.0.1", "port": server.port, "tls": "none", "from": CONTACT}
    sink = SmtpSink(SmtpSettings.model_validate(values), sample_context())
    yield sink
    await sink.aclose()


async def test_the_envelope_and_the_headers_of_an_answer(server, sink):
    """MAIL FROM:<>, and in the header what RFC 3834 and Exchange want; it stands in the thread and quotes nothing."""
    await sink.send(sample_answer())
    [received] = server.mails
    mail = message_from_bytes(received.data, policy=policy.default)

    assert (received.sender, received.recipient) == ("<>", "ana@example.org")
    assert str(mail["From"]) == f"Maple Valley School District <{CONTACT}>"
    assert mail["To"] == "ana@example.org"
    assert mail["Subject"] == "We have received your message (message-1)"
    assert mail["Auto-Submitted"] == "auto-replied"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["In-Reply-To"] == mail["References"] == "<bus-12@example.org>"
    assert mail["Message-ID"] == "<answer-1@signpost.maplevalley.example>"
    assert mail["X-Signpost-Message"] == "message-1"
    others = {name for name in mail.keys() if name.startswith("X-Signpost-")} - {"X-Signpost-Message"}  # noqa: SIM118 -- a header's name may be there twice
    assert not others
    assert mail["Reply-To"] is None
    assert mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r\n", "\n") == "Thank you.\n\nCall 911.\n"


async def test_other_mail_on_the_same_connection_keeps_its_reverse_path(server, sink):
    """Reports on a forwarded message still come back to us."""
    for forward in (sample_forward(), sample_answer(), sample_forward(2)):
        await sink.send(forward)

    assert [mail.sender for mail in server.mails] == [CONTACT, "<>", CONTACT]
    assert server.sessions == 1


async def test_every_signpost_knows_an_answer_for_what_it_is(server, sink):
    """What we send would not be answered by ourselves, with its envelope or without."""
    await sink.send(sample_answer())
    [received] = server.mails

    assert understand(received.data, {}, "email").auto_submitted
    assert understand(received.data, {"envelope_from": ""}, "email").auto_submitted


async def test_other_languages_arrive_as_they_were_written(server, sink):
    """Accents in the subject, the text and the district's name."""
    wording = Wording("Distrito Escolar de Peñasco", ("es",), {})
    notice = wording.acknowledgement("es", "0WE28VGDH208", "Nutrición", urgent=False, sms=False)
    await sink.send(replace(sample_answer(), notice=notice, organization="Distrito Escolar de Peñasco"))
    mail = message_from_bytes(server.mails[0].data, policy=policy.default)

    assert server.mails[0].data.isascii()
    assert mail.get_content().replace("\r\n", "\n").strip() == notice.text
    assert "Peñasco" in str(mail["From"])


async def test_a_server_that_refuses_the_empty_reverse_path(server, sink):
    """The answer fails for good, or for itself alone: it never counts as trouble of the whole mail server."""
    server.mail_reply = "550 5.7.60 not allowed to send as this sender"
    with pytest.raises(Permanent, match="empty sender"):
        await sink.send(sample_answer())
    server.mail_reply = "451 4.7.1 later"
    with pytest.raises(Retryable) as later:
        await sink.send(sample_answer())
    assert not later.value.host
    server.mail_reply = ""
    await sink.send(sample_forward())

    assert len(server.mails) == 1


async def test_a_confirmation_that_was_lost(server, sink):
    """It may have arrived: what that means for an answer is for the retry policy to say."""
    server.answers = [DROP]
    with pytest.raises(Unclear):
        await sink.send(sample_answer())


@pytest.fixture
async def twilio(monkeypatch):
    """A double of Twilio."""
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", TOKEN)
    async with fake_twilio() as fake:
        yield fake


@pytest.fixture
async def line(twilio):
    """A text line that sends by it."""
    values = {"account_sid": ACCOUNT, "auth_token_env": "TWILIO_AUTH_TOKEN", "from_number": "+15555550100"}
    sink = TwilioSink(TwilioSettings.model_validate(values | {"api_base": twilio.base}), sample_context())
    yield sink
    await sink.aclose()


async def test_a_text_says_the_answer_and_nothing_else(twilio, line):
    """No subject, no link, no sender; an owner who wants no more texts gets none."""
    notice = Wording("Maple Valley", ("en",), {}).acknowledgement("en", "0WE28VGDH208", "Buses", urgent=True, sms=True)
    answer = replace(sample_answer(to=PHONE), notice=notice)
    await line.send(answer)
    with pytest.raises(Permanent, match="STOP"):
        await line.send(replace(answer, opted_out=True))

    [text] = twilio.messages
    assert (text["to"], text["from"], text["body"]) == (PHONE, "+15555550100", notice.text)
    assert "0WE28VGDH208" in text["body"]
