"""The text preparation: what is dropped, what must stay, and that time is bounded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers._reply import written_by_sender
from classifiers._text import MAX_BODY, MAX_SUBJECT, from_row, from_text, prepare, readings
from router.records import Content, Medium

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

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


@settings(max_examples=80)
@given(st.text(max_size=400), st.text(max_size=2000))
def test_any_text_is_prepared_within_its_limits(subject: str, text: str) -> None:
    """Preparation never fails, keeps to its caps, and never empties a text that has words."""
    prepared = from_text(subject, text)
    assert len(prepared.subject) <= MAX_SUBJECT
    assert len(prepared.body) <= MAX_BODY
    assert prepared == from_text(subject, text)


CRAFTED = (
    "> ", "On ", "From: a\nTo: b\n", "Re: ", "-", "\n", "On 1:2\n", "a@", "*", "ﷺ", "https://x/m/", "— ", "\t ",
    "10:30 <a@b>\n", "a b c\nFrom: a@b\nSubject: x\nTo: c\n", "sent from my x\n", "not yours? send it on\n> ",
    "-- \na\n",
)  # fmt: skip


def steps(function: Callable[[], object]) -> int:
    """Return how many lines of the classifiers' own code a call runs: the same on every machine, however busy."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        if "classifiers" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("unit", CRAFTED)
def test_crafted_text_takes_at_most_twice_the_steps_when_twice_as_long(unit: str) -> None:
    """What reply parsers choke on is stripped in linear time, even where nothing cuts it before."""
    lines = (unit * (10_000 // len(unit))).splitlines()
    assert steps(lambda: written_by_sender(lines + lines)) <= 2.2 * steps(lambda: written_by_sender(lines)) + 1000


@pytest.mark.parametrize("unit", ["> ", "https://x/m/ ", "From: a"])
def test_of_a_megabyte_no_more_is_looked_at_than_of_a_tenth_of_it(unit: str) -> None:
    """What a message is about stands at its beginning, so that its length costs nothing."""
    long, longer = (unit * (size // len(unit)) for size in (100_000, 1_000_000))
    assert steps(lambda: from_text(longer, longer)) <= steps(lambda: from_text(long, long))


@settings(max_examples=30)
@given(st.lists(st.sampled_from(CRAFTED), min_size=1, max_size=12), st.integers(1, 60))
def test_mixed_crafted_text_costs_a_bounded_number_of_steps_a_line(units: list[str], times: int) -> None:
    """However the parts of headers, quotes and attributions are mixed, a line costs at most 150 steps."""
    lines = ("".join(units) * times).splitlines()
    assert steps(lambda: written_by_sender(lines)) <= 150 * (len(lines) + 10)


@pytest.mark.parametrize(
    "quote",
    [
        '26.06.2014, 14:41, "Office" <office@x.example>:\n\nThe bus leaves at noon.',
        "Thu, 26 Jun 2014 14:00:51 +0400 от Office <office@x.example>:\nThe bus leaves at noon.",
        '02.04.2026 14:20 пользователь "Office" <\noffice@x.example> написал:\n\n> The bus leaves at noon.',
        "Office <office@x.example> 于2026年3月3日周二 10:32写道：\n\n> The bus leaves at noon.",
        "Date: Thu, 26 Jun 2014 13:53:45 +0400\nSubject: Bus\nFrom: office@x.example\nTo: ana@x.example\n\nIt leaves.",
        "От: Office\nОтправлено: 26 июня 2026 г. 15:05\nКому: Ana\n\nThe bus leaves at noon.",
        "发件人：Office\n发送时间：2026年3月3日\n收件人：Ana\n主题：Bus\n\nThe bus leaves at noon.",
        "Từ: Office\nĐã gửi: thứ ba\nTới: Ana\nChủ đề: Bus\n\nThe bus leaves at noon.",
        "De : Office\nEnvoyé : mardi\nÀ : Ana\nObjet : Bus\n\nThe bus leaves at noon.",
        "Ana Ruiz\nana@x.example\n(555) 346-9947\nwww.x.example",
        'You received this message because you are subscribed to the Google Groups "PTA" group.',
    ],
)
def test_quotes_are_known_in_our_families_languages(quote: str) -> None:
    """Headers and attributions of other mail programs, and a signature without a mark before it."""
    assert body(f"{REPLY}\n\n{quote}") == REPLY


@pytest.mark.parametrize(
    "said",
    [
        "We need a bus for our trip on Friday.\nFrom: Lincoln Elementary\nTo: the zoo\nDate: May 3\nStudents: 45",
        "Sent from my desk, is much easier than my phone.\nThe bus was late.",
        "Can you call me back about the bus?\n\nAna\n555-346-9947",
        "Please tell us by 10:30 who will come:\n\nAna, Luis and the twins",
        "The pick-up is at 14:30 at ana@x.example's house:\n\nit has a red door and a fence",
    ],
)
def test_what_looks_like_a_quote_or_a_signature_and_is_the_message_stays(said: str) -> None:
    """A list of facts, a time before a colon, a name with one telephone number."""
    assert body(said).split() == said.split()


@pytest.mark.parametrize(
    "facts",
    [
        "From: maria@home.example\nStudent: Mia\nDate: March 4\nTo: Lincoln Elementary\nReason: fever and a cough",
        "Student: Mia\nDate: March 4\nReason: fever\nFrom: Maria\nTo: the office\nSubject: absence",
        "De: Maria\nPara: la oficina\nFecha: 4 de marzo\nAsunto: falta\nAlumna: Mia\nMotivo: fiebre",
        "Name: Ana\nFrom: ana@home.example\nDate: 2026-03-04\nSubject: absence\nMessage: my son is sick",
    ],
)
def test_an_absence_note_is_no_header_block(facts: str) -> None:
    """A list that tells other facts among those of mail headers is the person's own, or their form's."""
    assert from_text("", f"Please excuse my daughter\n\n{facts}").body.endswith(facts)


@pytest.mark.parametrize("remark", ["Please see below.", "FYI, got this today", "Por favor lea abajo, gracias"])
def test_a_remark_that_points_below_passes_on(remark: str) -> None:
    """Then the matter stands below the header block, and only the headers go."""
    block = "From: Jo Park\nSent: Monday\nTo: The office\nSubject: bus\n\nThe bus left without us."
    assert from_text("", f"{remark}\n\n{block}").body == f"{remark}\nThe bus left without us."


def test_readings_are_all_that_may_hold_an_alarm() -> None:
    """The sender's own words first, the HTML's if they differ, and what was left out, without its marks."""
    quote = "On Mon, 2 Mar 2026 at 08:00, Jo <jo@x.example> wrote:\n> he swam out\n> on the lake"
    content = Content(subject="Re: hi", text=f"thank you very much\n{quote}", html_text="something else altogether")
    bodies = [each.body for each in readings(content, "email")]
    assert bodies[:2] == ["thank you very much", "something else altogether"]
    assert bodies[2].endswith("he swam out\non the lake")
    assert [each.body for each in readings(Content(text="thank you very much"), "sms")] == ["thank you very much"]
