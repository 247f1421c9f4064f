"""The operator's rules: every condition, lists, `not`, times and days, and the order."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config._rules import Condition
from router.records import Attachment, Content, Medium, Message, Reason
from router.routing.answer import Route
from router.routing.rules import Rule, Rules
from router.routing.turns import LONG

CHICAGO = ZoneInfo("America/Chicago")
PDF = Attachment(name="Notice.PDF", content_type="application/pdf", size=9)
PHOTO = Attachment(name="IMG_1", content_type="image/jpeg", size=9)


def mail(medium=Medium.EMAIL, channel="mail", at=datetime(2026, 3, 2, 14, 0, tzinfo=UTC), **content):
    """Return a message about payroll: on a Monday at eight in Chicago."""
    fields = {
        "sender": "ana@mail.home.example",
        "subject": "Payroll FORM",
        "text": "I need my W2",
        "recipient": "contact@d.example",
        "recipients": ("contact@d.example", "records@d.example"),
        "topic": "Pay",
        "language": "en",
        "attachments": (PDF, PHOTO),
        "headers": {"list-id": ("News <news.d.example>",)},
    } | content
    return Message(id="1", channel=channel, medium=medium, received_at=at, content=Content(**fields))


def rule(name="r", to="business", **when):
    """Return a rule as the configuration would have made it; conditions alone or in lists."""
    conditions = Condition.model_validate(when).model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return Rule(name=name, to=to, conditions=conditions)


def decided(message, *rules, school="lincoln"):
    """Return what rules answer, in Chicago."""
    [found] = asyncio.run(Rules(rules, lambda _message: school, CHICAGO).decide([message]))
    return found


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({"channel": "mail"}, True),
        ({"channel": ["forms", "mail"]}, True),
        ({"channel": "forms"}, False),
        ({"medium": "email", "text": "w-?2"}, True),
        ({"medium": ["sms", "web_form"], "text": "w-?2"}, False),
        ({"text": "payroll form"}, True),  # the subject counts as text
        ({"text": ["never", "w2$"]}, True),
        ({"text": ["never", "ever"]}, False),
        ({"subject": "^payroll"}, True),
        ({"subject": "w2"}, False),
        ({"sender": r"@mail\.home\.example$"}, True),
        ({"sender_in": "home.example"}, True),  # a domain, and those below it
        ({"sender_in": ["x@y.example", "@mail.home.example"]}, True),
        ({"sender_in": "ANA@mail.home.example"}, True),
        ({"sender_in": ["ome.example", "example.com", "bob@mail.home.example"]}, False),
        ({"recipient": "hr@"}, False),
        ({"recipient_in": "contact@d.example"}, True),
        ({"recipient_in": "hr@d.example"}, False),
        ({"recipient_in": "records@d.example"}, True),  # a copy went there
        ({"recipient": "^records@"}, True),
        ({"language": "es"}, False),
        ({"language": ["es", "en"]}, True),
        ({"school": "lincoln"}, True),
        ({"school": ["north", "lincoln"]}, True),
        ({"school": "north"}, False),
        ({"topic": "pay"}, True),
        ({"list_id": r"news\.d\.example"}, True),
        ({"list_id": "other"}, False),
        ({"attachment": "pdf"}, True),
        ({"attachment": [".docx", ".pdf"]}, True),
        ({"attachment": "image/*"}, True),
        ({"attachment": "application/pdf"}, True),
        ({"attachment": ["jpg", "video/*"]}, False),  # its name has no ending
        ({"text": "w2", "not": {"language": "es"}}, True),
        ({"text": "w2", "not": {"sender_in": "home.example"}}, False),
        ({"text": "w2", "not": {"sender_in": "home.example", "language": "es"}}, True),  # not all of it holds
        ({"not": {"text": "bus"}}, True),
    ],
)
def test_a_rule_needs_all_its_conditions(conditions, fits):
    """Exact for names, a pattern found anywhere for texts, whatever the case; of a list one is enough."""
    expected = Route(department="business", reason=Reason.RULE, detail="r") if fits else None

    assert decided(mail(), rule(**conditions)) == expected


@pytest.mark.parametrize(
    ("number", "fits"), [("+15555550111", True), ("+15555550112", False), ("", False), ("5555550111", False)]
)
def test_a_sender_may_be_a_number(number, fits):
    """Texts have numbers for senders."""
    assert bool(decided(mail(Medium.SMS, sender=number), rule(sender_in="+15555550111"))) is fits


@pytest.mark.parametrize(
    ("at", "when", "fits"),
    [
        ("2026-03-02 14:00", {"time": "08:00-17:00"}, True),  # eight in Chicago: the beginning is part of it
        ("2026-03-02 13:59", {"time": "08:00-17:00"}, False),
        ("2026-03-02 23:00", {"time": "08:00-17:00"}, False),  # five: the end isn't
        ("2026-03-02 23:00", {"time": "17:00-07:00"}, True),
        ("2026-03-03 12:59", {"time": "17:00-07:00"}, True),
        ("2026-03-03 13:00", {"time": "17:00-07:00"}, False),
        ("2026-03-03 13:00", {"time": ["17:00-07:00", "07:00-07:30"]}, True),
        ("2026-07-03 12:00", {"time": "07:00-07:30"}, True),  # summer time
        ("2026-03-01 05:30", {"days": "sat"}, True),  # still Saturday in Chicago
        ("2026-03-01 06:30", {"days": "sat"}, False),
        ("2026-03-02 14:00", {"days": "mon-fri"}, True),
        ("2026-03-01 14:00", {"days": ["mon-fri", "sat"]}, False),
        ("2026-03-01 14:00", {"days": "fri-mon"}, True),
        ("2026-03-04 14:00", {"days": "Friday-Monday"}, False),
        ("2026-03-01 14:00", {"days": "sun", "time": "08:00-09:00"}, True),
    ],
)
def test_times_and_days_are_the_districts(at, when, fits):
    """In the organization's time zone; hours may go past midnight, days past Sunday."""
    message = mail(at=datetime.strptime(at, "%Y-%m-%d %H:%M").replace(tzinfo=UTC))

    assert bool(decided(message, rule(**when))) is fits


@pytest.mark.parametrize(
    ("pattern", "subject", "text", "fits"),
    [
        ("^bus", "", "bus 12 is late", True),  # a text or form has no subject
        ("^bus", "Late again", "bus 12 is late", True),
        ("late$", "Bus 12 is late", "please call", True),
        ("^bus", "Late again", "the bus", False),
        ("late.*please", "Bus 12 is late", "please call", False),  # apart
        (r"\b(gym|field)\b.*\b(locked|open)\b", "", "the gym is\r\nstill locked", True),  # a wrapped line
        ("don't", "", "I don’t know", True),  # as telephones write it
        ("don’t", "", "I don't know", True),
        ("don't", "Don‘t", "", True),
        ("está", "", "no ESTÁ aquí", True),
        (r"(^|\PL)está(\PL|$)", "", "mi hijo no está", True),  # \b knows ASCII alone
        (r"(^|\PL)está(\PL|$)", "", "no estáis", False),
    ],
)
def test_a_text_pattern_looks_at_the_subject_and_at_the_text(pattern, subject, text, fits):
    """Each by itself, so that ^ and $ are the ends of either; across lines, and whatever the apostrophe."""
    assert bool(decided(mail(subject=subject, text=text), rule(text=pattern))) is fits


@pytest.mark.parametrize("length", [0, LONG])
def test_the_school_is_recognised_once_however_many_rules_ask(length):
    """And in a long text beside the event loop, since hostile ones take their time; not at all if no rule asks."""
    asked, long = [], {"text": "I need my W2" + " now" * length}

    def school_of(message):
        asked.append(threading.current_thread())
        return message.content.school

    rules = [rule(f"r{n}", text="w2", school=f"s{n}") for n in range(7)]
    step = Rules([*rules, rule("not", **{"not": {"school": "s9"}}, text="w2")], school_of, CHICAGO)
    found = asyncio.run(step.decide([mail(school="s5", **long), mail(school="s9", **long), mail(text="bus")]))

    assert [each.detail if each else None for each in found] == ["r5", None, None]
    assert len(asked) == 2
    assert (threading.main_thread() in asked) is (length == 0)


def test_the_first_rule_that_fits_wins():
    """Rules are asked in order."""
    rules = [rule(name, name, text=text) for name, text in (("a", "bus"), ("b", "bus"), ("c", "."))]

    assert decided(mail(text="the bus"), *rules).detail == "a"
    assert decided(mail(text="the cook"), *rules).detail == "c"


def test_a_pattern_that_others_take_minutes_for_takes_no_time():
    """Nested repetition over a long text: steps grow with the text's length, not with its possibilities."""
    assert decided(mail(text="a" * 100_000 + "!"), rule(text="^(a+)+$")) is None


@given(st.text(max_size=200), st.text(max_size=50), st.text(max_size=50))
def test_no_message_breaks_a_rule(text, sender, name):
    """Every condition has an answer for any message."""
    every = rule(
        text="x", sender="x", sender_in="a.example", recipient="x", subject="x", topic="x", list_id="x",
        attachment=["pdf", "image/*"], time="17:00-07:00", days="sat",
    )  # fmt: skip
    files = (Attachment(name=name, content_type=text[:20], size=1),)
    assert decided(mail(text=text, sender=sender, attachments=files), every) is None
