"""The small steps: loops, what can't be read, what looks like spam."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from router.records import Content, Medium, Message, Reason
from router.routing.answer import Hold
from router.routing.spam import Spam
from router.routing.steps import MAX_HOPS, Loops, Suspicion, Unreadable
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
    suspicious = await answer(Suspicion(Spam(fallback="office")), mail(suspicion="honeypot filled in"))

    assert (unreadable.department, unreadable.reason, unreadable.detail) == ("office", Reason.UNREADABLE, "too deep")
    assert (suspicious.department, suspicious.reason) == ("office", Reason.ABSTAINED)
    assert "honeypot" in suspicious.detail
    assert await answer(Unreadable("office"), mail()) is None
    assert await answer(Suspicion(Spam(fallback="office")), mail()) is None
