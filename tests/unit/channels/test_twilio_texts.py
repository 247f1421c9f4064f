"""What a text becomes on its way in, and what a message becomes on its way out as a text."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict

from channels._mime import understand
from channels._twilio_request import inbound_of
from channels._twilio_text import LONGEST, text_of
from router.records import Medium
from router.testing import assert_well_formed
from router.testing_sinks import sample_alert, sample_content, sample_forward
from tests.integration.fake_twilio import text_parameters

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
LINK = "https://contact.maplevalley.example/m/token-1"


def inbound(**changes):
    return inbound_of(MultiDict(text_parameters(**changes)), channel="text-line", host="d.example", now=NOW)


def understood(**changes):
    found = inbound(**changes)
    return understand(found.original, found.facts, found.medium.value)


def test_a_text_is_understood():
    """Sender, number written to, words and id are where the rest of the program looks for them."""
    found = inbound(body="Bus 12 is late\nagain, ¿no?")
    content = understood(body="Bus 12 is late\nagain, ¿no?")

    assert_well_formed(found, "text-line")
    assert (found.medium, found.source_key) == (Medium.SMS, "SM" + "0" * 31 + "1")
    assert content.text.strip() == "Bus 12 is late\nagain, ¿no?"
    assert (content.sender, content.phone, content.recipient) == ("+15555550111", "+15555550111", "+15555550100")
    assert (content.external_id, content.reply_to, content.keyword) == (found.source_key, "", "")
    assert (content.unreadable, content.attachments) == ("", ())


def test_the_original_holds_every_parameter():
    """New ones that Twilio adds without notice, too; the words themselves are the body."""
    parameters = MultiDict([*text_parameters(body="Hello").items(), ("Brand-New", "x"), ("Twice", "a"), ("Twice", "b")])
    found = inbound_of(parameters, channel="text-line", host="d.example", now=NOW)
    mail = message_from_bytes(found.original, policy=policy.default)

    assert (mail["X-Field-From"], mail["X-Field-Fromstate"]) == ("+15555550111", "IL")
    assert (mail["X-Field-Brand-New"], mail["X-Field-Twice"]) == ("x", "a, b")
    assert mail.get_content().strip() == "Hello"


def test_a_number_on_whatsapp_is_kept_as_it_is():
    """It is the sender's address there, and the same telephone."""
    content = understood(From="whatsapp:+15555550111", To="whatsapp:+15555550100", ProfileName="Ana Ruiz")

    assert (content.sender, content.sender_name) == ("whatsapp:+15555550111", "Ana Ruiz")
    assert (content.phone, content.recipient) == ("+15555550111", "whatsapp:+15555550100")


def test_a_short_code_is_no_telephone():
    """Nobody can call it."""
    assert (understood(From="24273").sender, understood(From="24273").phone) == ("24273", "")


def test_files_are_noted():
    """How many and of which kind; where they are stands in the original."""
    media = {"NumMedia": "2", "MediaUrl0": "https://api.twilio.com/a", "MediaContentType0": "image/jpeg",
             "MediaUrl1": "https://api.twilio.com/b", "MediaContentType1": "image/jpeg"}  # fmt: skip

    assert understood(body="", **media).text.strip() == "(2 files, kept by Twilio: image/jpeg)"
    assert understood(body="Look", **media).text.split("\n")[0] == "Look"
    assert b"X-Field-Mediaurl1: https://api.twilio.com/b" in inbound(**media).original
    assert understood(NumMedia="many").text.strip() == "Hello"


@pytest.mark.parametrize(
    ("body", "changes", "keyword"),
    [
        ("Alto", {}, "stop"),
        ("HELP", {}, "help"),
        ("cancel my bus stop", {}, ""),
        ("ADIOS", {"OptOutType": "STOP"}, "stop"),
    ],
)
def test_keywords_are_noted(body, changes, keyword):
    """For the step that files them."""
    assert understood(body=body, **changes).keyword == keyword


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=60), max_size=6), st.text(max_size=200))
def test_no_parameter_makes_trouble(more, body):
    """Whatever stands in them: facts are JSON, the original is a mail, and no line of it is somebody else's header."""
    parameters = MultiDict({**more, "MessageSid": "SM1", "From": "+15555550111", "Body": body})
    found = inbound_of(parameters, channel="text-line", host="d.example", now=NOW)

    assert_well_formed(found, "text-line")
    head = found.original.partition(b"\r\n\r\n")[0].decode("ascii")
    names = {line.partition(":")[0] for line in head.split("\r\n") if line[0] not in " \t"}
    known = {"Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"}
    assert {name for name in names if not name.startswith("X-Field-")} <= known


def test_a_department_reads_the_message_and_the_link():
    """Who wrote, about what, in which words, and where to send it on."""
    assert text_of(sample_forward(school_name="Lincoln Elementary")) == (
        "Transportation: message from Ana Ruiz, ana@example.org\n"
        "School: Lincoln Elementary\n"
        "Subject: Bus 12\n\n"
        "The bus was late again.\n\n"
        f"Not yours? Send it on: {LINK}"
    )


@pytest.mark.case("T06")
@pytest.mark.parametrize("body", ["x" * 1601, "🚌" * 40, "ñ" * 1600 + "🚌"])
def test_a_long_text_comes_in_whole(body):
    """1,601 characters, 40 emoji: every one of them is in the original, and in what is read of it."""
    assert understood(body=body).text.strip() == body


@pytest.mark.case("T06")
def test_forty_emoji_go_out_whole():
    """They fit, so nothing is cut."""
    message = replace(sample_forward().message, content=sample_content(text="🚌" * 40))
    assert f"\n\n{'🚌' * 40}\n\n" in text_of(sample_forward(message=message))


@pytest.mark.case("T06")
@pytest.mark.parametrize("text", ["word " * 1000, "🚌" * 2000, "x" * 5000, "x" * 1601])
def test_a_long_message_is_cut_and_the_link_is_whole(text):
    """At most 1,600 characters as Twilio counts them, and no half characters."""
    forward = sample_forward()
    content = sample_content(text=text, subject="S" * 900)
    long = text_of(sample_forward(message=type(forward.message)(
        id="m", channel="c", medium=Medium.SMS, received_at=NOW, content=content)))  # fmt: skip

    assert len(long.encode("utf-16-le")) // 2 <= LONGEST
    assert len(long) > LONGEST // 2 - 100
    assert "…" in long
    assert long.endswith(LINK)


def test_an_alert_says_what_it_is_about():
    """Subject and text of the notice."""
    assert text_of(sample_alert()) == "A delivery was given up\n\nOne message waits for a person."


@given(st.text(max_size=3000), st.text(max_size=300))
def test_whatever_is_written_fits(text, subject):
    """Never longer than Twilio takes, and always text that can be sent."""
    forward = sample_forward()
    content = sample_content(text=text, subject=subject)
    message = type(forward.message)(id="m", channel="c", medium=Medium.SMS, received_at=NOW, content=content)
    found = text_of(sample_forward(message=message))

    assert len(found.encode("utf-16-le")) // 2 <= LONGEST
    assert found.endswith(LINK)
    json.dumps(found).encode()


def test_an_urgent_alert_says_what_its_link_is_for():
    """However long the message is, the link is whole and stands at the end, with what it means to open it."""
    link = "https://contact.maplevalley.example/u/token-2"
    about = replace(sample_forward().message, content=sample_content(text="she never came home. " * 300))
    alert = sample_alert()
    urgent = replace(alert, message=about, notice=replace(alert.notice, url=link))
    text = text_of(urgent)
    assert text.endswith(f"Open this to say that you have it: {link}")
    assert len(text) <= LONGEST
