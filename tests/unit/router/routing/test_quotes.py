"""Replies that quote an urgent message: no second alarm for what is repeated, one for what is new. On both stores."""

from __future__ import annotations

import pytest

from classifiers._text import prepare, without_quotes
from router.records import Content, DeliveryKind
from router.routing.quotes import Quotes
from router.routing.urgent import Urgent
from tests.unit.router.district import RING
from tests.unit.router.routing.test_threads import DOMAIN, MAIL_ID, Conversation

FIRST = "my son never came home"
NEW = "Now she says she wants to die."
GMAIL = "On Tue, Nov 3, 2026 at 4:12 PM Ana Ruiz <ana@home.example> wrote:\n> {}"
GMAIL_HTML = "On Tue, Nov 3, 2026 at 4:12 PM Ana Ruiz <ana@home.example> wrote:\n{}"
OUTLOOK = (
    "From: Ana Ruiz <ana@home.example>\nSent: Tuesday, November 3, 2026 4:12 PM\n"
    "To: office@district.example\nSubject: Marcus\n\n{}"
)
ORIGINAL = "-----Original Message-----\nFrom: Ana Ruiz\nSent: Tuesday\nTo: office\nSubject: Marcus\n\n{}"
SPANISH = "El mar, 3 nov 2026 a las 16:12, Ana Ruiz (<ana@home.example>) escribió:\n> {}"
STYLES = {"gmail": GMAIL, "gmail html": GMAIL_HTML, "outlook": OUTLOOK, "original": ORIGINAL, "spanish": SPANISH}


@pytest.fixture
async def talk(store, log, rng):
    """A conversation that an urgent message began."""
    opened = Conversation(store, log, rng)
    await opened.begin(f"buses {FIRST}")
    return opened


async def reason(talk, **content):
    """Return why the real step finds a later message urgent, "" if it doesn't."""
    quotes = Quotes(talk.store, RING, DOMAIN, without_quotes)
    [answer] = await Urgent(lambda: None, prepare, anew=quotes.said_anew).decide([talk.later(**content)])
    return answer.detail if answer else ""


async def test_what_a_reply_quotes_is_no_new_alarm(talk):
    """However a mail program quotes, and however little stands above it, in the text and in the HTML."""
    for style in STYLES.values():
        for above in ("Thanks!", "Thank you so much, he is fine and with his aunt.", ""):
            written = f"{above}\n\n{style.format(FIRST)}"
            assert await reason(talk, in_reply_to=MAIL_ID, text=written) == ""
            assert await reason(talk, in_reply_to=MAIL_ID, text=above, html_text=written) == ""


async def test_what_stands_above_the_quote_is_an_alarm(talk):
    """The same thread may take a turn for the worse."""
    for style in STYLES.values():
        written = f"{NEW}\n\n{style.format(FIRST)}"
        assert (await reason(talk, in_reply_to=MAIL_ID, text=written)).startswith("self-harm")
        assert (await reason(talk, in_reply_to=MAIL_ID, text="see below", html_text=written)).startswith("self-harm")


@pytest.mark.parametrize("style", ["gmail", "spanish"])
async def test_what_is_written_between_quoted_lines_is_an_alarm(talk, style):
    """Some people answer below each line that they quote."""
    written = STYLES[style].format(f"Where was he last seen?\n{NEW}\n> And now?\nI don't know.")
    assert (await reason(talk, references=(MAIL_ID,), text=written)).startswith("self-harm")


async def test_a_repeated_subject_is_no_new_alarm(talk):
    """The first subject comes back with every reply, behind "Re:"; a subject of its own, and a forward's, count."""
    subject = "My son never came home"
    assert await reason(talk, in_reply_to=MAIL_ID, subject=f"RE: {subject}") == ""
    assert await reason(talk, in_reply_to=MAIL_ID, subject=subject) != ""
    assert await reason(talk, in_reply_to=MAIL_ID, subject=f"Fwd: {subject}") != ""


async def test_staff_who_answer_an_alert_by_mail_raise_no_second_one(talk):
    """Two words above the alert that a mail program quotes, whoever writes them."""
    mail_id = await talk.answer_sent(DeliveryKind.ROUTE)
    written = f"On it.\n\n{OUTLOOK.format(f'URGENT: child missing. {FIRST}')}"
    reply = {
        "sender": "safety@district.example",
        "in_reply_to": mail_id,
        "subject": "RE: URGENT message: child missing",
    }
    assert await reason(talk, text=written, **reply) == ""
    assert (await reason(talk, text=f"{NEW}\n{written}", **reply)).startswith("self-harm")


@pytest.mark.parametrize(
    "known", [{}, {"in_reply_to": "<another@elsewhere.example>"}, {"references": ("<x@y.example>",)}]
)
async def test_a_quote_of_what_never_came_in_is_looked_at(talk, known):
    """A family that passes on the threat it got, with or without an answer, is heard: nobody here has seen it."""
    written = f"Please read what he wrote me today.\n\n{GMAIL.format('I am going to kill you and the kids')}"
    assert (await reason(talk, text=written, **known)).startswith("threat")


async def test_a_store_that_fails_silences_nothing(talk, log):
    """If it can't be told what is repeated, all of it counts."""

    async def fails(_message):
        raise RuntimeError("boom")

    step = Urgent(lambda: None, prepare, log, fails)
    [answer] = await step.decide([talk.later(in_reply_to=MAIL_ID, text=GMAIL.format(FIRST))])
    assert answer.detail.startswith("child missing")


def test_a_reply_without_quotes_is_left_alone():
    """Nothing that a person wrote is taken for a quote: short texts, lists of facts, a forward in a forward."""
    for text in ("He has a gun", "From: the gym\nTo: the office\nhe has a gun", "Date: today. he has a gun"):
        assert "gun" in without_quotes(Content(subject="Re: hi", text=text)).text
