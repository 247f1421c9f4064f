"""The small steps: loops, what can't be read, what looks like spam, threads, rules, schools."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.records import Content, Medium, Message, Reason, School
from router.routing.answer import Hold, Route
from router.routing.rules import Rule, Rules
from router.routing.schools import Schools
from router.routing.steps import MAX_HOPS, Loops, Suspicion, Unreadable
from router.routing.threads import Threads
from tests.unit.router.district import RING, District

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
DOMAIN = "d.example"
OURS = RING.mail_id(42, DOMAIN)


def mail(medium=Medium.EMAIL, channel="mail", **content):
    """Return a message."""
    fields = {"sender": "ana@home.example", "text": "hello"} | content
    return Message(id="0WE28VGDH208", channel=channel, medium=medium, received_at=NOW, content=Content(**fields))


async def answer(step, message):
    """Ask one step about one message."""
    [found] = await step.decide([message])
    return found


@pytest.fixture
def loops(sqlite_store):
    """The step, in a district that delivers to buses@district.example."""
    return Loops(sqlite_store, RING, DOMAIN, frozenset({"buses@district.example"}))


@pytest.mark.parametrize(
    ("content", "kind", "why"),
    [
        ({"in_reply_to": OURS, "auto_submitted": True}, Hold, "automatic answer"),
        ({"auto_submitted": True, "sender": "Buses@district.example"}, Hold, "an address that we deliver to"),
        ({"in_reply_to": OURS}, Hold, "reply to our own mail"),
        ({"references": ("<x@y>", OURS)}, Hold, "reply to our own mail"),
        ({"hops": MAX_HOPS + 1}, Hold, "probably a loop"),
    ],
)
async def test_what_would_go_round_in_circles_is_stopped(loops, content, kind, why):
    """Held for a person."""
    found = await answer(loops, mail(**content))

    assert isinstance(found, kind)
    assert why in found.detail


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"auto_submitted": True},  # a scanner, a voicemail system, a form mailer: routed, never answered
        {"in_reply_to": OURS.replace("42", "43")},  # a stranger guesses
        {"in_reply_to": "<signpost.42.0@d.example>"},
        {"hops": MAX_HOPS},
    ],
)
async def test_everything_else_goes_on(loops, content):
    """Only our own circles are stopped."""
    assert await answer(loops, mail(**content)) is None


async def test_a_stamp_counts_only_if_we_made_it(loops, sqlite_store, log, rng):
    """Our own forwarded mail that comes back is held; a stranger who writes the header isn't believed."""
    message_id = await District(sqlite_store, log, rng).route()

    ours = await answer(loops, mail(headers={"x-signpost-message": (message_id,)}))
    forged = await answer(loops, mail(headers={"x-signpost-message": ("1", "0WE28VGDH208")}))

    assert isinstance(ours, Hold)
    assert "came back" in ours.detail
    assert forged is None


async def test_a_family_that_replies_to_all_is_heard(loops, sqlite_store, log, rng):
    """Staff answer from their own mailbox, the mother replies to all: her mail names ours, and it is hers."""
    district = District(sqlite_store, log, rng)
    message_id = await district.route(sender="ana@home.example")
    [delivery] = await district.deliveries(message_id)
    names_ours = {"references": (RING.mail_id(delivery.id, DOMAIN),)}

    assert await answer(loops, mail(sender="Ana@home.example", **names_ours)) is None
    assert isinstance(await answer(loops, mail(sender="jo@district.example", **names_ours)), Hold)


async def test_what_a_person_released_is_not_held_again(loops):
    """A release would be no release otherwise."""
    message = replace(mail(in_reply_to=OURS), released=True)

    assert await answer(loops, message) is None


async def test_unreadable_and_suspicious_messages_reach_a_person():
    """Both go to the fallback with their reason; ordinary ones go on."""
    unreadable = await answer(Unreadable("office"), mail(unreadable="too deep"))
    suspicious = await answer(Suspicion("office"), mail(suspicion="honeypot filled in"))

    assert (unreadable.department, unreadable.reason, unreadable.detail) == ("office", Reason.UNREADABLE, "too deep")
    assert (suspicious.department, suspicious.reason) == ("office", Reason.ABSTAINED)
    assert "honeypot" in suspicious.detail
    assert await answer(Unreadable("office"), mail()) is None
    assert await answer(Suspicion("office"), mail()) is None


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ({"channel": ["mail"]}, True),
        ({"channel": ["forms"]}, False),
        ({"medium": ["email"], "text": ["w-?2"]}, True),
        ({"medium": ["sms"], "text": ["w-?2"]}, False),
        ({"text": ["payroll form"]}, True),  # the subject counts as text
        ({"subject": ["^payroll"]}, True),
        ({"sender": ["@home\\.example$"]}, True),
        ({"recipient": ["hr@"]}, False),
        ({"language": ["es"]}, False),
        ({"school": ["lincoln"]}, True),
        ({"topic": ["pay"]}, True),
    ],
)
async def test_a_rule_needs_all_its_conditions(conditions, fits):
    """Exact for names, a pattern found anywhere for texts, whatever the case."""
    message = mail(
        subject="Payroll FORM", text="I need my W2", recipient="contact@d.example", topic="Pay", language="en"
    )
    rules = Rules([Rule(name="r", to="business", conditions=conditions)], lambda _message: "lincoln")

    found = await answer(rules, message)

    assert found == (Route(department="business", reason=Reason.RULE, detail="r") if fits else None)


async def test_the_first_rule_that_fits_wins():
    """Rules are asked in order."""
    rules = [
        Rule(name=name, to=name, conditions={"text": [text]}) for name, text in (("a", "bus"), ("b", "bus"), ("c", "."))
    ]

    assert (await answer(Rules(rules, lambda _m: ""), mail(text="the bus"))).detail == "a"
    assert (await answer(Rules(rules, lambda _m: ""), mail(text="the cook"))).detail == "c"


LINCOLN = School(id="lincoln", name="Lincoln Elementary", aliases=("Lincoln", "LES"))
VERTE = School(id="verte", name="École Verte")
NORTH = School(id="north", name="Northside High School", aliases=("Northside",))


@pytest.mark.parametrize(
    ("text", "school"),
    [
        ("my son at lincoln elementary", "lincoln"),
        ("Pick-up at LES?", "lincoln"),
        ("he goes to Northside", "north"),
        ("Lincoln Elementary, I mean Lincoln!", "lincoln"),
        ("from Lincoln to Northside", ""),
        ("lessons", ""),  # LES inside a word
        ("", ""),
        ("he is at Northside  High\nSchool now", "north"),
        ("¿y en la École Verte?", "verte"),
    ],
)
def test_a_school_is_recognised_by_its_names(text, school):
    """Whole words, longest name first; two different schools are no answer."""
    assert Schools([LINCOLN, NORTH, VERTE]).recognise(mail(text=text)) == school


def test_the_choice_on_the_form_counts_first():
    """A known choice wins over the text, an unknown one is ignored."""
    schools = Schools([LINCOLN, NORTH])

    assert schools.recognise(mail(school="north", text="Lincoln")) == "north"
    assert schools.recognise(mail(school="elsewhere", text="Lincoln")) == "lincoln"


@given(st.text(max_size=300))
def test_no_text_breaks_the_recognition(text):
    """Any text has an answer."""
    assert Schools([LINCOLN, NORTH]).recognise(mail(text=text)) in {"", "lincoln", "north"}


@pytest.fixture
async def conversation(sqlite_store, log, rng):
    """A step that follows threads, and the routed message that others continue: from Ana, to buses."""
    district = District(sqlite_store, log, rng, understand=earlier)
    message_id = await district.route("buses are late")
    return Threads(sqlite_store, RING, DOMAIN, timedelta(minutes=30)), district, message_id


async def earlier(original, _facts, _medium):
    """Understand the first message of a conversation."""
    return Content(sender="ana@home.example", text=original.decode(), external_id="<first@home.example>")


async def later(step, district, **content):
    """Ask about a message that comes a moment after the first."""
    fields = {"sender": "ana@home.example", "text": "it was number 12"} | content
    medium = fields.pop("medium", Medium.EMAIL)
    at = district.store.clock.now() + fields.pop("after", timedelta(minutes=1))
    return await answer(
        step, Message(id="0" * 12, channel="mail", medium=medium, received_at=at, content=Content(**fields))
    )


async def test_a_reply_follows_its_thread(conversation):
    """The same sender's earlier Message-ID is enough."""
    step, district, message_id = conversation

    found = await later(step, district, sender="ANA@home.example", in_reply_to="<first@home.example>")

    assert (found.department, found.reason, found.detail) == ("buses", Reason.THREAD, f"continues {message_id}")


async def test_a_reply_to_our_own_mail_follows_the_message_it_carried(conversation):
    """Our signed id stands for the family's own."""
    step, district, message_id = conversation
    [delivery] = await district.deliveries(message_id)

    found = await later(step, district, references=(RING.mail_id(delivery.id, DOMAIN),))

    assert (found.department, found.detail) == ("buses", f"continues {message_id}")


async def test_a_thread_is_followed_to_where_it_stands_now(conversation):
    """Also after a correction."""
    step, district, message_id = conversation
    now = district.store.clock.now()
    await district.store.write(
        lambda c: district.corrections.flag(c, message_id, "meals", by="jo", via="command", now=now)
    )

    assert (await later(step, district, references=("<first@home.example>",))).department == "meals"


async def test_a_stranger_who_knows_the_id_does_not_join(conversation):
    """The sender has to be the one who wrote the earlier message."""
    step, district, _ = conversation

    assert await later(step, district, sender="eve@evil.example", in_reply_to="<first@home.example>") is None


async def test_a_short_second_text_follows_within_the_window(conversation):
    """Texts have no ids: sender and time stand for them; a long text stands for itself, and so does a late one."""
    step, district, _ = conversation

    def text(**more):
        return later(step, district, medium=Medium.SMS, **more)

    assert (await text()).department == "buses"
    assert await text(text="and another thing: how do I pay the lunch account online please") is None
    assert await text(after=timedelta(minutes=31)) is None
    assert await later(step, district) is None  # a mail that answers nothing is no second text
