"""What is read of mail that comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels._mime import understand
from router.understand_child import decode_content, encode_content
from tests.unit.channels import bounces

CORPORA = Path(__file__).parents[4] / "shared" / "data" / "mail"
MAIL_ID = "<signpost.7.abcdef@maple.example>"
TO = "office@maple.example"


def read(original, medium="email", **facts):
    """Understand a mail."""
    return understand(original, facts, medium)


@pytest.mark.parametrize(
    ("original", "kind", "status", "said"),
    [
        (bounces.report(MAIL_ID, TO), "delivery-status", "5.1.1", "550 5.1.1 No such user here"),
        (bounces.report(MAIL_ID, TO, returned="message/rfc822"), "delivery-status", "5.1.1", "550 5.1.1 No such"),
        (bounces.exchange(MAIL_ID, TO), "delivery-status", "5.1.10", "550 5.1.10 RESOLVER.ADR.RecipientNotFound;"),
        (bounces.gmail(MAIL_ID, TO), "bounce", "5.1.1", "550 5.1.1 The email account"),
        (bounces.qmail(MAIL_ID, TO), "bounce", "5.1.1", "Sorry, no mailbox here by that name. (#5.1.1)"),
        (bounces.exim(MAIL_ID, TO), "bounce", "5.0.0", "host mx2.maple.example [192.0.2.1]: 550 Unrouteable"),
    ],
    ids=["postfix", "postfix-whole", "exchange", "gmail", "qmail", "exim"],
)
def test_a_failure_is_read_whatever_server_tells_it(original, kind, status, said):
    """The returned mail's own Message-ID (not the family's inside it), the recipient, the status and the reason."""
    content = read(original)

    [fate] = content.report.fates
    assert (content.report.kind, content.report.mail_id) == (kind, MAIL_ID)
    assert (fate.recipients, fate.action, fate.status) == ((TO,), "failed", status)
    assert fate.said.startswith(said)
    assert content.auto_submitted


@pytest.mark.parametrize("action", ["delayed", "delivered", "relayed", "expanded"])
def test_what_is_no_failure_says_so(action):
    """The action is the server's own word."""
    [fate] = read(bounces.report(MAIL_ID, TO, action=action, status="4.4.1")).report.fates
    assert fate.action == action


def test_a_warning_in_words_is_no_failure():
    """Exim's "has not yet been delivered" counts as delayed."""
    [fate] = read(bounces.exim(MAIL_ID, TO, late=True)).report.fates
    assert fate.action == "delayed"


def test_an_alias_leaves_both_addresses():
    """Where it was to go at last and where it was sent at first are both recipients."""
    [fate] = read(bounces.report(MAIL_ID, TO, final="jo@elsewhere.example")).report.fates
    assert fate.recipients == ("jo@elsewhere.example", TO)


def test_a_read_receipt_names_the_mail():
    """It has no fates, and its Message-ID is in a field."""
    found = read(bounces.receipt(MAIL_ID)).report
    assert (found.kind, found.mail_id, found.fates) == ("disposition-notification", MAIL_ID, ())


def test_returned_headers_may_be_encoded():
    """Some gateways encode the returned part, against the rules."""
    mail = bounces.report(MAIL_ID, TO)
    head, _, rest = mail.partition(b"Content-Type: text/rfc822-headers\r\n\r\n")
    encoded = rest.replace(b"=", b"=3D").replace(b"Message-ID", b"Message=2DID")
    coded = head + b"Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + encoded
    assert read(coded).report.mail_id == MAIL_ID


@pytest.mark.parametrize(
    "original",
    [
        b"From: ana@home.example\r\nSubject: it failed\r\n\r\n550 5.1.1 o@maple.example could not be delivered\r\n",
        b"From: postmaster@maple.example\r\nSubject: Maintenance\r\n\r\nThe server rests on Sunday.\r\n",
        b"From: ana@home.example\r\nContent-Type: message/rfc822\r\n\r\n" + bounces.report(MAIL_ID, TO),
    ],
    ids=["a person", "a postmaster's news", "forwarded by a person"],
)
def test_what_no_mail_server_reports_is_no_report(original):
    """A person who writes about a bounce, or passes one on, is a person."""
    assert read(original).report is None


def test_what_came_by_another_medium_is_no_report():
    """A form can't send mail back, whatever is typed into it."""
    assert read(bounces.report(MAIL_ID, TO), medium="web_form").report is None


def test_the_transaction_s_reverse_path_wins():
    """What MAIL FROM said replaces the Return-Path that the sender wrote."""
    original = b"Return-Path: <>\r\nFrom: x@y.example\r\n\r\nhello"
    assert read(original, envelope_from="ana@home.example").headers["return-path"] == ("<ana@home.example>",)
    assert read(original, envelope_from="").headers["return-path"] == ("<>",)
    assert read(original).headers["return-path"] == ("<>",)


@given(st.sampled_from([bounces.report, bounces.exchange, bounces.gmail, bounces.qmail]), st.data())
def test_a_mangled_report_breaks_nothing(server, data):
    """Whatever becomes of its bytes on the way, the answer is a content that leaves the reading process unchanged."""
    original = bytearray(server(MAIL_ID, TO))
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(original)))
        original[at : at + data.draw(st.integers(0, 200))] = data.draw(st.binary(max_size=20))
    content = read(bytes(original))
    assert decode_content(encode_content(content)) == content


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the mail corpora lie beside the checkout, and aren't here")
def test_real_reports_are_read():
    """The statuses that another project expects of real bounces are found; all twenty real reports are recognised."""
    expected = json.loads((CORPORA / "flanker" / "expected.json").read_text())["cases"]
    for case in expected:
        found = read((CORPORA / "flanker" / case["file"]).read_bytes()).report
        assert (found is not None) == case["is_bounce"], case
        assert found is None or found.fates[0].status == case["status"], case
    paths = [path for path in CORPORA.rglob("*") if path.is_file() and path.suffix not in (".json", ".md", ".html")]
    reports = [found for path in paths if (found := read(path.read_bytes()).report)]
    assert len(reports) >= 20
    assert sum(bool(found.mail_id) for found in reports) >= 15
