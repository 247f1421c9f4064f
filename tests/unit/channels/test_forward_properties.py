"""Whatever people and spammers write: the forwarded mail can be parsed, its headers are ours, the original is whole."""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from base64 import b64decode
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from channels._forward import can_be_spliced, compose
from router.records import Attachment, Content, Forward, Medium, Reason
from router.testing_sinks import sample_forward

SENDER = "router@maplevalley.example"
OURS = {
    "From", "To", "Reply-To", "Subject", "Message-ID", "References", "Date", "X-Auto-Response-Suppress",
    "X-Signpost-Message", "X-Signpost-Department", "X-Signpost-Reason", "X-Signpost-Urgent", "X-Signpost-Confidence",
    "X-Signpost-Misroute", "MIME-Version", "Content-Type",
}  # fmt: skip
ALWAYS = OURS - {"Reply-To", "References", "X-Signpost-Urgent", "X-Signpost-Confidence", "X-Signpost-Misroute"}

nasty = st.sampled_from(
    ["\r\nBcc: x@y.z\r\n\r\n", "\x00", "=?utf-8?q?=0D=0ABcc?=", '"', "\\", "<a@b.c>", ".\r\n", "\u2028", "\u202e", "🚌",
     "--=_", "From ", "ñ", " " * 80, "x" * 1200, "\t", "\x85", "\ud800", "—— Signpost ——\n"]
)  # fmt: skip
texts = st.lists(st.one_of(st.text(max_size=40), nasty), max_size=6).map("".join)
contents = st.builds(
    Content, sender=texts, sender_name=texts, reply_to=st.one_of(texts, st.just("ana@example.org")), phone=texts,
    subject=texts, text=texts, html_text=texts, external_id=st.one_of(texts, st.just("<a@b>")), language=texts,
    suspicion=texts, unreadable=texts,
    attachments=st.lists(st.builds(Attachment, name=texts, content_type=texts, size=st.integers(0, 10**9)), max_size=3)
    .map(tuple),
)  # fmt: skip
originals = st.one_of(
    st.binary(max_size=300),
    st.lists(st.sampled_from([b"\r\n", b"a", b"--", b"\n", b"\r", b"\xe9", b".", b"x" * 990, b"From "])).map(b"".join),
    st.lists(st.sampled_from([b"A: b\r\n", b"\r\n", b"..\r\n", b"--=_x--\r\n", b"y" * 998 + b"\r\n"])).map(b"".join),
)


@st.composite
def forwards(draw: st.DrawFn) -> Forward:
    """Return a forward whose every text may be hostile."""
    base = sample_forward()
    assert base.message is not None
    assert base.decision is not None
    return replace(
        base,
        message=replace(
            base.message, channel=draw(texts), medium=draw(st.sampled_from(Medium)), content=draw(contents)
        ),
        decision=replace(
            base.decision, department=draw(texts), reason=draw(st.sampled_from(Reason)), detail=draw(texts),
            confidence=draw(st.one_of(st.none(), st.floats(0, 1))), urgent=draw(texts),
        ),
        original=draw(originals), organization=draw(texts), department_name=draw(texts), school_name=draw(texts),
        suggestions=tuple(draw(st.lists(st.tuples(texts, texts), max_size=4))), local_time=draw(texts),
        misroute_url=draw(st.one_of(texts, st.just("https://c.example/m/abc"))), mail_id=draw(texts),
    )  # fmt: skip


def recovered(mail: bytes) -> bytes:
    """Cut the original out of a forwarded mail as a program does that knows only MIME."""
    found = re.search(rb'boundary="([^"]+)\.1"', mail)
    assert found is not None
    part = mail.split(b"\r\n--" + found[1] + b".1")[-2].removeprefix(b"\r\n")
    head, _, body = part.partition(b"\r\n\r\n")
    return b64decode(body) if b"base64" in head else body


@settings(max_examples=100)
@given(forward=forwards())
def test_any_message_becomes_a_sound_mail(forward: Forward):
    """The mail is 7-bit with CRLF and short lines, has our headers only, once each, and the original is recovered."""
    mail = compose(forward, sender=SENDER)
    assert can_be_spliced(mail)
    parsed = email.message_from_bytes(mail, policy=email.policy.default)
    names = parsed.keys()
    assert len(names) == len(set(names))
    assert set(names) >= ALWAYS
    assert set(names) <= OURS
    assert not parsed.defects
    assert parsed["From"].addresses[0].addr_spec == SENDER
    if forward.original:
        assert hashlib.sha256(recovered(mail)).digest() == hashlib.sha256(forward.original).digest()


@settings(max_examples=60)
@given(text=texts)
def test_the_subject_survives(text: str):
    """A subject of any characters is read back as its printable characters, in order."""
    forward = sample_forward()
    assert forward.message is not None
    content = replace(forward.message.content, subject=text)
    mail = email.message_from_bytes(
        compose(replace(forward, message=replace(forward.message, content=content)), sender=SENDER),
        policy=email.policy.default,
    )
    expected = "".join(char for char in text if char.isprintable() and char != " ")
    shown = str(mail["Subject"]).removesuffix("…").replace(" ", "")
    assert shown
    if expected:
        assert expected.startswith(shown.removesuffix("…")) or shown.startswith(expected[:150])


@settings(max_examples=60)
@given(text=texts)
def test_the_words_survive(text: str):
    """What a person wrote is read back from the plain part, but for control characters and marks before our words."""
    forward = sample_forward()
    assert forward.message is not None
    content = Content(text=text, reply_to="ana@example.org")
    mail = email.message_from_bytes(
        compose(replace(forward, message=replace(forward.message, content=content)), sender=SENDER),
        policy=email.policy.default,
    )
    part = mail.get_body(("plain",))
    assert part is not None
    kept = re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029\s]", "", text.encode(errors="replace").decode())
    assert kept.replace("|", "") in re.sub(r"[\s|]", "", part.get_content())


def test_the_original_is_spliced_untouched():
    """An ordinary mail stands in the forward as it came, as message/rfc822."""
    forward = sample_forward()
    mail = compose(forward, sender=SENDER)
    assert b"Content-Type: message/rfc822\r\n" in mail
    assert b"\r\n\r\n" + forward.original in mail
    assert recovered(mail) == forward.original


def test_an_eight_bit_original_comes_as_a_file():
    """What can't be spliced is original.eml, base64, and not message/rfc822, which may not be base64 (RFC 2046)."""
    original = "Subject: Niño\n\nseñor\n".encode() * 1000
    mail = compose(replace(sample_forward(), original=original), sender=SENDER)
    assert b"message/rfc822" not in mail
    assert b'filename="original.eml"' in mail
    assert recovered(mail) == original


def test_a_boundary_in_the_original_is_avoided():
    """An original that holds the mail's own boundary gets another one."""
    forward = sample_forward()
    found = re.search(rb'boundary="([^"]+)\.1"', compose(forward, sender=SENDER))
    assert found is not None
    original = b"A: b\r\n\r\n--" + found[1] + b".1--\r\n"
    mail = compose(replace(forward, original=original), sender=SENDER)
    assert recovered(mail) == original
