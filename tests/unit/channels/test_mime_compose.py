"""Rendering what a form or a text said as a message."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from channels._mime import Upload, compose, mail_id, understand

AT = datetime(2026, 9, 1, 12, 30, tzinfo=UTC)
HOSTILE = st.text(max_size=60) | st.sampled_from(
    [
        "a\r\nBcc: evil@x.y",
        "a\0b",
        "=?utf-8?q?x?=",
        "\ud800",
        "é" * 50,
        '"quoted" \\ name',
        "\u202egpj.exe",
        "a\u2028b",
        " ",
    ]
)


def test_a_form_reads_back_as_it_was_filled_in():
    """Name, address, subject, text and files survive rendering and understanding."""
    original = compose(
        text="El autobús llegó tarde.\nGracias",
        date=AT,
        subject="Autobús 12",
        sender="ana@example.org",
        sender_name="Ana Ruíz",
        message_id="form.1@district.example",
        fields={"phone": "+15555550111"},
        uploads=[
            Upload("nota é.pdf", "application/pdf", b"\0\1\2"),
            Upload("../x.eml", "message/rfc822", b"Subject: x\n\nx"),
        ],
    )
    content = understand(original, {}, "web_form")
    assert (content.sender, content.sender_name, content.subject) == ("ana@example.org", "Ana Ruíz", "Autobús 12")
    assert content.text == "El autobús llegó tarde.\nGracias"
    assert content.external_id == mail_id(original) == "<form.1@district.example>"
    assert [(item.name, item.content_type, item.size) for item in content.attachments] == [
        ("nota é.pdf", "application/pdf", 3),
        ("x.eml", "application/octet-stream", 13),
    ]
    assert b"\r\nX-Field-Phone: +15555550111\r\n" in original
    assert content.unreadable == ""


def test_without_an_address_there_is_no_from():
    """A From header is only written for an e-mail address."""
    assert b"From:" not in compose(text="Late", date=AT, sender="+15555550111", sender_name="Ana")


def test_the_same_arguments_give_the_same_bytes():
    """Rendering depends on nothing but its arguments, so that a repeated hand-over is a true copy."""
    files = [Upload("a.txt", "text/plain", b"x")]
    assert compose(text="x", date=AT, uploads=files) == compose(text="x", date=AT, uploads=files)


@given(
    text=st.text(max_size=2000),
    subject=HOSTILE,
    sender=HOSTILE,
    name=HOSTILE,
    recipient=HOSTILE,
    message_id=HOSTILE,
    fields=st.dictionaries(HOSTILE, HOSTILE, max_size=3),
    files=st.lists(st.builds(Upload, HOSTILE, HOSTILE, st.binary(max_size=200)), max_size=2),
)
def test_nothing_typed_reaches_a_header_as_a_line(text, subject, sender, name, recipient, message_id, fields, files):
    """Whatever is typed: 7-bit, CRLF only, no NUL, lines below 998, and only the headers that we meant to write."""
    original = compose(
        text=text,
        date=AT,
        subject=subject,
        sender=sender,
        sender_name=name,
        recipient=recipient,
        message_id=message_id,
        fields=fields,
        uploads=files,
    )
    assert original.isascii()
    assert b"\0" not in original
    assert b"\n" not in original.replace(b"\r\n", b"")
    assert b"\r" not in original.replace(b"\r\n", b"")
    assert max(map(len, original.split(b"\r\n"))) <= 998
    parsed = email.message_from_bytes(original, policy=email.policy.compat32)
    ours = {"from", "to", "subject", "date", "message-id", "mime-version", "content-type", "content-transfer-encoding"}
    assert {key.lower() for key in parsed.keys() if not key.startswith("X-Field-")} <= ours  # noqa: SIM118 - a Message
    assert len(parsed.get_payload()) == 1 + len(files) if files else isinstance(parsed.get_payload(), str)


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=500), subject=HOSTILE)
def test_text_survives(text: str, subject: str):
    """Any text without control characters reads back as it was, but for blanks at its ends."""
    assert understand(compose(text=text, date=AT, subject=subject), {}, "sms").text == text.strip()
