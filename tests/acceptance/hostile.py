"""Mails made to break whoever reads them, by case of the report on reliability: each a name and its bytes."""

from __future__ import annotations

import base64
import gzip
import io
import zipfile

HEAD = b"From: Ana Ruiz <ana@home.example>\r\nTo: contact@maple.example\r\nSubject: Hello\r\n"
_TEXT = b"\r\nThe bus did not come today.\r\n"
_MIME = b"MIME-Version: 1.0\r\nContent-Type: "


def _mixed(*parts, kind=b"mixed", boundary=b"b", closed=True):
    """Return a mail with parts, each with its own headers."""
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    end = b"--" + boundary + b"--\r\n" if closed else b""
    return HEAD + _MIME + b"multipart/" + kind + b'; boundary="' + boundary + b'"\r\n\r\n' + body + end


def _text(charset, data):
    return HEAD + _MIME + b"text/plain; charset=" + charset + b"\r\n\r\n" + data + b"\r\n"


def _file(name, content_type, data):
    head = b"Content-Type: " + content_type + b"\r\nContent-Transfer-Encoding: base64\r\n"
    return head + b"Content-Disposition: attachment; " + name + b"\r\n\r\n" + base64.encodebytes(data)


def _zip_bomb():
    """Return an archive of 100 kB that holds 100 MB, ten times over in archives of its own."""
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10_000_000))
    with zipfile.ZipFile(outer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(f"{number}.zip", inner.getvalue())
    return outer.getvalue()


POISON = {  # M01: what made other help desks stop reading their mailbox (no octet at all is refused by every source)
    "one line end": b"\r\n",
    "one NUL": b"\0",
    "rubbish": bytes(range(256)) * 20,
    "From a@": b"From: a@\r\nSubject: x\r\n" + _TEXT,
    "From without an address": b"From: <>\r\nSubject: x\r\n" + _TEXT,
    "From that is an encoded address": b"From: =?utf-8?q?evil=40bad.example?=\r\nSubject: x\r\n" + _TEXT,
    "From with an odd quote": b'From: "Ana <ana@home.example>\r\nSubject: x\r\n' + _TEXT,
    "From with 5,000 open comments": b"From: " + b"(" * 5_000 + b"\r\n" + _TEXT,
    "From with 5,000 backslashes": b"From: " + b"\\" * 5_000 + b"\r\n" + _TEXT,
    "Message-ID <>": b"Message-ID: <>\r\n" + HEAD + _TEXT,
    "Message-ID <[x]@>": b"Message-ID: <[x]@>\r\n" + HEAD + _TEXT,
    "Message-ID of 900 characters": b"Message-ID: <" + b"x" * 890 + b"@y>\r\n" + HEAD + _TEXT,
    "References without an end": b"References: " + b"<a@b" * 500 + b"\r\n" + HEAD + _TEXT,
    "encoded word with bad base64": b"Subject: =?utf-8?b?A?= =?utf-8?b?====?=\r\n" + _TEXT,
    "encoded word with a bad charset": b"Subject: =?x-evil?q?hello?= =?utf\0-8?q?a?=\r\n" + _TEXT,
    "encoded word without an end": b"Subject: =?utf-8?b?" + b"A" * 3_000 + b"\r\n" + _TEXT,
    "charset unknown": _text(b"x-evil", bytes(range(128, 256))),
    "charset idna": _text(b"idna", b"a." * 5_000),
    "charset zlib": _text(b"zlib", b"x" * 50),
    "charset rot13": _text(b"rot13", b"x" * 50),
    "charset with NUL": _text(b'"utf\x008"', b"x"),
    "charset utf-7": _text(b"utf-7", b"+AGEAYg-"),
    "charset utf-16, odd length": _text(b"utf-16", b"\xff\xfea"),
    "transfer encoding unknown": HEAD + b"Content-Transfer-Encoding: x-zip\r\n" + _TEXT,
    "transfer encoding twice": HEAD + b"Content-Transfer-Encoding: base64\r\n" * 2 + b"\r\nAAA",
    "base64 cut short": HEAD + b"Content-Transfer-Encoding: base64\r\n\r\nQUJ",
    "base64 that is none": HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n\xff\xfe!!",
    "quoted-printable that is none": HEAD + b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=ZZ=",
    "uuencoded": HEAD + b"Content-Transfer-Encoding: x-uuencode\r\n\r\nbegin 644 a\r\n#0V%T\r\nend\r\n",
    "multipart without a boundary": HEAD + _MIME + b"multipart/mixed\r\n\r\n--\r\n\r\nx\r\n----\r\n",
    "multipart with an empty boundary": _mixed(b"\r\nx", boundary=b""),
    "multipart without parts": HEAD + _MIME + b"multipart/mixed; boundary=b\r\n\r\nno part here\r\n",
    "multipart without an end": _mixed(b"\r\nx", closed=False),
    "multipart in itself": _mixed(_MIME + b"multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--"),
    "boundary of 2,000 characters": _mixed(b"\r\nx", boundary=b"b" * 2_000),
    "type that is none": HEAD + b"Content-Type: /;;=;\r\n" + _TEXT,
    "2,000 pieces of a name": HEAD
    + b"Content-Disposition: attachment; "
    + b"; ".join(b"filename*%d=a" % number for number in range(2_000))
    + b"\r\n"
    + _TEXT,
    "a name with an endless number": HEAD
    + b"Content-Disposition: a; filename*99999999999=a; filename*x*=b\r\n"
    + _TEXT,
    "message in a message in nothing": HEAD + _MIME + b"message/rfc822\r\n\r\n",
    "3,000 empty Received": b"Received:\r\n" * 3_000 + HEAD + _TEXT,
    "no header": b"Just a line that somebody piped in\n",
    "no body": HEAD,
    "only an mbox line": b"From ana@home.example Mon Oct  5 08:00:00 2026\n",
}
WEIRD = {  # M04
    "NUL everywhere": HEAD.replace(b"Hello", b"He\0llo").replace(b"Ana", b"A\0na") + b"\r\na\0b\r\n",
    "surrogates": _text(b"utf-8", b"\xed\xa0\x80\xed\xb0\x80 x"),
    "surrogates in an encoded word": b"Subject: =?utf-8?q?=ED=A0=80?=\r\nFrom: a@b.example\r\n" + _TEXT,
    "8-bit headers": "From: José Ñandú <jose@home.example>\r\nSubject: Mañana\r\n".encode("latin-1") + _TEXT,
    "UTF-8 headers": "From: 山田 <yamada@home.example>\r\nSubject: 学校 🚌\r\n".encode() + _TEXT,
    "no Date, Message-ID, From": b"Subject: x\r\n" + _TEXT,
    "two From": b"From: a@b.example\r\nFrom: c@d.example\r\n" + HEAD + _TEXT,
    "a group in From": b"From: undisclosed:a@b.example,c@d.example;\r\n" + _TEXT,
    "the year 9999": b"Date: Fri, 31 Dec 9999 23:59:59 +9999\r\n" + HEAD + _TEXT,
    "a zone of days": b"Date: Mon, 5 Oct 2026 08:00:00 +99999\r\n" + HEAD + _TEXT,
    "a date that is none": b"Date: yesterday\r\n" + HEAD + _TEXT,
    "lines of 5,000 octets": HEAD + b"\r\n" + (b"x" * 5_000 + b"\r\n") * 3,
    "bare LF and CR": HEAD.replace(b"\r\n", b"\n") + b"\na\rb\r\n",
    "blanks before the header": b" \r\n" + HEAD + _TEXT,
    "right to left": "Subject: \u202egnp.exe\r\nFrom: a@b.example\r\n".encode() + _TEXT,
}
INJECTION = {  # M05
    "line end in the subject": b"From: a@b.example\r\nSubject: =?utf-8?q?hello=0D=0ABcc=3A_evil=40x.example?=\r\n"
    + _TEXT,
    "line end in the name": b"From: =?utf-8?q?A=0D=0ABcc=3A_evil=40x.example?= <a@b.example>\r\n" + _TEXT,
    "line end in a file's name": _mixed(b"\r\nx", _file(b"filename*=utf-8''a%0D%0ABcc%3A%20e%40x", b"a/b", b"x")),
    "path in a file's name": _mixed(_file(b"filename*=utf-8''..%2F..%2Fetc%2Fpasswd%00.pdf", b"a/pdf", b"x")),
    "dot alone, LF": HEAD + b"\r\na\n.\nMAIL FROM:<evil@x.example>\nRCPT TO:<evil@x.example>\nDATA\nx\n.\n",
    "dot alone, CR": HEAD + b"\r\na\r.\rMAIL FROM:<evil@x.example>\r",
    "dot alone, CR CRLF": HEAD + b"\r\na\r\n.\r\r\nMAIL FROM:<evil@x.example>\r\n",
    "dot alone, LF CRLF": HEAD + b"\r\na\n.\r\nMAIL FROM:<evil@x.example>\r\n",
    "dots first": HEAD + b"\r\n.\x20\r\n..\r\n...\r\n.x\r\n",
    "our own headers": b"X-Signpost-Message: 0WE28VGDH208\r\nX-Signpost-Urgent: yes\r\n" + HEAD + _TEXT,
    "a boundary of ours": HEAD + b"\r\n--=_0123456789abcdef0123456789abcdef.1--\r\n--=_x.1\r\n",
}
SEALED = {  # M06
    "TNEF": _mixed(_file(b"filename=winmail.dat", b"application/ms-tnef", b"\x78\x9f\x3e\x22" + bytes(300))),
    "S/MIME, opaque": HEAD
    + _MIME
    + b"application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + base64.encodebytes(bytes(range(256)) * 4),
    "S/MIME, signed": _mixed(
        b"Content-Type: text/plain\r\n\r\nSigned words\r\n",
        _file(b"filename=smime.p7s", b"application/pkcs7-signature", bytes(range(256))),
        kind=b"signed",
    ),
    "PGP": _mixed(
        b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n",
        b"Content-Type: application/octet-stream\r\n\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQ==\r\n",
        kind=b"encrypted",
    ),
    "an invitation": _mixed(
        b"Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nSUMMARY:IEP\r\n",
        kind=b"alternative",
    ),
    "a picture alone": HEAD + _MIME + b"image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo=\r\n",
    "HTML without words": HEAD + _MIME + b"text/html\r\n\r\n<img src='https://tracker.example/1.gif'>\r\n",
    "other words in HTML": _mixed(
        b"Content-Type: text/plain\r\n\r\nbuy pills\r\n",
        b"Content-Type: text/html\r\n\r\n<p>My son did not come home</p>\r\n",
        kind=b"alternative",
    ),
}
LARGE = {  # M03, beside the mails of 24 and 30 MB in test_mailbox.py
    "a zip in a zip": _mixed(b"\r\nx", _file(b"filename=42.zip", b"application/zip", _zip_bomb())),
    "a gzip bomb": _mixed(_file(b"filename=a.gz", b"application/gzip", gzip.compress(bytes(50_000_000)))),
    "2,000 levels": HEAD
    + b"".join(_MIME + b"multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2_000))
    + b"\r\nx",
    "3,000 enclosed messages": HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 3_000 + b"\r\nx",
    "100,000 parts": _mixed(*[b"\r\nx"] * 100_000),
    "parts with long headers": _mixed(*[b"a: b\r\n" * 10_000 + b"\r\n"] * 20),
    "1 MB of header": b"a: b\r\n" * 170_000 + HEAD + _TEXT,
}
BURNING = {  # M02: what keeps Python's own parser busy for seconds
    "20 kB of quotes in From": b"From: " + b'"' * 20_000 + b"\r\n" + _TEXT,
    "20 kB of quotes in Content-Type": HEAD + b"Content-Type: " + b'"' * 20_000 + b"\r\n" + _TEXT,
    "20,000 encoded words": b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\r\n" + _TEXT,
    "16,000 recipients": b"To: " + b", ".join(b"u%d <u%d@x.example>" % (n, n) for n in range(16_000)) + b"\r\n" + _TEXT,
    "300,000 folds": b"X-A: " + b"a\r\n " * 300_000 + b"\r\n" + HEAD + _TEXT,
    "2 MB of bare CR": HEAD + b"\r\n" + b"\r" * 2_000_000,
    "50,000 levels of HTML": HEAD + _MIME + b"text/html\r\n\r\n" + b"<div>" * 50_000 + b"deep",
    "a million open tags": HEAD + _MIME + b"text/html\r\n\r\n" + b"<" * 1_000_000,
    "200,000 words of alarm": HEAD + b"\r\n" + b"gun bomb missing " * 70_000,
}
ALL = {
    f"{case} {name}": data
    for case, mails in {
        "M01": POISON, "M02": BURNING, "M03": LARGE, "M04": WEIRD, "M05": INJECTION, "M06": SEALED,
    }.items()
    for name, data in mails.items()
}  # fmt: skip
"""All of them, by their case and name."""
