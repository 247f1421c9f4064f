"""Reports of mail servers are matched to exactly their delivery, and a forged one proves nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from channels._failures import is_for_good
from channels._mime import understand
from router.records import Content, DeliveryState, Fate, Medium, Message, Report
from router.routing.answer import File, Hold
from router.routing.reports import LATEST, Reports
from router.store import deliveries
from tests.unit.channels import bounces
from tests.unit.router.district import RING, District

DOMAIN = "d.example"
BUSES = "buses@district.example"


@pytest.fixture
def step(sqlite_store):
    """The step, in a district whose mailbox is called `mail`."""
    return Reports(sqlite_store, RING, DOMAIN, {"mail"}, is_for_good)


@pytest.fixture
async def delivery(sqlite_store, log, rng):
    """A delivery to the buses that has left."""
    district = District(sqlite_store, log, rng)
    [waiting] = await district.deliveries(await district.route())
    now = sqlite_store.clock.now()
    [leased] = await sqlite_store.write(lambda c: deliveries.lease(c, "relay", "d1", now, 1))
    await sqlite_store.write(lambda c: deliveries.settle(c, leased, DeliveryState.DELIVERED, now))
    return waiting


def arrived(original, at, *, medium=Medium.EMAIL, channel="mail", released=False, **facts):
    """Return a mail as it comes in."""
    content = original if isinstance(original, Content) else understand(original, facts, medium.value)
    return Message(
        id="0WE28VGDH208", channel=channel, medium=medium, received_at=at, content=content, released=released
    )


async def answer(step, original, delivery, **how):
    """Ask the step about one mail, an hour after the delivery."""
    [found] = await step.decide([arrived(original, delivery.created_at + timedelta(hours=1), **how)])
    return found


def ours(delivery):
    """Return the Message-ID of a delivery."""
    return RING.mail_id(delivery.id, DOMAIN)


@pytest.mark.parametrize("server", [bounces.report, bounces.exchange, bounces.gmail, bounces.qmail, bounces.exim])
async def test_a_failure_is_matched_to_its_delivery(step, delivery, server):
    """Whatever server tells it, the report is filed, and the delivery came back for good."""
    found = await answer(step, server(ours(delivery), BUSES), delivery)

    assert isinstance(found, File)
    assert (found.delivery_id, found.returned.delivery_id, found.returned.lasting) == (delivery.id, delivery.id, True)
    assert found.returned.reason.startswith("the mail was taken and came back: 5.")
    assert "@" not in found.returned.reason


@pytest.mark.parametrize(
    ("status", "said", "lasting"),
    [
        ("5.2.2", "smtp; 552 5.2.2 mailbox full", False),
        ("4.4.7", "smtp; 550 4.4.7 expired", False),
        ("5.0.0", "smtp; 550 over quota", False),
        ("5.7.1", "smtp; 550 5.7.1 blocked", True),
        ("5.1.1", "smtp; 550 5.1.1 quota of this unknown user", True),
    ],
)
async def test_what_passes_is_not_for_good(step, delivery, status, said, lasting):
    """A full mailbox and what a server gave up are tried again; a refusal of this address isn't."""
    found = await answer(step, bounces.report(ours(delivery), BUSES, status=status, said=said), delivery)
    assert found.returned.lasting is lasting


async def test_an_alias_that_leads_elsewhere_is_ours(step, delivery):
    """A report on where an alias led counts if it names the address that we wrote to."""
    found = await answer(step, bounces.report(ours(delivery), BUSES, final="jo@elsewhere.example"), delivery)
    assert found.returned.delivery_id == delivery.id


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
async def test_what_is_no_failure_is_filed(step, delivery, action):
    """It is noted, and changes nothing."""
    found = await answer(step, bounces.report(ours(delivery), BUSES, action=action, status="4.4.1"), delivery)
    assert (found.delivery_id, found.returned) == (delivery.id, None)
    assert action in found.detail


async def test_a_read_receipt_is_filed(step, delivery):
    """It tells that the mail was seen."""
    found = await answer(step, bounces.receipt(ours(delivery)), delivery)
    assert (found.delivery_id, found.returned) == (delivery.id, None)


async def test_a_report_without_the_mail_is_matched_by_what_it_answers(step, delivery):
    """Some servers return nothing; In-Reply-To or References name the mail all the same."""
    report = Report(kind="delivery-status", fates=(Fate(recipients=(BUSES,), action="failed", status="5.1.1"),))
    for names in ({"in_reply_to": ours(delivery)}, {"references": ("<x@y>", ours(delivery))}):
        found = await answer(step, Content(report=report, **names), delivery)
        assert found.returned.delivery_id == delivery.id


async def test_a_message_id_that_we_never_made_proves_nothing(step, delivery):
    """A guess, another district's, another mail returned in an answer to ours: held, no delivery named."""
    foreign = [
        ours(delivery).replace("signpost.", "signpost.1"),
        f"<signpost.{delivery.id}.{'0' * 24}@{DOMAIN}>",
        "<somebody@else.example>",
    ]
    for mail_id in foreign:
        found = await answer(step, bounces.report(mail_id, BUSES), delivery)
        assert isinstance(found, Hold)
    report = understand(bounces.report("<x@else.example>", BUSES), {}, "email").report
    assert isinstance(await answer(step, Content(in_reply_to=ours(delivery), report=report), delivery), Hold)


@pytest.mark.parametrize(
    ("why", "to", "facts"),
    [
        ("about another recipient", "meals@district.example", {}),
        ("not from a mail server", BUSES, {"envelope_from": "eve@elsewhere.example"}),
    ],
)
async def test_a_forged_report_is_held(step, delivery, why, to, facts):
    """Who knows the Message-ID still has to know the recipient, and a mail server writes with an empty reverse path."""
    found = await answer(step, bounces.report(ours(delivery), to), delivery, **facts)
    assert isinstance(found, Hold)
    assert why in found.detail


@pytest.mark.parametrize(
    "how", [{"channel": "contact"}, {"medium": Medium.WEB_FORM, "channel": "contact"}, {"released": True}]
)
async def test_what_comes_from_the_wrong_side_goes_on(step, delivery, how):
    """A report that came by a form or a provider's webhook, or that a person released, is a message like any other."""
    assert await answer(step, bounces.report(ours(delivery), BUSES), delivery, **how) is None


async def test_a_late_report_is_held(step, delivery):
    """Two weeks after the delivery nobody knows what it would undo."""
    for late, kind in ((LATEST, File), (LATEST + timedelta(seconds=1), Hold)):
        [found] = await step.decide([arrived(bounces.report(ours(delivery), BUSES), delivery.created_at + late)])
        assert isinstance(found, kind)


@pytest.mark.parametrize(
    ("state", "kind"),
    [(DeliveryState.DEAD, File), (DeliveryState.DROPPED, File), (DeliveryState.UNCLEAR, Hold)],
)
async def test_only_what_has_left_can_come_back(step, sqlite_store, log, rng, state, kind):
    """A delivery in another state isn't touched; about an unclear one a person is told."""
    district = District(sqlite_store, log, rng)
    [delivery] = await district.deliveries(await district.route())
    report = bounces.report(ours(delivery), BUSES)
    waiting = await answer(step, report, delivery)

    now = sqlite_store.clock.now()
    [leased] = await sqlite_store.write(lambda c: deliveries.lease(c, "relay", "d1", now, 1))
    await sqlite_store.write(lambda c: deliveries.settle(c, leased, state, now))
    found = await answer(step, report, delivery)

    assert (type(waiting), waiting.returned) == (File, None)
    assert isinstance(found, kind)
    assert getattr(found, "returned", None) is None


async def test_a_report_may_be_faster_than_our_own_note(step, sqlite_store, log, rng):
    """While the server's 250 is on its way into the store, the delivery has left all the same."""
    district = District(sqlite_store, log, rng)
    [delivery] = await district.deliveries(await district.route())
    await sqlite_store.write(lambda c: deliveries.lease(c, "relay", "d1", sqlite_store.clock.now(), 1))

    found = await answer(step, bounces.report(ours(delivery), BUSES), delivery)

    assert found.returned.delivery_id == delivery.id


async def test_failures_of_others_mails_are_held_and_the_rest_goes_on(step, delivery):
    """A person looks at a failure that can't be matched; another server's delay or a human postmaster is routed."""
    unknown = "<staff-1@district.example>"
    assert isinstance(await answer(step, bounces.report(unknown, "x@y.example"), delivery), Hold)
    assert isinstance(await answer(step, bounces.qmail(unknown, "x@y.example"), delivery), Hold)
    assert await answer(step, bounces.report(unknown, "x@y.example", action="delayed"), delivery) is None
    said = b"From: postmaster@d.example\r\nSubject: rejected\r\n\r\nYour request was rejected, see me.\r\n"
    assert await answer(step, said, delivery) is None
