"""What families mail in a measurement: messages of the bundled corpus, each from a sender of its own, as mails."""

from __future__ import annotations

from base64 import encodebytes
from functools import cache
from random import Random

from benchmarks.requests import everyday, token

SIZE = 2_000  # octets of an ordinary mail
_HEAD = (
    "Return-Path: <{sender}>\r\nReceived: from mail.families.example (mail.families.example [192.0.2.7])\r\n"
    "\tby mx.maplevalley.example; Mon, 16 Nov 2026 08:15:00 -0600\r\n"
    "Date: Mon, 16 Nov 2026 08:14:58 -0600\r\nFrom: Ana Ruiz <{sender}>\r\nTo: contact@maplevalley.example\r\n"
    "Subject: {subject}\r\nMessage-ID: <{token}@families.example>\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n"
)
_PLAIN = "text/plain; charset=utf-8"
_QUOTED = "> The office is open from 7:30 to 16:00 on school days, and answers within a day.\r\n"
_BOUNDARY = "b0undary-of-a-benchmark"


def letter(number: int) -> bytes:
    """Return the n-th mail, of about `SIZE` octets: what somebody wrote, above what they answer to."""
    row = _rows()[number % len(_rows())]
    text = "\r\n".join(str(row.get("body") or "").splitlines()) + "\r\n\r\nOn Monday the office wrote:\r\n"
    mail = (_head(number, str(row.get("subject") or ""), _PLAIN) + text).encode()
    return mail + _QUOTED.encode() * max(0, (SIZE - len(mail)) // len(_QUOTED))


def large_letter(number: int, octets: int) -> bytes:
    """Return a mail of about so many octets: a few words, and a file as base64."""
    row = _rows()[number % len(_rows())]
    head = _head(number, str(row.get("subject") or ""), f'multipart/mixed; boundary="{_BOUNDARY}"')
    words = f"--{_BOUNDARY}\r\nContent-Type: {_PLAIN}\r\n\r\nPlease see the film.\r\n--{_BOUNDARY}\r\n"
    file = 'Content-Type: video/mp4; name="bus.mp4"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
    content = encodebytes(Random(number).randbytes(octets * 57 // 78)).replace(b"\n", b"\r\n")
    return (head + words + file).encode() + content + f"--{_BOUNDARY}--\r\n".encode()


def _head(number: int, subject: str, kind: str) -> str:
    name = token(number)
    subject = " ".join(subject.encode("ascii", "replace").decode().split())
    return _HEAD.format(sender=f"{name}@families.example", subject=subject, token=name, kind=kind)


@cache
def _rows() -> list[dict[str, object]]:
    return everyday(Random(0), 400)
