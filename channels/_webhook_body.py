"""The body of a request that a provider posts: read within limits, and understood as JSON or as form fields."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader

from channels._form_body import TooSlow, WrongType
from router.errors import Malformed, Refused, TooLarge

if TYPE_CHECKING:
    from aiohttp import ClientResponse, web

MAX_BYTES = 1_000_000  # a message of a form tool or messaging provider has a few thousand
_MAX_FIELDS = 1000
_SHORT = 20_000  # bytes of a document that is set out line by line
_SECONDS = 30.0
_CHUNK = 65_536
_FORM = "application/x-www-form-urlencoded"
_PARTS = "multipart/form-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What was posted: the document as JSON values, and the bytes to be kept with their media type.

    `problem` says why there is no document, "" if there is one.
    """

    document: Any
    raw: bytes
    content_type: str
    problem: str = ""


async def read_bytes(request: web.Request, limit: int = MAX_BYTES) -> bytes:
    """Return the body; raise `TooLarge` beyond `limit` bytes and `TooSlow` if it doesn't arrive in time."""
    body = bytearray()
    try:
        async with asyncio.timeout(_SECONDS):
            async for chunk in request.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > limit:
                    raise TooLarge(f"at most {limit} bytes are taken here")
    except TimeoutError as error:
        raise TooSlow("the body took too long to arrive") from error
    return bytes(body)


async def read_answer(response: ClientResponse, limit: int) -> bytes:
    """Return the body of an answer to a request of ours, at most `limit` bytes of it."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > limit:
            response.close()
            break
    return bytes(body[:limit])


def understand(content_type: str, raw: bytes) -> Body:
    """Return the body as a document: JSON as it is, form fields as an object; raise `WrongType` or `Malformed`."""
    if content_type == _FORM:
        return Body(document=as_object(form_fields(raw)), raw=raw, content_type=content_type)
    if content_type == "application/json" or content_type.endswith("+json"):
        return Body(document=_json(raw), raw=raw, content_type="application/json")
    raise WrongType("send JSON (application/json) or form fields (application/x-www-form-urlencoded)")


def form_fields(raw: bytes) -> list[tuple[str, str]]:
    """Return every field of a form-encoded body, blank and repeated ones too, untrimmed; raise `Malformed`."""
    try:
        text = raw.decode("ascii")  # what isn't ASCII is percent-encoded (WHATWG URL, section 5.2)
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise Malformed("the body isn't made of form fields") from error


def as_lines(body: Body) -> str:
    """Return what was posted as a person can read it."""
    if not body.problem and len(body.raw) <= _SHORT:
        with suppress(RecursionError):
            return json.dumps(body.document, ensure_ascii=False, indent=1)
    return body.raw.decode("utf-8", "replace")


def as_object(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Return fields as a JSON object; a repeated one becomes a list."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            earlier = found[name] if isinstance(found[name], list) else [found[name]]
            found[name] = [*earlier, value]
        else:
            found[name] = value
    return found


def is_parts(request: web.Request) -> bool:
    """Tell whether the body is a form in parts (multipart/form-data), which is read by `read_parts`."""
    return request.content_type == _PARTS


async def read_parts(request: web.Request) -> Body:
    """Return the fields of a multipart form as a document, files left out; what is kept is that document.

    Raises `TooLarge`, `TooSlow` or `Malformed`.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            pairs = await _parts(request)
    except TimeoutError as error:
        raise TooSlow("the form took too long to arrive") from error
    except (Refused, OSError):
        raise
    except Exception as error:  # aiohttp's multipart reader knows many
        raise Malformed("the form did not arrive in one piece") from error
    document = as_object(pairs)
    raw = json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "replace")
    return Body(document=document, raw=raw, content_type="application/json")


async def _parts(request: web.Request) -> list[tuple[str, str]]:
    reader = await request.multipart()
    pairs: list[tuple[str, str]] = []
    left = MAX_BYTES
    while (part := await reader.next()) is not None:
        if not isinstance(part, BodyPartReader) or len(pairs) == _MAX_FIELDS:
            raise Malformed("the form has parts within parts, or too many of them")
        data = bytearray()
        while chunk := await part.read_chunk(_CHUNK):
            data += chunk
            if len(data) > left:
                raise TooLarge(f"at most {MAX_BYTES} bytes are taken here")
        left -= len(data)
        if part.filename is None:
            pairs.append((part.name or "", data.decode("utf-8", "replace")))
    return pairs


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Malformed("the body isn't JSON") from error
