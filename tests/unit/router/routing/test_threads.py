"""Conversations: what follows an earlier message, where to, and who can't join by guessing. On both kinds of store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from router.records import Content, DeliveryKind, Destination, Medium, Message, Reason
from router.routing.answer import Route
from router.routing.route import Router
from router.routing.schools import Schools
from router.routing.threads import Threads
from router.routing.urgent import Urgent
from router.store import deliveries, messages, threads
from router.store.ledger import status
from tests.unit.router.district import LINCOLN, RING, ByFirstWord, District

DOMAIN = "d.example"
WINDOW = timedelta(minutes=30)
MAIL_ID = "<first@home.example>"
PHONE = "+15555550111"


async def first(original, facts, _medium):
    """Understand the first message of a conversation: a mail, or what the facts say."""
    known = {"sender": "ana@home.example", "external_id": MAIL_ID} | {k: v for k, v in facts.items() if v is not None}
    return Content(text=original.decode(), **known)


class Conversation:
    """The routed message that others continue, about buses at Lincoln, and the step."""

    def __init__(self, store, log, rng):
        self.store = store
        self.district = District(store, log, rng, understand=first)
        self.step = Threads(store, RING, DOMAIN, WINDOW)

    async def begin(self, text="buses are late at Lincoln Elementary", **facts):
        """Route the first message and return its id."""
        self.id = await self.district.route(text, **facts)
        return self.id

    def later(self, medium=Medium.EMAIL, after=timedelta(minutes=1), number=0, **content):
        """Return a message that comes a moment after the first."""
        at = self.store.clock.now() + after
        fields = {"sender": "ana@home.example", "text": "it was number 12"} | content
        return Message(id=f"{number:012}", channel="mail", medium=medium, received_at=at, content=Content(**fields))

    async def ask(self, *later, **more):
        """Ask the step about one later message."""
        [found] = await self.step.decide([later[0] if later else self.later(**more)])
        return found

    def text(self, **more):
        """Ask about a text from the first one's phone."""
        return self.ask(medium=Medium.SMS, **({"sender": PHONE} | more))

    async def pass_on(self, to):
        """Correct the first message."""
        now = self.store.clock.now()
        flag = self.district.corrections.flag
        await self.store.write(lambda c: flag(c, self.id, to, by="jo", via="command", now=now))

    async def answer_sent(self, kind=DeliveryKind.ANSWER):
        """Return the Message-ID of a mail that we sent about the first message: to its writer, if it is an answer."""
        [routed] = await self.district.deliveries(self.id)
        if kind is DeliveryKind.ROUTE:
            return RING.mail_id(routed.id, DOMAIN)
        now = self.store.clock.now()
        details = {"kind": kind, "now": now, "message_id": self.id, "decision_id": routed.decision_id}
        to = [Destination(via="relay", to="ana@home.example")]
        [number] = await self.store.write(lambda c: deliveries.add(c, to, **details))
        return RING.mail_id(number, DOMAIN)


@pytest.fixture
async def talk(store, log, rng):
    """A conversation that has not begun."""
    return Conversation(store, log, rng)


# --- mails ------------------------------------------------------------------------------------------------------------


async def test_a_reply_follows_its_thread(talk):
    """The same sender's earlier Message-ID is enough; the school goes with it."""
    message_id = await talk.begin()

    found = await talk.ask(sender="ANA@home.example", in_reply_to=MAIL_ID)

    assert found == Route(department="buses", reason=Reason.THREAD, detail=f"continues {message_id}", school="lincoln")


async def test_a_reply_to_our_own_mail_follows_the_message_it_carried(talk):
    """Our signed id stands for the family's own."""
    message_id = await talk.begin()

    found = await talk.ask(references=(await talk.answer_sent(DeliveryKind.ROUTE),))

    assert (found.department, found.detail) == ("buses", f"continues {message_id}")


async def test_whoever_was_sent_our_answer_may_write_back_from_elsewhere(talk):
    """An acknowledgement goes to the writer alone: its signed id is proof, also from the father's address."""
    await talk.begin()

    assert (await talk.ask(sender="dad@work.example", in_reply_to=await talk.answer_sent())).department == "buses"


async def test_a_thread_is_followed_to_where_it_stands_now(talk):
    """Also after a correction, and after another one."""
    await talk.begin()
    for department in ("meals", "office"):
        await talk.pass_on(department)
        assert (await talk.ask(references=(MAIL_ID,))).department == department


async def test_a_stranger_who_knows_or_guesses_an_id_does_not_join(talk):
    """The mail's own id, our id, forged signatures, the reference: the sender has to be who wrote before."""
    message_id = await talk.begin(sender="ana@home.example", phone=PHONE)
    ours, [routed] = await talk.answer_sent(DeliveryKind.ROUTE), await talk.district.deliveries(message_id)
    right = await talk.answer_sent()
    number = routed.id
    forged = [
        {"in_reply_to": MAIL_ID},
        {"references": ("<x@y.example>", MAIL_ID)},
        {"in_reply_to": ours},  # a colleague it was forwarded to: right, but not the family
        {"in_reply_to": f"<signpost.{number}.{'0' * 24}@{DOMAIN}>"},
        {"in_reply_to": f"<signpost.{number}.@{DOMAIN}>"},
        {"in_reply_to": f"<signpost.{number + 1}.{right.split('.')[2].split('@')[0][::-1]}@{DOMAIN}>"},
        {"in_reply_to": right.replace(DOMAIN, "evil.example")},
        {"in_reply_to": right.replace(f".{number + 1}.", f".{number}.")},  # the signature of another delivery
        {"in_reply_to": f"<signpost.{9**18}.{'a' * 24}@{DOMAIN}>"},
        {"in_reply_to": f"<signpost.-1.{'a' * 24}@{DOMAIN}>"},
        {"in_reply_to": f"<{message_id}@{DOMAIN}>"},
        {"subject": f"Re: {message_id}"},
        {"references": (message_id,)},
        {"text": f"my reference is {message_id}", "reply_to": "eve@evil.example", "phone": "+15555550999"},
        {"text": message_id, "medium": Medium.SMS, "sender": "+15555550999"},
        {"text": message_id, "medium": Medium.WEB_FORM, "sender": ""},
    ]
    for signs in forged:
        assert await talk.ask(**({"sender": "eve@evil.example"} | signs)) is None, signs


async def test_a_mail_about_nothing_earlier_is_the_first(talk):
    """An id that nobody knows, none at all, and a message that came before."""
    await talk.begin()

    assert await talk.ask() is None
    assert await talk.ask(in_reply_to="<unknown@home.example>") is None
    assert await talk.ask(in_reply_to=MAIL_ID, after=-timedelta(hours=1)) is None


@pytest.mark.parametrize("sign", ["mail", "reference", "answer", "text"])
async def test_where_nobody_knew_what_the_first_was_about_a_later_one_speaks_for_itself(talk, sign):
    """What continues a greeting that the fallback got goes on to rules and model, until that is passed on."""
    ref = await talk.begin("hello", **({"sender": PHONE} if sign == "text" else {}))
    said = {
        "mail": {"in_reply_to": MAIL_ID},
        "reference": {"medium": Medium.WEB_FORM, "references": (ref,)},
        "answer": {"sender": "dad@work.example", "in_reply_to": await talk.answer_sent()},
        "text": {"medium": Medium.SMS, "sender": PHONE},
    }[sign]
    assert await talk.ask(**said) is None

    await talk.pass_on("meals")
    assert (await talk.ask(**said)).department == "meals"


async def test_behind_what_nobody_knew_the_earlier_one_of_a_thread_is_followed(talk):
    """A thread's last mail went to the fallback: the one before says where the thread stands."""
    known = await talk.begin()
    await talk.begin("hello", external_id="<second@home.example>")

    found = await talk.ask(references=(MAIL_ID, "<second@home.example>"))

    assert (found.department, found.detail) == ("buses", f"continues {known}")


async def test_what_is_held_is_not_followed(talk):
    """A thread stands somewhere only once it is routed."""
    message_id = await talk.district.accept("buses", sender="ana@home.example")

    assert await talk.ask(subject=message_id) is None


# --- references -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {"references": ("{id}",)},  # the form's own field
        {"subject": "more on {id}"},
        {"text": "My reference is {dashed}, thank you."},
        {"text": "ref {spaced}"},
        {"subject": "Re: We have received your message ({id})"},
        {"text": "{small}"},
    ],
)
async def test_a_reference_is_followed_with_the_same_address_or_phone(talk, said):
    """In the form's field, the subject or the message, however it is written; by who gave the same mail or number."""
    ref = await talk.begin(sender="ana@home.example", phone=PHONE)
    forms = {"id": ref, "dashed": "-".join((ref[:4], ref[4:8], ref[8:])), "small": ref.lower(),
             "spaced": " ".join((ref[:4], ref[4:8], ref[8:]))}  # fmt: skip
    fields = {
        name: tuple(each.format(**forms) for each in value) if isinstance(value, tuple) else value.format(**forms)
        for name, value in said.items()
    }
    form = {"medium": Medium.WEB_FORM, **fields}

    assert (await talk.ask(**form)).department == "buses"
    assert (await talk.ask(**form, reply_to="ana@home.example")).department == "buses"
    assert (await talk.ask(**{**form, "sender": "other@home.example", "phone": PHONE})).department == "buses"
    assert (await talk.ask(**{**form, "sender": PHONE})).department == "buses"
    assert await talk.ask(**{**form, "sender": "other@home.example"}) is None


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "department"),
    [
        ({}, "buses"),
        ({"text": "he is 7 and wears a red jacket, please call me at this number as soon as you can"}, "buses"),
        ({"after": WINDOW}, "buses"),
        ({"after": WINDOW + timedelta(seconds=1)}, None),
        ({"sender": "+15555550112"}, None),
        ({"text": "and another thing: how do I pay the lunch account online please"}, None),
        ({"text": "otra pregunta, cuánto cuesta el almuerzo"}, None),
        ({"medium": Medium.WEB_FORM}, None),  # only a text needs no id
    ],
)
async def test_a_second_text_follows_within_the_window(talk, more, department):
    """Texts have no ids: phone and time stand for them, unless the text says that it is about something else."""
    now = talk.store.clock.now()
    await talk.begin(sender=PHONE)
    at = (await talk.store.read(lambda c: messages.get(c, talk.id))).received_at
    later = talk.later(**({"medium": Medium.SMS, "sender": PHONE} | {k: v for k, v in more.items() if k != "after"}))
    later = replace(later, received_at=at + more.get("after", timedelta(minutes=1)))

    found = await talk.ask(later)

    assert (found.department if found else None) == department
    assert at >= now


async def test_the_window_can_be_closed(talk):
    """With `thread_window: 0s` every text stands for itself."""
    await talk.begin(sender=PHONE)
    talk.step = Threads(talk.store, RING, DOMAIN, timedelta(0))

    assert await talk.text() is None


async def test_a_second_text_goes_where_the_first_was_passed_on_to(talk):
    """Also after a correction; the latest of several texts is the one that is followed."""
    await talk.begin(sender=PHONE)
    await talk.pass_on("meals")

    assert (await talk.text()).department == "meals"


def router(talk, log, *steps):
    """Return a router with the step before others."""
    schools = Schools((LINCOLN,))
    return Router(
        (talk.step, *steps), fallback="office", schools=schools, observe=False, clock=talk.store.clock, log=log
    )


async def test_texts_that_are_decided_together_follow_each_other(talk, log):
    """Three texts in a row, taken up in one batch: the later ones follow the first, with its school."""
    said = ("buses never came to Lincoln Elementary", "he is 7 years old", "meals or not, call me")
    texts = [talk.later(Medium.SMS, timedelta(seconds=n), n, sender=PHONE, text=words) for n, words in enumerate(said)]
    other = talk.later(Medium.SMS, timedelta(seconds=9), 9, sender="+15555550112", text="meals")

    verdicts = await router(talk, log, ByFirstWord()).decide([*texts, other])

    found = [(v.decision.department, v.decision.reason, v.decision.school) for v in verdicts]
    assert found == [
        ("buses", Reason.MODEL, "lincoln"),
        ("buses", Reason.THREAD, "lincoln"),
        ("buses", Reason.THREAD, "lincoln"),
        ("meals", Reason.MODEL, ""),
    ]


async def test_of_texts_decided_together_one_follows_only_what_was_known(talk, log):
    """A greeting that nobody could place holds nobody back; the third text follows the second."""
    texts = [
        talk.later(Medium.SMS, timedelta(seconds=n), n, sender=PHONE, text=words)
        for n, words in enumerate(("hello", "buses are late", "number 12"))
    ]

    verdicts = await router(talk, log, ByFirstWord()).decide(texts)

    assert [v.decision.department for v in verdicts] == ["office", "buses", "buses"]


async def test_a_message_that_names_another_school_keeps_it(talk, log):
    """The thread's school counts only where the message names none."""
    await talk.begin("buses are late")  # of no school
    named = talk.later(in_reply_to=MAIL_ID, text="I mean Lincoln Elementary")
    plain = talk.later(in_reply_to=MAIL_ID, number=1)

    verdicts = await router(talk, log).decide([named, plain])

    assert [v.decision.school for v in verdicts] == ["lincoln", ""]


async def test_an_urgent_second_message_still_alerts(store, log, rng):
    """It goes where its thread stands, and people are told all the same."""
    step = Threads(store, RING, DOMAIN, WINDOW)
    district = District(store, log, rng, steps=(Urgent(), step, ByFirstWord()), understand=first)
    await district.route("buses are late")

    message_id = await district.route("my son never came home", external_id="", in_reply_to=MAIL_ID)

    kinds = {(each.kind, each.department) for each in await district.deliveries(message_id)}
    assert {kind for kind, _ in kinds} == {DeliveryKind.ROUTE, DeliveryKind.ALERT}
    assert (DeliveryKind.ROUTE, "buses") in kinds
    counts = (await store.read(lambda c: status(c, store.clock.now())))["messages"]
    assert counts["received"] == counts["routed"] == 2


async def test_finding_a_thread_asks_an_index(sqlite_store):
    """Neither a mail's ids nor a text's sender make the store look through all messages."""
    now = sqlite_store.clock.now()

    def plan(connection, statement):
        named = statement.compile(
            dialect=sqlite.dialect(paramstyle="named"), compile_kwargs={"render_postcompile": True}
        )
        return str(connection.execute(text(f"EXPLAIN QUERY PLAN {named}"), named.params).all())

    by_id = await sqlite_store.read(lambda c: plan(c, threads.by_external_id(["<a@b.example>"], now)))
    by_sender = await sqlite_store.read(lambda c: plan(c, threads.by_sender("a", now, now)))
    assert "ix_messages_external_id" in by_id
    assert "ix_messages_sender" in by_sender
