"""The text preparation: what is dropped, what must stay, and that time is bounded."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers._text import MAX_BODY, MAX_SUBJECT, from_row, from_text, prepare
from router.records import Content, Medium

REPLY = "Thank you, that answers my question about the bus."


def body(text: str, subject: str = "") -> str:
    return from_text(subject, text).body


def test_training_rows_and_messages_take_the_same_path() -> None:
    """A corpus row and a message with the same words give the same input."""
    row = {"subject": "Re: Bús", "body": "Where\u200b is  the ﬁrst bus?\r\n", "language": "en", "medium": "sms"}
    content = Content(subject="Re: Bús", text="Where\u200b is  the ﬁrst bus?\r\n", language="en")
    assert from_row(row) == prepare(content, Medium.SMS)
    assert from_row(row).body == "Where is the first bus?"
    assert from_row(row).subject == "Bús"


def test_null_fields_and_the_other_name_of_the_medium() -> None:
    """A row may have a null subject, and `channel` may name the medium as in `signpost classify`."""
    prepared = from_row({"subject": None, "body": "hola que tal", "channel": "web_form"})
    assert (prepared.subject, prepared.language, prepared.medium) == ("", "", "web_form")


def test_html_text_is_used_only_where_there_is_no_plain_text() -> None:
    """The HTML part's text stands in for a missing plain part."""
    assert prepare(Content(text=" \n", html_text="from the page itself"), "email").body == "from the page itself"
    assert prepare(Content(text="from the plain part", html_text="x"), "email").body == "from the plain part"


@pytest.mark.parametrize(
    "rest",
    [
        "> When does it run?\n> 7:10",
        "On Tue, Mar 3, 2026 at 10:32 AM Office <office@x.example> wrote:\n> the bus leaves\n> at noon",
        "On Tue, Mar 3, 2026 at 10:32 AM Front Office\n<office@x.example> wrote:\nThe bus leaves at noon.",
        "El mar, 3 mar 2026 a las 10:32, Oficina <o@x.example> escribió:\n\nEl autobús sale a mediodía.",
        "-----Original Message-----\nFrom: Office\nSent: Monday\nTo: Ana\nSubject: Bus\n\nThe bus leaves at noon.",
        "________________________________\nFrom: Office\nSent: Monday\nTo: Ana\nSubject: Bus\n\nThe bus leaves.",
        "*De:* Oficina\n*Enviado el:* lunes\n*Para:* Ana\n*Asunto:* Bus\n\nEl autobús sale.",
        "-- \nAna Ruiz\nAccountant, Ruiz & Sons",
        "Sent from my iPhone",
        "Enviado desde mi iPhone",
        "CONFIDENTIALITY NOTICE: this message and its attachments are privileged.",
        "—— Signpost ——\nSent to transportation, 91 %",
        "Not yours? Send it on: https://contact.x.example/m/abc.def\nmore of ours",
        "> Not yours? Send it on: https://contact.x.example/m/abc.def\n> more of ours",
        "https://contact.x.example/m/abc.def",
    ],
)
def test_what_others_wrote_is_dropped(rest: str) -> None:
    """Quotes, headers, signatures, disclaimers, our footer and our links leave nothing behind."""
    assert body(f"{REPLY}\n\n{rest}", "Re: Bus") == REPLY


def test_an_answer_below_the_quote_stays() -> None:
    """Whoever answers below what they quote is still heard."""
    text = f"On Mon, 2 Mar 2026 10:00 a@x.example wrote:\n> When?\n> Not yours? Send it on: x/m/1\n> end\n\n{REPLY}"
    assert body(text) == REPLY


@pytest.mark.parametrize("subject", ["Fwd: lunch", "RV: lunch", "lunch"])
def test_a_forward_keeps_the_matter_and_loses_the_headers(subject: str) -> None:
    """What is forwarded is what it is about; only the header lines go."""
    headers = "From: A <a@x.example>\nDate: Mon\nSubject: lunch\nTo: b"
    text = f"---------- Forwarded message ---------\n{headers}\n\nShe owes $12."
    assert body(text, subject) == "She owes $12."
    assert body(f"See what the cafeteria says\n\n{text}", subject) == "See what the cafeteria says\nShe owes $12."


def test_a_header_block_under_a_forward_subject_keeps_the_matter() -> None:
    """Outlook marks a forward by its subject alone."""
    text = "Please help this family today\n\nFrom: A\nSent: Monday\nTo: b\nSubject: lunch\n\nShe owes $12."
    assert body(text, "FW: lunch") == "Please help this family today\nShe owes $12."
    assert body(text, "RE: lunch") == "Please help this family today"


def test_stripping_never_leaves_nothing() -> None:
    """With fewer than three words of one's own the whole text stays, without our footer."""
    text = "ok\n\n> The bus leaves at noon.\n> Not yours? Send it on: https://c.example/m/t\n> and this"
    assert body(text) == "ok\n> The bus leaves at noon."
    assert body("我的孩子今天生病了\n\n> The bus leaves at noon.") == "我的孩子今天生病了"


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Re: FW: [EXTERNAL] Re[2]: Lunch", "Lunch"),
        ("RV: Almuerzo: pago", "Almuerzo: pago"),
        ("Regarding: lunch", "Regarding: lunch"),
        ("Re:", ""),
        ("line\r\nbreak", "line break"),
    ],
)
def test_reply_marks_leave_the_subject(subject: str, expected: str) -> None:
    """Only known marks go, as often as they stand there."""
    assert from_text(subject, "x").subject == expected


def test_links_lose_their_tracking() -> None:
    """Of other people's links the host and the beginning of the path stay."""
    assert body("look at https://news.example/lunch-menu?utm=1234567 now") == "look at news.example/lunch-menu now"


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=400), st.text(max_size=2000))
def test_any_text_is_prepared_within_its_limits(subject: str, text: str) -> None:
    """Preparation never fails, keeps to its caps, and never empties a text that has words."""
    prepared = from_text(subject, text)
    assert len(prepared.subject) <= MAX_SUBJECT
    assert len(prepared.body) <= MAX_BODY
    assert prepared == from_text(subject, text)


@pytest.mark.parametrize(
    "unit",
    ["> ", "On ", "From: a\nTo: b\n", "Re: ", "-", "\n", "On 1:2\n", "a@", "*", "ﷺ", "https://x/m/", "— ", "\t "],
)
def test_crafted_text_takes_no_longer_than_any_other(unit: str) -> None:
    """A megabyte of what reply parsers choke on is prepared in well under the ten seconds they take."""
    text = unit * (1_000_000 // len(unit))
    start = time.process_time()
    from_text(text, text)
    assert time.process_time() - start < 2.0
