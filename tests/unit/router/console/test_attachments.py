"""Files of strangers: their names, their types, and the header fields they are handed out with."""

from __future__ import annotations

import json
import re

import pytest

from channels._mime import understand
from router.console import attachments, body, body_parts
from router.records import Attachment
from router.understand import CannotBeShown, ParserPool

NAMES = [
    "../../etc/passwd",
    "C:\\Windows\\evil.exe",
    "invoice\u202efdp.exe",
    'a"; filename="b.html',
    "a\r\nSet-Cookie: x=1",
    "<img src=x onerror=alert(1)>.png",
    "\x00\x01\x1b[31m.txt",
    "مرحبا.pdf",
    "....",
    "",
    "x" * 500 + ".pdf",
    "report.pdf                                   .exe",
]
MAIL = b"""From: ana@home.example\r
Subject: x\r
MIME-Version: 1.0\r
Content-Type: multipart/related; boundary=b\r
\r
--b\r
Content-Type: text/html; charset=utf-8\r
\r
<p>Hello <img src="cid:one"><img src="cid:two"><img src="https://x.example/p"></p>\r
--b\r
Content-Type: image/png\r
Content-ID: <one>\r
Content-Transfer-Encoding: base64\r
\r
iVBORw0KGgo=\r
--b\r
Content-Type: image/png; name="page.png"\r
Content-ID: <two>\r
\r
<html><script>alert(1)</script>\r
--b--\r
"""


@pytest.mark.case("M11")
@pytest.mark.parametrize("name", NAMES)
def test_no_name_gets_out_of_its_header_field_or_its_folder(name):
    """One line, no path, nothing that ends the quoted part or turns the direction round."""
    fields = attachments.headers(name, "application/pdf")
    disposition = fields["Content-Disposition"]
    assert re.fullmatch(r"attachment; filename=\"[\w .()-]+\"; filename\*=UTF-8''[\w.%~-]+", disposition, re.ASCII)
    assert not {"\r", "\n", "\u202e", "\x1b"} & set("".join(fields.values()))
    assert "/" not in attachments.shown_name(name)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("application/pdf", "application/pdf"),
        ("image/png", "image/png"),
        ("message/rfc822", "message/rfc822"),
        ("text/html", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("text/xml", "application/octet-stream"),
        ("application/javascript", "application/octet-stream"),
        ("application/x-made-up\r\nX: y", "application/octet-stream"),
    ],
)
def test_only_harmless_types_are_told(given, told):
    """Whatever a browser could run is bytes; and in any case it is kept, not shown, and sandboxed."""
    fields = attachments.headers("a", given)
    assert fields["Content-Type"] == told
    assert fields["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in fields["Content-Security-Policy"]


@pytest.mark.case("M11")
def test_a_file_that_may_run_a_program_is_marked():
    """By the ending that counts, whatever stands before it."""
    given = [
        Attachment(name=name, content_type="application/pdf", size=12_345) for name in ("a.pdf", "a.pdf.exe", "a.HTML")
    ]
    listed = attachments.listed(given)
    assert [file.risky for file in listed] == [False, True, True]
    assert (listed[0].kind, listed[0].size, listed[2].number) == ("PDF", "12 kB", 2)


def test_files_are_numbered_as_they_are_listed():
    """The number on the page brings the bytes of that file."""
    listed = understand(MAIL, {}, "email").attachments
    assert [attachment.name for attachment in listed] == ["attachment", "page.png"]
    assert body_parts.file(MAIL, {"number": 0}) == b"\x89PNG\r\n\x1a\n"
    assert body_parts.file(MAIL, {"number": 1}).startswith(b"<html>")
    assert body_parts.file(MAIL, {"number": 2}) == b""


def test_only_what_is_a_picture_by_its_bytes_is_shown_as_one():
    """A page that calls itself a picture is left out, and so is what lies elsewhere."""
    shown = json.loads(body_parts.formatted(MAIL, {}))
    assert shown["html"].count("data:image/png;base64,iVBORw0KGgo=") == 1
    assert shown["left_out"] == 2


async def test_a_child_process_reads_it_under_the_limits_of_reading():
    """The same pool that reads messages answers; what a child dies of is said, and the next question is answered."""
    pool = ParserPool("channels._mime:understand", size=1)
    try:
        document = await body.framed(pool, MAIL)
        assert "Hello" in document
        assert "2 pictures aren" in document
        assert await attachments.bytes_of(pool, MAIL, 0) == b"\x89PNG\r\n\x1a\n"
        with pytest.raises(CannotBeShown):
            await pool.ask("router.console.body_parts:file", MAIL, {"number": "x"})
        assert (await pool.understand(MAIL, {}, "email")).text == "Hello"
        deep = MAIL.replace(b"Hello", b"<div>" * 20_000)
        assert "can't be shown safely" in await body.framed(pool, deep)
    finally:
        await pool.aclose()
