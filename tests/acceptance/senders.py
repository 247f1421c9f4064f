"""The families' side: a form filled in, a mail handed over by SMTP, a mail put into a Maildir."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import suppress
from pathlib import Path

import aiohttp

from channels.maildir import make_maildir
from tests.acceptance.ledger import Sent

_AGAIN_S = 0.05
_numbers = itertools.count(1)


class NotTaken(Exception):
    """It wasn't acknowledged: refused, or nobody answered."""


def mail(token, text, *, sender="ana@home.example", extra=b"", ending=b"\r\n"):
    """Return a mail as bytes; `extra` is put into its body as it is."""
    lines = [
        f"Message-ID: <{token}@home.example>".encode(),
        f"Subject:   {token}  about  the  trip ".encode(),  # blanks that a parser would tidy up
        f"From: Ana Ruiz <{sender}>".encode(),
        b"To: contact@maple.example",
        b"Date: Mon, 05 Oct 2026 08:00:00 -0500",
        b"",
        text.encode(),
        b".",
        b".. dots, and blanks at the end  ",
        extra,
        b"",
    ]
    return ending.join(lines)


async def by_smtp(port, data, *, sender="ana@home.example", to="contact@maple.example"):
    """Hand a mail over, byte for byte, and return the reply; raise `NotTaken` if it isn't 250."""
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await _dialogue(reader, writer, data, sender, to)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    except OSError as error:  # TimeoutError is one
        raise NotTaken(str(error)) from error


async def _dialogue(reader, writer, data, sender, to):
    await _reply(reader, "220")
    for line, wanted in (
        ("HELO home.example", "250"),
        (f"MAIL FROM:<{sender}>", "250"),
        (f"RCPT TO:<{to}>", "250"),
        ("DATA", "354"),
    ):
        writer.write(line.encode() + b"\r\n")
        await _reply(reader, wanted)
    stuffed = (b"\r\n" + data).replace(b"\r\n.", b"\r\n..")[2:]
    writer.write(stuffed + (b"" if data.endswith(b"\r\n") else b"\r\n") + b".\r\n")
    return await _reply(reader, "250")


async def _reply(reader, wanted):
    line = b"-   "
    while line[3:4] == b"-" or line == b"-   ":
        line = await reader.readline()
    if not line.startswith(wanted.encode()):
        raise NotTaken(line.decode(errors="replace").strip() or "the connection was closed")
    return line.decode().strip()


async def by_form(url, fields, *, way="json", key="", files=()):
    """Send the form and return what comes back: the reference (JSON), else the receipt's address."""
    headers = {"Idempotency-Key": key} if key else {}
    body = {"json": fields} if way == "json" else {"data": _encoded(fields, way, files)}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as client,
            client.post(f"{url}/forms/contact", headers=headers, allow_redirects=False, **body) as answer,
        ):
            text = await answer.text()
            if answer.status == 202:
                return json.loads(text)["reference"]
            if answer.status == 303:
                return answer.headers["Location"]
            raise NotTaken(f"{answer.status} {text[:200]}")
    except (aiohttp.ClientError, OSError) as error:
        raise NotTaken(type(error).__name__) from error


def _encoded(fields, way, files):
    if way == "urlencoded":
        return fields
    form = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        form.add_field(name, value)
    for name, content_type, content in files:
        form.add_field("files", content, filename=name, content_type=content_type)
    return form


def by_maildir(folder, data):
    """Put a mail into a Maildir as a mail server on the same machine does."""
    make_maildir(Path(folder))
    name = f"1790000000.{next(_numbers)}.mx"
    partial = Path(folder) / "tmp" / name
    partial.write_bytes(data)
    partial.rename(Path(folder) / "new" / name)


async def insist(hand_over):
    """Hand a message over again and again, as a mail server does, until it is acknowledged."""
    while True:
        try:
            return await hand_over()
        except NotTaken:
            await asyncio.sleep(_AGAIN_S)


def form_message(ledger, to, words):
    """Return a form's fields with a token, noted in the ledger."""
    token = ledger.new_token()
    text = f"{words}\n¿Cuándo? Mañana, {token}."
    ledger.hand_in(Sent(token, to, text))
    return token, {"name": "Ana Ruiz", "email": "ana@home.example", "subject": token, "message": text}


def mail_message(ledger, to, words, **how):
    """Return a mail with a token, noted in the ledger."""
    token = ledger.new_token()
    data = mail(token, f"{words}\r\n{token}", **how)
    ledger.hand_in(Sent(token, to, words, data))
    return token, data
