"""What is understood of ordinary mail."""

from __future__ import annotations

from pathlib import Path

import pytest

from channels._mime import NOTED_HEADERS, mail_id, understand

HEAD = b"From: Ana Ruiz <ana@example.org>\r\nTo: contact@district.example\r\nSubject: Bus 12\r\n"
CORPORA = Path(__file__).parents[4] / "shared" / "data" / "mail"


def said(original: bytes, facts: dict | None = None, medium: str = "email"):
    return understand(original, facts or {}, medium)


def multipart(kind: str, *parts: bytes) -> bytes:
    body = b"".join(b"--xx\r\n" + part + b"\r\n" for part in parts)
    return HEAD + b"Content-Type: multipart/" + kind.encode() + b'; boundary="xx"\r\n\r\n' + body + b"--xx--\r\n"


def part(kind: str, body: str, *headers: str) -> bytes:
    return "\r\n".join([f"Content-Type: {kind}", *headers, "", body]).encode()


def test_a_plain_mail_is_read():
    """Sender, name, recipient, subject, text and Message-ID of a plain mail are found."""
    content = said(HEAD + b"Message-ID: <a@b>\r\n\r\nIt was late.\r\n")
    assert (content.sender, content.sender_name, content.reply_to) == ("ana@example.org", "Ana Ruiz", "ana@example.org")
    assert (content.recipient, content.subject) == ("contact@district.example", "Bus 12")
    assert (content.text.strip(), content.external_id, content.unreadable) == ("It was late.", "<a@b>", "")


def test_facts_win_over_headers():
    """What the channel knows beside the bytes is believed rather than the bytes."""
    facts = {
        "sender": "+15555550111",
        "sender_name": "Ana",
        "phone": "+15555550111",
        "recipient": "line",
        "subject": "S",
        "topic": "health",
        "school": "lincoln",
        "language": "es",
        "external_id": "SM1",
        "reference": "R7",
        "suspicion": "x",
    }
    content = said(HEAD + b"References: <old@b>\r\n\r\nhi", facts)
    assert content.sender == content.phone == "+15555550111"
    assert content.reply_to == ""
    for name in ("sender_name", "recipient", "subject", "topic", "school", "language", "external_id", "suspicion"):
        assert getattr(content, name) == facts[name]
    assert content.references == ("<old@b>", "R7")


def test_every_recipient_is_known():
    """The envelope's first, then those of To, Cc and Delivered-To, each once, fifty at most; one alone is no list."""
    raw = b"Delivered-To: c@d.example\r\nTo: A <a@d.example>, b@d.example\r\nCc: c@d.example\r\n\r\nhi"
    assert (said(raw).recipient, said(raw).recipients) == ("a@d.example", ("a@d.example", "b@d.example", "c@d.example"))
    several = said(raw, {"recipient": "r@d.example", "recipients": ["r@d.example", 7, "b@d.example", ""]})
    assert several.recipient == "r@d.example"
    assert several.recipients == ("r@d.example", "b@d.example", "a@d.example", "c@d.example")
    assert said(b"To: a@d.example\r\n\r\nhi", {"recipients": ["a@d.example"]}).recipients == ()
    many = ", ".join(f"p{n}@d.example" for n in range(90)).encode()
    assert len(said(b"To: " + many + b"\r\n\r\nhi").recipients) == 50


def test_facts_of_other_types_are_left_aside():
    """A fact that isn't text changes nothing."""
    assert said(HEAD + b"\r\nhi", {"subject": 7, "sender": None, "topic": ["a"]}).subject == "Bus 12"


def test_reply_to_reaches_the_family():
    """Reply-To is where answers go, From is who wrote."""
    content = said(b"Reply-To: home@example.org\r\n" + HEAD + b"\r\nhi")
    assert (content.sender, content.reply_to) == ("ana@example.org", "home@example.org")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"=?utf-8?q?Autob=C3=BAs?= 12", "Autobús 12"),
        (b"=?utf-8?b?QXV0?= =?utf-8?b?b2LDunM=?=", "Autobús"),
        (b"=?utf-8?b?QXV0b2LD?=\r\n =?utf-8?b?unM=?=", "Autobús"),  # a letter split over two words
        (b"=?iso-8859-1?q?Autob=FAs?=", "Autobús"),
        ("Autobús".encode(), "Autobús"),
        ("Autobús".encode("latin-1"), "Autobús"),
        (b"=?x-unknown?q?late?=", "late"),
        (b"=?utf-8?q?hello=0D=0ABcc=3A_evil=40x.y?=", "hello Bcc: evil@x.y"),
        (b"=?utf-8?b?A?=", ""),
    ],
)
def test_subjects_are_decoded(raw: bytes, text: str):
    """Encoded words, raw UTF-8, Latin-1 and unknown charsets give one clean line."""
    assert said(b"Subject: " + raw + b"\r\n\r\nx").subject == text


def test_html_alone_gives_the_text():
    """A mail that is only HTML is read as what its reader sees."""
    mail = HEAD + b"Content-Type: text/html; charset=utf-8\r\n\r\n<style>p{}</style><p>Bus <b>12</b> was late.</p>"
    assert said(mail).text == said(mail).html_text == "Bus 12 was late."


def test_plain_text_is_preferred_where_both_say_the_same():
    """Of two alternatives that agree, the plain one is the text; the HTML's text is kept beside it."""
    content = said(
        multipart("alternative", part("text/plain", "The bus was late."), part("text/html", "<p>The bus was late.</p>"))
    )
    assert (content.text, content.html_text) == ("The bus was late.", "The bus was late.")


def test_a_placeholder_does_not_hide_the_html():
    """A plain part that only says "use another program" isn't taken for the message."""
    html = "<p>My daughter was hurt on the playground this morning and nobody called me.</p>"
    content = said(
        multipart("alternative", part("text/plain", "Your program can't show HTML."), part("text/html", html))
    )
    assert content.text.startswith("My daughter was hurt")
    assert "can't show HTML" in content.text


def test_a_forwarded_mail_counts_below_what_was_written():
    """The text of an enclosed message follows the outer text, with its subject."""
    inner = "Subject: Pool rental\r\nFrom: coach@example.org\r\n\r\nMay we rent the pool?"
    content = said(multipart("mixed", part("text/plain", "Please see below."), part("message/rfc822", inner)))
    assert content.text == "Please see below.\n\nPool rental\n\nMay we rent the pool?"
    assert content.sender == "ana@example.org"
    assert [(item.name, item.content_type) for item in content.attachments] == [("message.eml", "message/rfc822")]


def test_attachments_are_listed_with_their_decoded_size():
    """Name, type and size of each file are listed; its bytes stay in the original."""
    pdf = part(
        "application/pdf",
        "aGVsbG8=",
        "Content-Transfer-Encoding: base64",
        'Content-Disposition: attachment; filename="note.pdf"',
    )
    content = said(multipart("mixed", part("text/plain", "See the note."), pdf))
    assert content.text == "See the note."
    assert [(item.name, item.content_type, item.size) for item in content.attachments] == [
        ("note.pdf", "application/pdf", 5)
    ]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("filename*=utf-8''..%2F..%2Fetc%2Fpasswd%00.pdf", "passwd.pdf"),
        ('filename="=?utf-8?b?aW524oCuZmRwLmV4ZQ==?="', "invfdp.exe"),  # right-to-left override
        ('filename="C:\\\\Users\\\\ana\\\\note.pdf"', "note.pdf"),
        ("filename*0=no; filename*1=te.pdf", "note.pdf"),
        ("filename*0*=utf-8''Autob%C3; filename*1*=%BAs.pdf", "Autobs.pdf"),
        ('filename="a<b>.html"', "a_b_.html"),
        ('filename="..."', "attachment"),
        ("filename=" + "x" * 500 + ".pdf", "x" * 76 + ".pdf"),
    ],
)
def test_file_names_are_safe_to_show(disposition: str, name: str):
    """No path, control, override character or endless name is left in a file's name."""
    content = said(multipart("mixed", part("application/pdf", "x", f"Content-Disposition: attachment; {disposition}")))
    shown = content.attachments[0].name
    assert shown == name or ("Autob" in name and shown.startswith("Autob") and shown.endswith("s.pdf"))


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Precedence: bulk",
        "Precedence: list",
        "Precedence: junk",
        "Precedence: auto_reply",
        "List-Id: <a.b>",
        "List-Unsubscribe: <mailto:x@y.z>",
        "X-Auto-Response-Suppress: All",
        "X-Autoreply: yes",
        "X-Autorespond: yes",
        "Return-Path: <>",
        "Content-Type: multipart/report; boundary=x",
        "Auto-Submitted: auto-generated; x=y",
    ],
)
def test_automatic_mail_is_recognised(header: str):
    """Each mark of RFC 3834 and its relatives says that no person waits for an answer."""
    assert said(HEAD + header.encode() + b"\r\n\r\nI am away.").auto_submitted


@pytest.mark.parametrize("sender", ["MAILER-DAEMON@x.org", "no-reply@x.org", "postmaster@x.org", "donotreply+7@x.org"])
def test_mail_of_robots_is_automatic(sender: str):
    """Addresses that nobody reads are no person's."""
    assert said(b"From: " + sender.encode() + b"\r\n\r\nx").auto_submitted


def test_a_persons_mail_is_not_automatic():
    """Neither a plain mail nor an explicit "no" is automatic; a null envelope sender is."""
    assert not said(HEAD + b"\r\nx").auto_submitted
    assert not said(HEAD + b"Auto-Submitted: no\r\n\r\nx", {"envelope_from": "ana@example.org"}).auto_submitted
    assert said(HEAD + b"\r\nx", {"envelope_from": ""}).auto_submitted
    assert not said(b"X-Field-Phone: 1\r\n\r\nx", {}, "sms").auto_submitted


def test_threading_and_routing_headers_are_noted():
    """Message-IDs, hops and the headers that routing looks at are kept; others aren't."""
    content = said(
        HEAD
        + b"In-Reply-To: <1@x>\r\nReferences: <0@x>\r\n <1@x>\r\nReceived: a\r\nReceived: b\r\nDelivered-To: d@x\r\n"
        b"X-Signpost-Message: M1\r\nX-Mailer: y\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nx"
    )
    assert (content.in_reply_to, content.references, content.hops) == ("<1@x>", ("<0@x>", "<1@x>"), 2)
    assert dict(content.headers) == {
        "delivered-to": ("d@x",),
        "x-signpost-message": ("M1",),
        "content-type": ("text/plain",),
    }
    assert "delivered-to" in NOTED_HEADERS


def test_a_delivery_report_says_what_its_server_says():
    """The returned text isn't the text, and no person waits for an answer (more in test_mime_report.py)."""
    content = said(
        multipart(
            'report; report-type="delivery-status"',
            part("text/plain", "It could not be delivered."),
            part("message/rfc822", "Message-ID: <signpost.7@x>\r\nSubject: Old\r\n\r\nOld text"),
        )
    )
    assert content.text == "It could not be delivered."
    assert content.report is not None
    assert content.report.mail_id == "<signpost.7@x>"
    assert content.auto_submitted


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("application/pkcs7-mime; smime-type=enveloped-data", "S/MIME"),
        ("application/ms-tnef", "TNEF"),
        ("multipart/encrypted; boundary=q", "encrypted"),
    ],
)
def test_a_sealed_mail_is_unreadable_and_not_empty(kind: str, why: str):
    """What can't be opened says so, so that a person looks at it."""
    mail = (
        HEAD
        + f"Content-Type: {kind}\r\n\r\n--q\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n--q--\r\n".encode()
    )
    assert why in said(mail).unreadable
    assert said(mail).subject == "Bus 12"


def test_the_mail_id_is_found_without_parsing():
    """`mail_id` reads folded, oddly written and missing Message-IDs, and only from the header."""
    assert mail_id(b"Message-ID: <a@b>\r\n\r\nx") == "<a@b>"
    assert mail_id(b"X: y\r\nMESSAGE-id:\r\n <a@b>\r\n\r\nx") == "<a@b>"
    assert mail_id(b"Message-Id: bare@b\n\nx") == "bare@b"
    assert mail_id(b"Message-ID: <>\r\n\r\nx") == mail_id(b"\r\nMessage-ID: <a@b>\r\n") == mail_id(b"") == ""


@pytest.mark.skipif(not CORPORA.is_dir(), reason="the mail corpora lie beside the checkout, and aren't here")
def test_real_and_torture_mails_are_read():
    """Six hundred mails of other projects' tests are understood; only two endless ones are marked unreadable."""
    paths = [
        path for path in sorted(CORPORA.rglob("*")) if path.is_file() and path.suffix not in (".json", ".md", ".html")
    ]
    marked = {path.name for path in paths if said(path.read_bytes()).unreadable}
    assert len(paths) > 500
    assert marked <= {"enclosed-endless.eml", "long-header.eml"}
