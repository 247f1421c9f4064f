"""Bytes that were made to break parsers: HAZARDS 2.1, and random ones."""

from __future__ import annotations

import base64
import json
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels._mime import glance, mail_id, understand
from router.understand_child import decode_content, encode_content

HEAD = b"From: a@b.example\r\nTo: d@e.example\r\n"
HTML = HEAD + b"Content-Type: text/html\r\n\r\n"
MIXED = HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
_LEVELS = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (i, i) for i in range(2000))
_MANY = b", ".join(b'"u%d" <u%d@x.org>' % (i, i) for i in range(16_000))
_PIECES = b"; ".join(b"filename*%d=a" % i for i in range(2000))
BOMBS = {
    "20 kB of quotes in From": b"From: " + b'"' * 20_000 + b"\r\n\r\nx",
    "20 kB of quotes in Content-Type": b"Content-Type: " + b'"' * 20_000 + b"\r\n\r\nx",
    "5,000 open comments": b"From: " + b"(" * 5_000 + b"\r\n\r\nx",
    "20,000 encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\r\n\r\nx",
    "unfinished encoded words": b"Subject: " + b"=?utf-8?q?" * 20_000 + b"\r\n\r\nx",
    "16,000 recipients": b"To: " + _MANY + b"\r\n\r\nx",
    "300,000 folds": b"X-A: " + b"a\r\n " * 300_000 + b"\r\n" + HEAD + b"\r\nx",
    "only header lines": b"a: b\r\n" * 1_000_000,
    "100,000 parts": MIXED + b"--b\r\n\r\nx\r\n" * 100_000 + b"--b--",
    "parts with long headers": MIXED + (b"--b\r\n" + b"a: b\r\n" * 16_000 + b"\r\n") * 50,
    "almost delimiters": MIXED + b"--bx" * 2_000_000,
    "2,000 levels": _LEVELS + b"\r\nx",
    "3,000 enclosed messages": HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 3_000 + b"\r\nx",
    "10 MB of bare CR": HEAD + b"\r\n" + b"\r" * 10_000_000,
    "10 MB of short lines": HEAD + b"\r\n" + b"a\r\n" * 3_300_000,
    "soft line breaks": HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + b"=\r\n" * 3_300_000,
    "a large file": HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(b"hello " * 2_000_000),
    "2,000 pieces of a name": HEAD + b"Content-Disposition: attachment; " + _PIECES + b"\r\n\r\nx",
    "open tags": HTML + b"<" * 1_000_000,
    "open comments in HTML": HTML + b"<!--" * 300_000,
    "50,000 levels of HTML": HTML + b"<div>" * 50_000 + b"deep",
    "nested tables": HTML + b"<table><tr><td>x" * 190,
    "many cells": HTML + b"<table><tr>" + b"<td>aaa\n" * 9_000,
    "blanks": HTML + b"<pre>" + b" " * 900_000,
    "a number of 100,000 digits": HTML + b"<" * 40_000 + b"&#" + b"9" * 100_000 + b";",
    "charset idna": HEAD + b"Content-Type: text/plain; charset=idna\r\n\r\n" + b"a." * 50_000,
    "unknown charset": HEAD + b"Content-Type: text/plain; charset=x-evil\r\n\r\n" + bytes(range(128, 256)) * 10_000,
}
POISON = [
    b"",
    b"\r\n",
    b"\0",
    b"\xff\xfe" * 100,
    b"From: a@\r\n\r\nx",
    b"Message-ID: <>\r\n\r\nx",
    b"Message-ID: <[x]@>\r\n\r\nx",
    b"From: <>\r\n\r\nx",
    b"From: undisclosed:;\r\n\r\nx",
    b"From: =?utf-8?b?A?= <a@b>\r\n\r\nx",
    b"Subject: =?utf\0-8?q?a?=\r\n\r\nx",
    b"Content-Type: multipart/mixed\r\n\r\nx",
    b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\nx\r\n----',
    b"Content-Type: text/plain; charset=zlib\r\n\r\nx",
    b"Content-Type: text/plain; charset=rot13\r\n\r\nx",
    b'Content-Type: text/plain; charset="utf\x008"\r\n\r\nx',
    b"Content-Type: text/plain; charset=utf-16\r\n\r\nx",
    b"Content-Transfer-Encoding: base64\r\n\r\nAAA",
    b"Content-Transfer-Encoding: x-zip\r\n\r\nAAA",
    b"Content-Type: /\r\n\r\nx",
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Type: text/html\r\n\r\n<",
    b"Content-Type: text/html\r\n\r\n<!DOCTYPE",
    b"Content-Disposition: attachment; filename*99999999999999999999=a; filename*x*=b\r\n\r\nx",
    b"Received:" * 3000,
]


@pytest.mark.case("M02")
@pytest.mark.parametrize("name", list(BOMBS))
def test_bombs_cost_little(name: str):
    """Each bomb that keeps the standard parser busy for seconds is answered in a fraction of the child's 2 s of CPU."""
    started = time.process_time()
    understand(BOMBS[name], {}, "email")
    used = time.process_time() - started
    started = time.process_time()
    glance(BOMBS[name], {}, "email")
    mail_id(BOMBS[name])
    assert used < 2.0
    assert time.process_time() - started < 0.5


def test_bombs_say_that_they_were_cut():
    """What goes beyond a cap is marked unreadable, with the text that was found."""
    found = {
        name: understand(bomb, {}, "email") for name, bomb in BOMBS.items() if "parts" in name or "recipients" in name
    }
    assert "1000 parts" in found["100,000 parts"].unreadable
    assert found["100,000 parts"].text.startswith("x")
    assert found["16,000 recipients"].unreadable == "its headers are too long"
    assert found["16,000 recipients"].text == "x"
    assert "100 deep" in understand(BOMBS["2,000 levels"], {}, "email").unreadable


@pytest.mark.case("M01")
@pytest.mark.parametrize("original", POISON, ids=range(len(POISON)))
def test_poison_is_answered(original: bytes):
    """One-line poison of other help desks gives a content, and nothing raises."""
    assert_clean(understand(original, {}, "email"))
    assert_clean(glance(original, {}, "email"))


_WORDS = [
    b"From: ",
    b"Content-Type: ",
    b"multipart/mixed; boundary=b\r\n",
    b"message/rfc822",
    b"text/html",
    b"; charset=",
    b"utf-16",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b"--b\r\n",
    b"--b--",
    b"=?utf-8?b?",
    b"?=",
    b"<",
    b">",
    b"<a@b>",
    b'"',
    b"(",
    b"\\",
    b"\0",
    b"\xff",
    b"Content-Transfer-Encoding: base64\r\n",
    b"quoted-printable",
    b"Content-Disposition: attachment; filename*0*=",
    b"%FF",
    b"=3D",
]


@given(
    st.lists(st.sampled_from(_WORDS) | st.binary(max_size=8), max_size=60).map(b"".join),
    st.sampled_from(["email", "sms"]),
)
def test_anything_is_answered(original: bytes, medium: str):
    """Whatever the bytes are, there is a clean content, and it survives the way from the child."""
    content = understand(original, {"sender": "x\0y\ud800", "reference": "R"}, medium)
    assert_clean(content)
    assert decode_content(encode_content(content)) == content
    assert_clean(glance(original, {}, medium))


def test_damaged_mails_are_answered():
    """A real mail with bytes flipped, cut out and doubled (seeded) is answered each time."""
    rng = random.Random(7)
    inner = b"--b\r\nContent-Type: text/html\r\n\r\n<p>Hello <b>you</b></p>\r\n--b\r\n"
    inner += b"Content-Type: application/pdf; name=a.pdf\r\n\r\nx\r\n--b--"
    for _ in range(300):
        mail = bytearray(MIXED + inner)
        for _ in range(rng.randrange(1, 12)):
            start = rng.randrange(len(mail))
            mail[start : start + rng.randrange(0, 6)] = rng.randbytes(rng.randrange(0, 6))
        assert_clean(understand(bytes(mail), {}, "email"))


def assert_clean(content) -> None:
    shown = json.dumps(
        [content.sender, content.subject, content.text, content.html_text, dict(content.headers)], ensure_ascii=False
    )
    assert "\\u0000" not in shown
    assert shown.encode()
    assert "\n" not in content.subject
    assert "\r" not in content.text
