"""Anything that may come goes the whole way: random bytes, damaged mails, and what once crashed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.acceptance.hostile import ALL
from tests.unit.channels.whole_path import go

CRASHES = Path(__file__).with_name("crashes")
SMALL = [data for data in ALL.values() if len(data) < 20_000]
_PIECES = [
    b"From: ", b"Subject: ", b"To: ", b"Message-ID: <", b"References: ", b"In-Reply-To: ", b"Return-Path: <>\r\n",
    b"Auto-Submitted: auto-replied\r\n", b"Content-Type: multipart/mixed; boundary=b\r\n", b"Received: x\r\n",
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n", b"--b\r\n", b"--b--\r\n",
    b"Content-Type: message/delivery-status\r\n\r\n", b"Final-Recipient: rfc822; a@b\r\nStatus: 5.1.1\r\n",
    b"Content-Type: text/html; charset=", b"utf-16", b"iso-2022-jp", b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Transfer-Encoding: base64\r\n", b"Content-Transfer-Encoding: quoted-printable\r\n", b"=\r\n", b"=FF",
    b"Content-Disposition: attachment; filename*=utf-8''%0D%0A", b"=?utf-8?b?", b"=?x?q?=0D=0A?=", b"?=", b"\r\n",
    b"\r\n\r\n", b"\n", b"\r", b"\0", b"\xed\xa0\x80", b"<", b">", b"<script>", b"<table><td>", b"&#", b'"', b"(", b",",
    b"a@b.example", "Lincoln Elementary \u202e".encode(), b"gun ", b"my son did not come home ", b"> quoted\r\n",
    b"On Mon, 5 Oct 2026 at 10:00, Ana <a@b> wrote:\r\n", b"-- \r\n", b"STOP", b"w-2 records request ", b"/m/k1.",
]  # fmt: skip


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(_PIECES) | st.binary(max_size=12), max_size=50).map(b"".join),
    st.sampled_from(["email", "email", "sms", "web_form"]),
)
def test_anything_goes_the_whole_way(original, medium):
    """Whatever the bytes are, nothing raises, no header is made, and the original comes out as it went in."""
    go(original, medium)


def damaged(rng, mails):
    """Return a hostile mail with pieces of others put in, and bytes flipped, cut out and doubled."""
    mail = bytearray(rng.choice(mails))
    for _ in range(rng.randrange(1, 9)):
        start, length = rng.randrange(len(mail) + 1), rng.randrange(0, 40)
        other = rng.choice(mails)
        cut = rng.randrange(len(other) + 1)
        mail[start : start + length] = rng.choice((other[cut : cut + length], rng.randbytes(length % 5), b""))
    return bytes(mail)


@pytest.mark.case("M01")
def test_damaged_hostile_mails_go_the_whole_way(rng, rounds, tally):
    """Hostile mails, damaged and mixed, by seeded chance."""
    count = rounds(quick=150, long=50_000)
    for number in range(count):
        mail = damaged(rng, SMALL)
        try:
            go(mail)
        except Exception as error:
            error.add_note(f"mail {number} of this seed; keep it in {CRASHES}: {mail!r}")
            raise
    tally(inputs=count)


@pytest.mark.parametrize("file", sorted(CRASHES.glob("*.eml")), ids=lambda file: file.stem)
def test_what_once_crashed_does_not_any_more(file):
    """Every input that a fuzzer found is kept, and goes the whole way."""
    go(file.read_bytes())
