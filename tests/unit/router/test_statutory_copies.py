"""Who else gets a tagged message, and what the mail says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from channels._forward import compose
from config.load import load
from router.destinations import Desks
from router.records import Decision, DeliveryKind, Destination, Reason
from router.routing.statutory import EVALUATION, Statutory
from router.testing_sinks import sample_forward
from tests.unit.router.district import LINCOLN, ByFirstWord, District, desk

COMPLIANCE = Destination(via="relay", to="compliance@district.example")
DEPARTMENTS = (desk("office", covers=()), desk("buses"), desk("meals"))
COPYING = Desks(DEPARTMENTS, (LINCOLN,), "office", {EVALUATION: [COMPLIANCE]})
CONFIGURATION = """\
organization: {name: A District, public_url: "http://127.0.0.1:1", timezone: America/Chicago}
routing:
  fallback: office
  statutory:
    - {match: evaluation, notify: [{via: box, to: compliance}]}
    - {match: records, notify: [{via: box, to: records}, {via: box, to: lawyer}]}
channels:
  contact: {type: web_form}
  box: {type: maildir, path: out}
departments:
  office: {name: Office, deliver: [{via: box, to: office}]}
"""


def test_the_configuration_names_them_by_tag(tmp_path):
    """`match` becomes the tag, `notify` its copies."""
    path = tmp_path / "x.yaml"
    path.write_text(CONFIGURATION)
    copies = load(path).routing.copies()
    assert {tag: [to.to for to in tos] for tag, tos in copies.items()} == {
        "evaluation-request": ["compliance"],
        "records-request": ["records", "lawyer"],
    }


async def test_a_tagged_message_also_goes_to_the_second_recipient(sqlite_store, log, rng):
    """The desk gets it and so does the other; the decision keeps the tag."""
    district = District(sqlite_store, log, rng, steps=(Statutory(), ByFirstWord()))
    district.stage._desks = COPYING
    message_id = await district.route("buses please evaluate my son for dyslexia")
    plain = await district.route("buses are late")
    routes = [d for d in await district.deliveries(message_id) if d.kind is DeliveryKind.ROUTE]
    assert [d.to for d in routes] == ["buses@district.example", COMPLIANCE.to]
    assert [d.to for d in await district.deliveries(plain)] == ["buses@district.example"]


@pytest.mark.parametrize(
    ("reason", "copied"),
    [
        (Reason.MODEL, True),
        (Reason.ABSTAINED, True),
        (Reason.CORRECTION, False),
        (Reason.DISPUTED, False),
        (Reason.OBSERVE, False),
    ],
)
def test_a_copy_is_sent_once(reason, copied):
    """Not again when the message is passed on, and not by a district that only watches."""
    decision = Decision(message_id="M", department="buses", reason=reason, tags=(EVALUATION,), decided_at=None)
    assert (COMPLIANCE in COPYING.destinations(decision)) is copied


def test_the_mail_says_so():
    """A header for programs, a line for people; none without a tag."""
    forward = sample_forward()
    tagged = replace(forward, decision=replace(forward.decision, tags=(EVALUATION,)))
    mail = compose(tagged, sender="router@district.example")
    assert b"X-Signpost-Tags: evaluation-request\r\n" in mail
    assert b"a legal deadline" in mail.replace(b"=\r\n", b"")
    assert b"X-Signpost-Tags" not in compose(forward, sender="router@district.example")


def test_everybody_who_is_told_is_checked_and_known(tmp_path):
    """Alerts, `then` and copies: `check --connect` tries them, and automatic mail from them goes round in no circle."""
    path = tmp_path / "x.yaml"
    urgent = "  urgent: {notify: [{via: box, to: safety}], then: [{via: box, to: principal}]}\n  statutory:"
    path.write_text(CONFIGURATION.replace("  statutory:", urgent))
    told = [each.to for each in load(path).told]
    assert told == ["safety", "principal", "compliance", "records", "lawyer"]
