"""A mail's whole way without a store or a server: read, understood, judged by every step, and forwarded."""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime

from channels._forward import can_be_spliced, compose
from channels._mime import glance, understand
from channels._twilio_text import text_of
from channels._webhook_out import document
from classifiers._text import prepare, readings
from router.language import Language
from router.records import Medium, Message, School
from router.routing.schools import Schools
from router.routing.split import parts
from router.routing.statutory import Statutory
from router.routing.steps import Circles
from router.routing.urgent import urgency
from router.testing_sinks import sample_forward
from router.understand_child import decode_content, encode_content

_LANGUAGE = Language()
_SCHOOLS = Schools((School(id="lincoln", name="Lincoln Elementary", aliases=("Lincoln", "LES")),))
_STEPS = (Statutory(), Circles(frozenset({"buses@district.example"})))
_AT = datetime(2026, 3, 2, 14, 0, tzinfo=UTC)
_HEADS = re.compile(rb"^([!-9;-~]+):", re.MULTILINE)


def go(original: bytes, medium: str = "email") -> None:
    """Take an original all the way; raise whatever goes wrong on it."""
    for read in (understand(original, {}, medium), glance(original, {}, medium)):
        assert decode_content(encode_content(read)) == read
        content = replace(read, language=_LANGUAGE.detect(f"{read.subject}\n{read.text}"))
        message = Message(id="0WE28VGDH208", channel="m", medium=Medium(medium), received_at=_AT, content=content)
        parts(prepare(content, medium))
        urgency(content, medium, None, readings)
        _SCHOOLS.look(message)
        asyncio.run(_steps(message))
        _forwarded(message, original)


async def _steps(message: Message) -> None:
    for step in _STEPS:
        await step.decide([message])


def _forwarded(message: Message, original: bytes) -> None:
    """The mail is sound, has no header that isn't ours, and the original is in it."""
    whole = replace(sample_forward(), message=message, original=original)
    mail = compose(whole, sender="router@district.example")
    head = mail.partition(b"\r\n\r\n")[0]
    names = [name.lower() for name in _HEADS.findall(head)]
    assert can_be_spliced(mail)
    assert len(names) == len(set(names))
    assert not {b"bcc", b"cc", b"sender", b"return-path"} & set(names)
    assert not original or _recovered(mail) == original
    json.loads(document(whole, include_original=True))
    text_of(whole)


def _recovered(mail: bytes) -> bytes:
    boundary = re.search(rb'boundary="([^"]+)\.1"', mail)
    assert boundary is not None
    part = mail.split(b"\r\n--" + boundary[1] + b".1")[-2].removeprefix(b"\r\n")
    head, _, body = part.partition(b"\r\n\r\n")
    return b64decode(body) if b"Content-Transfer-Encoding: base64" in head else body
