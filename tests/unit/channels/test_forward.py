"""The forwarded mail: what departments read, and what programs rely on."""

from __future__ import annotations

import email
import email.policy
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import pytest

from channels._forward import can_be_spliced, compose, is_address
from channels._wording import MARKER, language_name, phone_words, shorten, strip_footer, sureness
from router.records import Attachment, Forward, Medium, Notice, Reason
from router.testing_sinks import sample_alert, sample_content, sample_forward

SENDER = "router@maplevalley.example"


def parsed(forward: Forward) -> EmailMessage:
    message = email.message_from_bytes(compose(forward, sender=SENDER), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def text_of(forward: Forward, kind: str = "plain") -> str:
    part = parsed(forward).get_body((kind,))
    assert part is not None
    return part.get_content().replace("\r\n", "\n")


def with_content(medium: Medium = Medium.EMAIL, **changes: Any) -> Forward:
    forward = sample_forward()
    assert forward.message is not None
    return replace(forward, message=replace(forward.message, medium=medium, content=sample_content(**changes)))


def with_decision(**changes: Any) -> Forward:
    forward = sample_forward()
    assert forward.decision is not None
    return replace(forward, decision=replace(forward.decision, **changes))


def test_the_headers_of_an_ordinary_mail():
    """A forwarded mail has exactly these headers (CONTRACT section 4)."""
    mail = parsed(sample_forward())
    assert dict(mail.items()) == {
        "From": "Ana Ruiz via Maple Valley School District <router@maplevalley.example>",  # as the parser writes it
        "To": "transportation@maplevalley.example",
        "Reply-To": "ana@example.org",
        "Subject": "Bus 12",
        "Message-ID": "<delivery-1@signpost.maplevalley.example>",
        "References": "<bus-12@example.org>",
        "Date": "Tue, 01 Sep 2026 12:30:00 +0000",
        "X-Auto-Response-Suppress": "OOF, AutoReply",
        "X-Signpost-Message": "message-1",
        "X-Signpost-Department": "transportation",
        "X-Signpost-Reason": "model",
        "X-Signpost-Confidence": "0.93",
        "X-Signpost-Misroute": "https://contact.maplevalley.example/m/token-1",
        "MIME-Version": "1.0",
        "Content-Type": mail["Content-Type"],
    }
    assert mail.get_content_type() == "multipart/mixed"
    raw = compose(sample_forward(), sender=SENDER)
    assert raw.startswith(b'From: "Ana Ruiz via Maple Valley School District"\r\n <router@maplevalley.example>\r\nTo: ')


def test_a_retry_sends_the_same_bytes():
    """The mail is a pure function of the delivery."""
    forward = sample_forward()
    again = replace(forward, delivery=replace(forward.delivery, attempts=5, fence=9))
    assert compose(forward, sender=SENDER) == compose(again, sender=SENDER)


def test_a_message_with_two_matters_names_who_else_has_it():
    """Each department's mail says so, and bears its own department's name in the header."""
    forward = with_decision(also=("food-services",))
    main = replace(forward, also=("Food Services",))
    assert "Also sent to: Food Services\n" in text_of(main)
    assert parsed(main)["X-Signpost-Department"] == "transportation"
    copy = replace(main, also=("Transportation",), delivery=replace(main.delivery, department="food-services"))
    assert "Also sent to: Transportation\n" in text_of(copy)
    assert parsed(copy)["X-Signpost-Department"] == "food-services"
    assert "Also sent to" not in text_of(sample_forward())


def test_suspected_spam_is_marked_whoever_suspects_it():
    """Also where the model does, not the channel."""
    doubted = with_decision(reason=Reason.ABSTAINED, detail="suspicious: it is mostly links")
    assert "Careful, this may not be genuine: it is mostly links." in text_of(doubted)


def test_what_the_person_wrote_comes_first():
    """The words open the mail; marker, facts and link follow."""
    text = text_of(replace(sample_forward(), school_name="Lincoln Elementary"))
    assert text.startswith("The bus was late again.\n\n" + MARKER + "\n")
    for line in (
        "From: Ana Ruiz, ana@example.org",
        "Channel: e-mail (contact)",
        "Received: Tuesday, 1 September 2026, 7:30 am",
        "School: Lincoln Elementary",
        "Language: English",
        "Why: the wording of the message",
        "Confidence: fairly sure (93%)",
        "Not yours? Send it on: https://contact.maplevalley.example/m/token-1",
    ):
        assert line in text.splitlines()


def test_html_says_the_same_and_escapes():
    """The HTML part shows the person's words as text, and the link."""
    html = text_of(with_content(text="<script>alert(1)</script>\nsecond & last\n"), "html")
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;<br>second &amp; last" in html
    assert 'href="https://contact.maplevalley.example/m/token-1"' in html


def test_a_text_says_that_replying_is_in_vain():
    """A text message opens with its number and has no Reply-To."""
    forward = with_content(
        Medium.SMS, sender="+15555550111", sender_name="", reply_to="", phone="+15555550111", subject="",
        text="Where is bus 12? It is 20 minutes late and my son is waiting alone",
    )  # fmt: skip
    mail = parsed(forward)
    assert mail["Reply-To"] is None
    assert mail["Subject"] == "Text from +1 555 555 0111: Where is bus 12? It is 20 minutes late and my son is…"
    assert mail["From"] == "+1 555 555 0111 via Maple Valley School District <router@maplevalley.example>"
    assert text_of(forward).startswith(
        "Text from +1 555 555 0111. Replying to this mail does not reach the family: call or text them.\n\nWhere"
    )


def test_a_form_with_a_phone_only_says_so_too():
    """A web form without an e-mail address is answered by phone."""
    forward = with_content(Medium.WEB_FORM, sender="", reply_to="", phone="+15555550111")
    assert text_of(forward).startswith("Web form from +1 555 555 0111. Replying to this mail does not reach the family")


def test_a_message_from_nobody_says_so():
    """Without any way to answer the mail says that no address is known."""
    text = text_of(with_content(sender="", sender_name="", reply_to="", phone=""))
    assert text.startswith("Mail from Someone. Replying to this mail does not reach the sender: no address is known.")


def test_urgent_is_marked_everywhere():
    """Subject, header, text and a red band in the HTML."""
    forward = with_decision(urgent="a child has not come home")
    mail = parsed(forward)
    assert mail["Subject"] == "[URGENT] Bus 12"
    assert mail["X-Signpost-Urgent"] == "yes"
    assert text_of(forward).startswith("URGENT: a child has not come home\n")
    assert "background:#b00020" in text_of(forward, "html")


def test_no_confidence_no_header():
    """Where no probability stood behind the decision, none is claimed."""
    forward = with_decision(reason=Reason.RULE, confidence=None, detail="payroll-line")
    assert "X-Signpost-Confidence" not in parsed(forward)
    assert "Confidence" not in text_of(forward)
    assert "Why: a rule of the district (payroll-line)" in text_of(forward)


def test_abstaining_names_the_likeliest():
    """An abstained message names the other likely departments, never the one that got it."""
    forward = replace(
        with_decision(reason=Reason.ABSTAINED, department="front-office", confidence=0.41),
        suggestions=(("attendance", "Attendance"), ("front-office", "Front Office"), ("safety", "Safety")),
    )
    text = text_of(forward)
    assert "Why: the model wasn't sure; likeliest: Attendance, Safety\n" in text
    link = forward.misroute_url
    assert f"Other likely departments:\n  Attendance: {link}?to=attendance\n  Safety: {link}?to=safety\n" in text
    assert "Confidence: not enough (41%)" in text


def test_the_likely_departments_were_only_names():
    """In the HTML each is a link to the page with that department chosen; without a page they are names."""
    forward = replace(
        with_decision(reason=Reason.ABSTAINED, department="front-office"),
        suggestions=(("attendance", "Attendance"), ("safety", "Safety & <Security>")),
    )
    html = " ".join(text_of(forward, "html").split())
    link = forward.misroute_url
    assert (
        f'Other likely departments: <a href="{link}?to=attendance" style="color:#0b57a4">Attendance</a>, '
        f'<a href="{link}?to=safety" style="color:#0b57a4">Safety &amp; &lt;Security&gt;</a> </p>'
    ) in html
    nowhere = replace(forward, misroute_url="")
    assert "departments: Attendance, Safety &amp;" in " ".join(text_of(nowhere, "html").split())
    assert "Other likely departments:\n  Attendance\n  Safety & <Security>\n" in text_of(nowhere)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_plain_words(reason: Reason):
    """No reason reaches a reader as an identifier."""
    line = next(line for line in text_of(with_decision(reason=reason)).splitlines() if line.startswith("Why: "))
    assert " " in line.removeprefix("Why: ")


def test_suspicion_and_unreadable_are_explained():
    """A reader learns what is odd about a message."""
    text = text_of(with_content(suspicion="a hidden field was filled in", unreadable="1,204 parts", text=""))
    assert "Careful, this may not be genuine: a hidden field was filled in." in text
    assert "couldn't be read fully (1,204 parts)" in text
    assert "please open the attached original" in text


def test_files_are_listed():
    """Attachments are named with their sizes; the bytes are in the original."""
    files = tuple(Attachment(name=f"page{n}.pdf", content_type="application/pdf", size=n * 400_000) for n in range(12))
    text = text_of(with_content(attachments=files))
    assert "page2.pdf (800 kB), page3.pdf (1.2 MB)" in text
    assert "and 2 more, in the attached original" in text


def test_html_only_mail_shows_its_text():
    """A message without a plain part shows the text of its HTML part."""
    assert text_of(with_content(text=" \n", html_text="Bonjour")).startswith("Bonjour\n")


def test_long_messages_are_cut_with_a_word():
    """An enormous message is cut in the body; the original has all of it."""
    text = text_of(with_content(text="word " * 50_000))
    assert "(cut here: the attached original has the rest)" in text
    assert len(text) < 101_000


def test_a_header_can_t_be_smuggled_in():
    """Line ends in any field become spaces."""
    evil = "Ana\r\nBcc: all@example.org\r\n\r\nhello\x00"
    forward = replace(
        with_content(sender_name=evil, subject=evil, reply_to=evil, external_id=evil), organization=evil,
        misroute_url="https://x.example/\r\nBcc: a@b.example", mail_id="<x@y>\r\nBcc: a@b.example",
    )  # fmt: skip
    mail = parsed(forward)
    assert mail["Bcc"] is None
    assert mail["Reply-To"] is None
    assert mail["References"] is None
    assert mail["Subject"] == "Ana Bcc: all@example.org hello"


def test_a_foreign_link_is_no_link():
    """Only http and https become clickable."""
    assert "href" not in text_of(replace(sample_forward(), misroute_url="javascript:alert(1)"), "html")


def test_an_alert():
    """A notice is sent as automatic mail, with its page."""
    alert = sample_alert()
    mail = parsed(replace(alert, notice=Notice(subject="Dead letter", text="One waits.", url="https://c.example/d/1")))
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["From"] == "Maple Valley School District <router@maplevalley.example>"
    assert mail["Subject"] == "Dead letter"
    assert mail["X-Signpost-Message"] is None
    body = mail.get_body(("plain",))
    assert body is not None
    assert "One waits.\r\n\r\n" + MARKER in body.get_content()
    assert "Open: https://c.example/d/1" in body.get_content()


def test_an_alert_about_a_message_shows_it():
    """An urgent alert carries the person's words and the original."""
    forward = replace(sample_forward(), notice=Notice(subject="URGENT", text="Please look at once."))
    text = text_of(forward)
    assert text.index("Please look at once.") < text.index("The message says:") < text.index("The bus was late")
    assert parsed(forward)["X-Signpost-Message"] == "message-1"
    assert [part.get_content_type() for part in parsed(forward).iter_attachments()] == ["message/rfc822"]


def test_a_route_without_a_message_is_a_mistake():
    """What can't be a mail raises instead of sending something empty."""
    with pytest.raises(ValueError, match="carries a message"):
        compose(replace(sample_forward(), message=None), sender=SENDER)


def test_our_footer_can_be_stripped():
    """What comes back from a department is stripped of our block, quoted or not."""
    text = text_of(sample_forward())
    assert strip_footer(text) == "The bus was late again."
    quoted = "See below\n" + "".join(f"> {line}\n" for line in text.splitlines())
    assert strip_footer(quoted) == "See below\n> The bus was late again.\n>"
    assert strip_footer("no marker —— Signpost —— here") == "no marker —— Signpost —— here"


@pytest.mark.parametrize("text", ["a@b", "ana.ruiz+bus@example.org", "o'neil@sub.example.org", "x" * 64 + "@e.org"])
def test_addresses(text: str):
    """Plain addresses are recognised."""
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "a", "a@", "@b", "a b@c.org", "a@b@c", "a..b@c.org", ".a@c.org", "a@-c.org", "a@c..org", "ñ@c.org",
     "a@c.org\n", "a@c.org, d@e.org", "<a@c.org>", '"a"@c.org', "x" * 65 + "@e.org", "a@" + "b." * 130 + "org"],
)  # fmt: skip
def test_no_addresses(text: str):
    """Anything that could be read as two addresses, or as none, isn't one."""
    assert not is_address(text)


@pytest.mark.parametrize(
    ("original", "spliced"),
    [
        (b"A: b\r\n\r\nc\r\n", True), (b"A: b\r\n\r\nc", True), (b"A: b\n\nc\n", False),
        (b"A: b\r\n\r\nc\rd\r\n", False),
        (b"A: \xe9\r\n\r\n", False), (b"A: b\r\n\r\n\0", False), (b"x" * 998 + b"\r\n", True), (b"x" * 999, False),
    ],
)  # fmt: skip
def test_what_can_be_spliced(original: bytes, spliced: bool):
    """Seven bits, CRLF, lines of at most 998 octets, no NUL."""
    assert can_be_spliced(original) is spliced


def test_small_words():
    """Numbers, probabilities and languages in a reader's words."""
    assert phone_words("+442079460018") == "+44 20 7946 0018"
    assert [phone_words(text) for text in ("12345", "+1", "ana@x.org")] == ["12345", "+1", "ana@x.org"]
    assert [sureness(p) for p in (0.97, 0.8, 0.5, 0.1)] == [
        "very sure (97%)", "fairly sure (80%)", "not very sure (50%)", "a guess (10%)"
    ]  # fmt: skip
    assert [language_name(code) for code in ("es", "HT", "xx")] == ["Spanish", "Haitian Creole", "xx"]
    assert shorten("one two three", 9) == "one two…"
