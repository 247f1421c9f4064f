"""Circuit breakers on both kinds of store: what is too much, what says the same again, and what is left alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from config._loops import Loops as LoopSettings
from router.forwarding import ACKNOWLEDGE, MISROUTE
from router.records import Attachment, Content, DeliveryKind, Destination, Medium, Message, Notice
from router.routing.answer import Hold
from router.routing.breakers import Breakers, Limits
from router.routing.steps import Loops
from router.settings import Pace
from router.store import deliveries
from router.testing import FakeClock
from tests.unit.router.district import RING, District

NOW = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
BUSES = "buses@district.example"
LIMITS = Limits(per_sender=Pace(4, 3600), per_desk=Pace(2, 3600), alike=Pace(2, 3600))
SAID = "Thank you for writing to us. We will look at it as soon as we can."


@pytest.fixture
def clock():
    """A clock that is turned by hand."""
    return FakeClock(NOW)


@pytest.fixture
def breakers(store):
    """The step, in a district that delivers to buses@district.example."""
    return Breakers(store, frozenset({BUSES}), LIMITS, lambda content: content.text)


def mail(number=0, medium=Medium.EMAIL, at=NOW, **content):
    """Return a message."""
    fields = {"sender": "ana@home.example", "text": SAID} | content
    return Message(id=f"{number:012}", channel="mail", medium=medium, received_at=at, content=Content(**fields))


def answer(number, sender="ana@home.example", **content):
    """Return a mail that answers another, whose number stands in its text."""
    said = {"in_reply_to": f"<{number}@x>", "text": f"Case {number}: {SAID}"} | content
    return mail(number, sender=sender, **said)


async def held(step, *messages):
    """Ask the step about messages in one batch; return whether each is held."""
    return [isinstance(found, Hold) for found in await step.decide(messages)]


async def test_the_same_words_from_a_fresh_address_each_time(breakers):
    """Two answers that say the same but for a number go on, the others are held: one after the other or at once."""
    robots = [answer(n, f"case{n}@helpdesk.example") for n in range(6)]
    assert await held(breakers, robots[0]) == [False]
    assert await held(breakers, *robots[1:]) == [False, True, True, True, True]


async def test_counts_last_through_a_restart_and_end_with_time(breakers, store, clock):
    """Another daemon on the same store knows them; an hour later they are forgotten."""
    assert await held(breakers, *(answer(n) for n in range(3))) == [False, False, True]
    other = Breakers(store, frozenset({BUSES}), LIMITS, lambda content: content.text)
    assert await held(other, answer(3)) == [True]
    clock.advance(timedelta(hours=1))
    assert await held(other, answer(4)) == [False]


async def test_a_message_that_is_decided_again_counts_once(breakers):
    """After a crash, or while the store is busy, the same message is asked about again and again."""
    for _ in range(5):
        assert await held(breakers, answer(0), answer(1)) == [False, False]


@pytest.mark.parametrize(
    "content",
    [
        {"subject": "Re: Bus 12"},
        {"subject": "[Case 77] RE[2]: Bus 12"},
        {"subject": "Automatic reply: Bus 12"},
        {"subject": "Respuesta automática: Bus 12"},
        {"references": ("<a@b>",)},
        {"headers": {"auto-submitted": ("auto-replied; owner",)}},
        {"sender": "new{}@district.example"},  # where our desks are, and never seen before
        {"sender": "new{}@district.example", "text": "Got it, {}!"},
    ],
)
async def test_what_looks_like_a_loop_is_counted(breakers, content):
    """By its header, its subject, or where it comes from."""

    def filled(number):
        return {k: v.format(number) if isinstance(v, str) else v for k, v in content.items()}

    assert await held(breakers, *(mail(n, **filled(n)) for n in range(4))) == [False, False, True, True]


@pytest.mark.parametrize(
    "content",
    [
        {},  # a letter that many families send
        {"subject": "Re: Snow", "text": "Thank you so much!"},  # many say so
        {"in_reply_to": "<a@b>", "attachments": (Attachment(name="a.wav", content_type="audio/wav", size=1),)},
        {"in_reply_to": "<a@b>", "text": "12345"},
    ],
)
async def test_what_people_and_machines_say_is_not(breakers, content):
    """The same words again and again, and no loop."""
    assert not any(await held(breakers, *(mail(n, sender=f"p{n}@home.example", **content) for n in range(9))))


async def test_other_words_and_other_media_are_not_counted(breakers):
    """A conversation goes on, and a text is no mail."""
    talk = [answer(n, text=f"{'ab'[n % 2] * (n + 1)} one two three four five six seven") for n in range(9)]
    texts = [replace(answer(n), medium=Medium.SMS) for n in range(9)]
    assert not any(await held(breakers, *talk, *texts))


async def test_who_is_known_at_the_district_says_the_same_again(breakers, store, log, rng):
    """A machine that tells its news, and a secretary who says thank you: a mail of theirs has been routed before."""
    await District(store, log, rng).route(sender="freezer@district.example")
    news = [mail(n, sender="freezer@district.example") for n in range(9)]
    thanks = [answer(n + 9, sender="freezer@district.example", text="Thank you!") for n in range(9)]
    assert not any(await held(breakers, *news, *thanks))


async def test_too_many_from_one_address(breakers, store, log, rng):
    """Held beyond the limit of its kind, in words that name the setting; urgent mail goes on, unless from a desk."""
    district = District(store, log, rng)
    for number in range(4):
        await district.route(f"buses {number}", sender="ana@home.example")
        await district.route(f"buses {number}", sender=BUSES)
    [family, desk, other] = await breakers.decide([mail(1), mail(2, sender=BUSES), mail(3, sender="b@home.example")])
    assert (family.unless_urgent, desk.unless_urgent, other) == (True, False, None)
    assert "routing.loops.per_sender allows (4/h)" in family.detail
    assert "routing.loops.per_desk allows (2/h)" in desk.detail
    assert await held(breakers, mail(4, at=NOW + timedelta(hours=2))) == [False]
    assert await held(breakers, replace(mail(5), released=True)) == [False]


async def test_a_robot_at_a_desk_raises_no_second_alarm(breakers):
    """Its answers to an alert quote it; a family's own words would still alarm."""
    robots = await breakers.decide([answer(n, f"new{n}@district.example") for n in range(3)])
    families = await breakers.decide([answer(n, text="one two three four five six seven eight") for n in range(3, 6)])
    assert (robots[2].told, families[2].told) == (True, False)


async def test_staff_who_write_in_the_subject_alone_are_no_robot(breakers):
    """Three telephones add the same words to different subjects; and who says the same as others still alarms."""
    subjects = ("Snow day?", "Parking", "My son never got off the bus")
    staff = [
        mail(n, sender=f"jo{n}@district.example", subject=subject, text="Sent from my iPhone")
        for n, subject in enumerate(subjects)
    ]
    assert await held(breakers, *staff) == [False, False, False]
    parents = [mail(n, sender=f"ana{n}@district.example", text="He is not home yet") for n in range(3, 6)]
    last = (await breakers.decide(parents))[2]
    assert (isinstance(last, Hold), last.told) == (True, False)


@pytest.mark.parametrize("purpose", [MISROUTE, ACKNOWLEDGE])
async def test_a_mail_that_quotes_our_link_answers_our_mail(store, log, rng, purpose):
    """Without a header that says so: held, unless it is the family's own; a link that we didn't make counts nothing."""
    district, loops = District(store, log, rng), Loops(store, RING, "d.example", frozenset({BUSES}))
    message_id = await district.route(sender="ana@home.example")
    [delivery] = await district.deliveries(message_id)
    path = "m" if purpose == MISROUTE else "u"
    quote = f"We got this.\n> https://d.example/{path}/{RING.sign(str(delivery.id), purpose)}."
    said = [mail(1, sender="case1@helpdesk.example", text=quote), mail(2, text=quote)]
    said += [mail(3, sender="x@y.example", text=quote[:-9]), mail(4, sender="x@y.example", text="see /m/k1.a.b")]
    assert await held(loops, *said) == [True, False, False, False]


async def test_a_robot_that_quotes_an_alert_raises_no_other(sqlite_store, log, rng):
    """Whoever was told of an alarm isn't alarmed by its own program; a quoted message still may alarm."""
    district, loops = District(sqlite_store, log, rng), Loops(sqlite_store, RING, "d.example", frozenset({BUSES}))
    message_id = await district.route(sender="ana@home.example")
    [route] = await district.deliveries(message_id)
    to = [Destination(via="relay", to="safety@district.example")]
    kind, notice = DeliveryKind.ALERT, Notice(subject="URGENT", text="Look")
    [alert] = await sqlite_store.write(
        lambda c: deliveries.add(c, to, kind=kind, now=NOW, message_id=message_id, notice=notice)
    )
    links = [f"/u/{RING.sign(str(alert), ACKNOWLEDGE)}", f"/m/{RING.sign(str(route.id), MISROUTE)}"]
    found = await loops.decide([mail(n, sender="robot@x.example", text=f"Got: {link}") for n, link in enumerate(links)])
    assert [hold.told for hold in found] == [True, False]


async def test_a_desk_at_a_public_provider_makes_nobody_near(store):
    """A desk at Gmail: families there who write the same few words are no program."""
    desks = frozenset({"office@gmail.com", BUSES})
    step = Breakers(store, desks, LIMITS, lambda content: content.text)
    families = [mail(n, sender=f"parent{n}@gmail.com", text="Sick today.") for n in range(6)]
    assert await held(step, *families) == [False] * 6
    programs = [mail(10 + n, sender=f"case{n}@district.example", text="Sick today.") for n in range(3)]
    assert await held(step, *programs) == [False, False, True]


async def test_who_is_told_of_alarms_has_no_neighbours(store):
    """An address for alerts alone, at a provider that families use, too: their few words are no program's."""
    desks = frozenset({"on-duty@provider.example", BUSES})
    step = Breakers(store, desks, LIMITS, lambda content: content.text, frozenset({BUSES}))
    families = [mail(n, sender=f"parent{n}@provider.example", text="Sick today.") for n in range(6)]
    assert await held(step, *families) == [False] * 6
    programs = [mail(10 + n, sender=f"case{n}@district.example", text="Sick today.") for n in range(3)]
    assert await held(step, *programs) == [False, False, True]


async def test_staff_may_forward_thirty_mails_in_an_hour(store, log, rng):
    """By hand, to the address that families write to: not held as shipped; a program that goes on is, soon after."""
    district, limits = District(store, log, rng), Limits(**dict(LoopSettings()))
    step = Breakers(store, frozenset({BUSES}), limits, lambda content: content.text)
    for number in range(40):
        assert number > 30 or await held(step, mail(1, sender=BUSES)) == [False]
        await district.route(f"buses {number}", sender=BUSES)
    assert await held(step, mail(1, sender=BUSES)) == [True]
