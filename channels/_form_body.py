"""Read the body of a posted form, in any of the three encodings, within limits of count, size and time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader

from channels._mime import Upload
from router.errors import Malformed, Refused, TooLarge

if TYPE_CHECKING:
    from aiohttp import MultipartReader, web

FIELDS = ("name", "email", "phone", "topic", "school", "subject", "message", "language")
TOKEN_FIELD = "form_token"  # noqa: S105 - a field's name
TRAP_FIELD = "leave_blank"  # hidden from people; programs fill it in
_KNOWN = frozenset([*FIELDS, TOKEN_FIELD, TRAP_FIELD])
_MAX_TEXT_BYTES = 1_000_000
_MAX_PARTS = 100
_CHUNK = 65_536
_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data", "application/json")


class WrongType(Refused):
    """The body is in an encoding that forms don't have."""

    status = 415


class TooSlow(Refused):
    """The body didn't arrive in time."""

    status = 408


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a post may bring: files (bytes each and together) and time (seconds)."""

    files: int
    file_bytes: int
    files_bytes: int
    seconds: float


@dataclass(slots=True)
class Submission:
    """What was posted, filled while it is read, so that what came before trouble can be shown again."""

    fields: dict[str, str] = field(default_factory=dict)
    uploads: list[Upload] = field(default_factory=list)
    not_text: list[str] = field(default_factory=list)  # JSON members of another type


async def read_into(submission: Submission, request: web.Request, limits: Limits) -> None:
    """Read the body; raise `TooLarge`, `WrongType`, `TooSlow` or `Malformed`."""
    if request.content_type not in _TYPES:
        raise WrongType("Send the form as a web page does, or as JSON (application/json).")
    try:
        if request.content.is_eof() and request.content_type != "multipart/form-data":
            _take(submission, request, request.content.read_nowait())  # nearly always: nothing to wait for
            return
        async with asyncio.timeout(limits.seconds):
            await _read(submission, request, limits)
    except TimeoutError as error:
        raise TooSlow("The message took too long to arrive. Please try again.") from error
    except (Refused, OSError):
        raise
    except Exception as error:  # aiohttp's multipart reader knows many
        raise Malformed("The form did not arrive in one piece. Please try again.") from error


async def _read(submission: Submission, request: web.Request, limits: Limits) -> None:
    if request.content_type == "multipart/form-data":
        await _read_parts(submission, await request.multipart(), limits)
        return
    _take(submission, request, await _all(request))


def _take(submission: Submission, request: web.Request, body: bytes) -> None:
    if len(body) > _MAX_TEXT_BYTES:
        raise TooLarge("The message is too long.")
    if request.content_type == "application/json":
        _take_json(submission, body)
    else:
        pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARTS, encoding="utf-8")
        submission.fields.update((name, value) for name, value in reversed(pairs) if name in _KNOWN)


async def _all(request: web.Request) -> bytes:
    """Return the whole body, or as much of it as shows that it is too long."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > _MAX_TEXT_BYTES:
            break
    return bytes(body)


def _take_json(submission: Submission, body: bytes) -> None:
    try:
        members = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed("That is not JSON.") from error
    if not isinstance(members, dict):
        raise Malformed("Send a JSON object with the form's fields.")
    for name, value in members.items():
        if name in _KNOWN and isinstance(value, str):
            submission.fields[name] = value
        elif name in _KNOWN and value is not None:
            submission.not_text.append(name)


async def _read_parts(submission: Submission, reader: MultipartReader, limits: Limits) -> None:
    for _ in range(_MAX_PARTS):
        part = await reader.next()
        if part is None:
            return
        if not isinstance(part, BodyPartReader):
            raise Malformed("A form has no parts within parts.")
        await _read_part(submission, part, limits)
    raise TooLarge("The form has too many parts.")


async def _read_part(submission: Submission, part: BodyPartReader, limits: Limits) -> None:
    if part.name == "files" and part.filename is not None:
        await _read_file(submission, part, limits)
        return
    data = await _part_bytes(part, _MAX_TEXT_BYTES, "The message is too long.")
    if part.name in _KNOWN:
        submission.fields.setdefault(str(part.name), data.decode("utf-8", "replace"))


async def _read_file(submission: Submission, part: BodyPartReader, limits: Limits) -> None:
    left = limits.files_bytes - sum(len(upload.data) for upload in submission.uploads)
    most = min(limits.file_bytes, left)
    data = await _part_bytes(part, most, f"The files are too large: at most {limits.file_bytes // 1_000_000} MB each, "
                                         f"{limits.files_bytes // 1_000_000} MB together.")  # fmt: skip
    if not data and not part.filename:
        return  # no file was chosen
    if len(submission.uploads) == limits.files:
        raise TooLarge(f"There are too many files: at most {limits.files}.")
    submission.uploads.append(Upload(part.filename or "", part.headers.get("Content-Type", ""), data))


async def _part_bytes(part: BodyPartReader, limit: int, sentence: str) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        data += chunk
        if len(data) > limit:
            raise TooLarge(sentence)
    return bytes(data)
