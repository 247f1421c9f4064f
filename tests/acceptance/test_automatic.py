"""Acknowledgements are on, and programs, lists and forged senders write: few are answered, or none."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, district, smtp_port, steer
from tests.acceptance.senders import by_form, by_smtp
from tests.torture.books import Books

DESKS = frozenset(ADDRESSES.values())
PERSON, VICTIM = "person@home.example", "victim@elsewhere.example"
BAIT = "Cheap pills, see https://bait.example"
PER_HOUR, PER_DOMAIN = 12, 5
AUTOMATIC = [  # headers beside From; "path" is the envelope's sender, where that isn't the one in From
    {"Auto-Submitted": "auto-generated"},
    {"Auto-Submitted": "auto-replied"},
    {"Auto-Submitted": "auto-notified"},
    {"Auto-Submitted": 'Auto-Replied; owner-email="jo@home.example"'},
    {"Auto-Submitted": "auto-replied (vacation)", "X-Auto-Response-Suppress": "All"},
    {"Auto-Submitted": "no", "Precedence": "bulk"},
    {"Auto-Submitted": "no", "path": ""},
    {"Precedence": "bulk"},
    {"Precedence": "list", "List-Id": "<parents.example>"},
    {"Precedence": "junk"},
    {"Precedence": "auto_reply"},
    {"precedence": "Bulk"},
    {"List-Id": "<parents.example>"},
    {"List-Unsubscribe": "<mailto:leave@parents.example>"},
    {"List-Post": "NO"},
    {"X-Auto-Response-Suppress": "OOF"},
    {"X-Auto-Response-Suppress": "DR, RN, NRN, AutoReply"},
    {"X-Autoreply": "yes"},
    {"X-Autorespond": "Re: your mail"},
    {"X-Loop": "away@home.example"},
    {"path": ""},
    {"path": "", "Content-Type": "multipart/report; report-type=delivery-status; boundary=b"},
    {"From": "no-reply@shop.example", "path": "no-reply@shop.example"},
    {"path": "bounces+17=parents@lists.example"},
]


@pytest.fixture
async def acknowledging(daemons, tmp_path, relay):
    """A daemon whose mailbox and form acknowledge, up to a small number an hour."""
    configuration = district(tmp_path, relay.port)
    for channel in ("mail-in", "contact"):
        configuration["channels"][channel]["acknowledge"] = True
    configuration["acknowledgements"] = {"most_per_hour": PER_HOUR, "most_per_domain": PER_DOMAIN}
    daemon = daemons(tmp_path, configuration)
    await daemon.start()
    return daemon


def letter(number, text, **headers):
    """Return a mail of a sender of its own, with these headers."""
    own = {
        "From": f"p{number}@home.example",
        "To": "contact@maple.example",
        "Subject": f"Number {number}",
        "Message-ID": f"<{number}@home.example>",
    }
    lines = [f"{name}: {value}" for name, value in (own | headers).items()]
    return "\r\n".join([*lines, "", text, ""]).encode()


async def done(daemon, relay):
    """Wait until nothing is undecided or waits; return the answers that left, by recipient, and how many came in."""
    books = Books(daemon, relay)
    await books.settled(600)
    answers = [mail for mail in relay.mails if mail.recipient not in DESKS]
    await until(lambda: _answered(books) == len(answers), 30, "all answers are counted")
    return answers, dict(books.ask("SELECT state, count(*) FROM messages GROUP BY 1"))


def _answered(books):
    return books.number("SELECT count(*) FROM deliveries WHERE kind = 'answer' AND state = 'delivered'")


@pytest.mark.case("M08")
async def test_no_program_is_acknowledged(acknowledging, relay, tally):
    """Of 24 kinds of automatic mail none is answered and none is lost; a person's mail between them is."""
    port = smtp_port(acknowledging.configuration)
    assert len(AUTOMATIC) == 24
    for number, given in enumerate(AUTOMATIC):
        headers = {name: value for name, value in given.items() if name != "path"}
        data = letter(number, steer("transportation"), **headers)
        await by_smtp(port, data, sender=given.get("path", f"p{number}@home.example"))
    await by_smtp(port, letter(99, steer("transportation"), From=PERSON), sender=PERSON)

    answers, states = await done(acknowledging, relay)
    tally(messages=len(AUTOMATIC) + 1, answers_to_programs=len(answers) - 1, lost=25 - sum(states.values()))
    assert [mail.recipient for mail in answers] == [PERSON]
    assert set(states) <= {"routed", "held", "filed"}
    assert sum(states.values()) == 25


@pytest.mark.case("M09")
async def test_a_mail_bomb_hits_nobody(acknowledging, relay, rounds, tally):
    """In a victim's name by mail and form, and in thousands of names: one answer a head, few in all, without bait."""
    port, count = smtp_port(acknowledging.configuration), rounds(quick=40, long=5_000)
    text = f"{steer('transportation')}. {BAIT}"
    at_once = asyncio.Semaphore(10)

    async def bomb(number):
        async with at_once:
            if number % 4 == 0:
                await by_form(acknowledging.url, {"name": BAIT, "email": VICTIM, "message": f"{text} {number}"})
            else:
                sender = VICTIM if number % 4 == 1 else f"p{number}@d{number % 50}.example"
                await by_smtp(port, letter(number, text, From=sender, Subject=BAIT), sender=sender)

    await asyncio.gather(*map(bomb, range(count)))
    answers, states = await done(acknowledging, relay)
    to_victim = [mail for mail in answers if mail.recipient == VICTIM]
    tally(messages=count, answers=len(answers), answers_to_the_victim=len(to_victim), lost=count - sum(states.values()))
    assert len(to_victim) <= 1
    assert 0 < len(answers) <= PER_HOUR
    assert not [mail for mail in answers if b"pills" in mail.data or b"bait" in mail.data]
    assert sum(states.values()) == count
    assert (await acknowledging.status())["messages"]["undecided"] == 0
