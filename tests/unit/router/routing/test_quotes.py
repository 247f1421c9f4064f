"""Replies that quote an urgent message: no second alarm for what is repeated, one for what is new. On both stores."""

from __future__ import annotations

import pytest

from classifiers._text import prepare
from router.records import DeliveryKind, Destination, Notice
from router.routing.quotes import Quotes
from router.routing.urgent import Urgent
from router.store import deliveries
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
    quotes = Quotes(talk.store, RING, DOMAIN)
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


async def told(talk):
    """Return the Message-ID of an alert about the first message, and its subject and text."""
    subject = f"URGENT message {talk.id}: child missing (son never came home)"
    text = f"Message {talk.id} looks urgent (child missing (son never came home)). It goes to: buses.\n\n{FIRST}"
    details = {"kind": DeliveryKind.ALERT, "now": talk.store.clock.now(), "message_id": talk.id}
    notice, to = Notice(subject=subject, text=text), [Destination(via="relay", to="safety@district.example")]
    [number] = await talk.store.write(lambda c: deliveries.add(c, to, notice=notice, **details))
    return RING.mail_id(number, DOMAIN), subject, text


async def test_staff_who_answer_an_alert_by_mail_raise_no_second_one(talk):
    """Two words above the alert that a mail program quotes, whoever writes them, also where it names the danger."""
    mail_id, subject, text = await told(talk)
    written = f"On it.\n\n{OUTLOOK.format(text)}".replace("Subject: Marcus", f"Subject: {subject}")
    reply = {"sender": "safety@district.example", "in_reply_to": mail_id, "subject": f"RE: {subject}"}
    assert await reason(talk, text=written, **reply) == ""
    assert (await reason(talk, text=f"{NEW}\n{written}", **reply)).startswith("self-harm")


OWN_WORDS = {
    "a contact block": "Please call me at once!\n\n{}\nAna Ruiz\n555-555-0111\nana@home.example",
    "below an Outlook header": "Please see my answers below.\n\n" + OUTLOOK.format("Where was he last?\n{}"),
    "below a Gmail quote": GMAIL_HTML.format("Where was he last?\n\n{}"),
    "a signature": "Thank you all for calling.\n--\nAna\n{}",
    "a disclaimer": "Thank you all for calling.\nConfidentiality: this mail is for you.\n{}",
}


@pytest.mark.parametrize("shape", OWN_WORDS)
async def test_what_looks_like_the_end_of_a_mail_is_looked_at(talk, shape):
    """Nothing new is taken for a signature, a disclaimer or the rest of a quote."""
    for written in (OWN_WORDS[shape].format(NEW), OWN_WORDS[shape].format("My daughter is missing, too!")):
        assert await reason(talk, in_reply_to=MAIL_ID, text=written)
        assert await reason(talk, in_reply_to=MAIL_ID, text="see below", html_text=written)


async def test_a_reply_to_our_acknowledgement_is_heard(talk):
    """A family whose first message was harmless answers the acknowledgement, and its last lines are short."""
    mail_id = await talk.answer_sent()
    written = OWN_WORDS["a contact block"].format("My daughter never came home")
    assert (await reason(talk, in_reply_to=mail_id, text=written)).startswith("child missing")


async def test_saying_it_again_is_an_alarm(talk):
    """Whoever answers with the very same words means them: the child is missing once more."""
    assert await reason(talk, in_reply_to=MAIL_ID, text=FIRST) != ""


@pytest.mark.parametrize("quote", ["> {}", "{}"])
async def test_a_threat_quoted_in_an_old_thread_is_an_alarm(talk, quote):
    """One known message far back makes nothing known of what somebody else wrote since."""
    threat = "I will bring a gun to the school on Friday"
    ids = {"in_reply_to": "<threat@elsewhere.example>", "references": (MAIL_ID, "<threat@elsewhere.example>")}
    written = f"Please read what he wrote.\n\nOn Tue, Nov 3, 2026 at 4:12 PM Bo <bo@x.example> wrote:\n{quote}"
    assert await reason(talk, text=written.format(threat), **ids) != ""
    assert await reason(talk, text=written.format(FIRST), **ids) == ""


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


async def test_a_long_paragraph_is_known_however_it_is_wrapped(store, log, rng):
    """Mail programs break lines where they like."""
    long = "We waited at the stop until five and then until six and my son never came home and nobody answers."
    talk = Conversation(store, log, rng)
    await talk.begin(f"buses {long}")
    wrapped = f"Thanks!\n\n{OUTLOOK.format(long.replace(' then until', chr(10) + 'then until'))}"
    assert await reason(talk, in_reply_to=MAIL_ID, text=wrapped) == ""


@pytest.mark.parametrize("text", ["He has a gun", "From: the gym\nTo: the office\nhe has a gun", "Hi.\nhe has a gun"])
async def test_a_reply_without_quotes_is_left_alone(talk, text):
    """Nothing that a person wrote is taken for a quote: short texts, lists of facts."""
    assert (await reason(talk, in_reply_to=MAIL_ID, text=text)).startswith("weapon")


@pytest.mark.parametrize("filling", [" " * 19_000, "> " * 9_000, "re: " * 4_500, "a b " * 4_500])
async def test_an_endless_line_hides_nothing(talk, filling):
    """What is made to take long to look through doesn't: the words behind it are found."""
    assert (await reason(talk, in_reply_to=MAIL_ID, text=f"Thanks{filling}\n{NEW}")).startswith("self-harm")
