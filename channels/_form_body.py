"""Read the body of a posted form, in any of the three encodings, within limits of count, size and time."""

from __future__ import annotations

import asyncio
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from aiohttp import BodyPartReader

from channels._mime import Upload
from channels._mime_fields import decode
from router.errors import Malformed, Refused, TooLarge

if TYPE_CHECKING:
    from aiohttp import MultipartReader, web

    from channels._room import Room

FIELDS = ("name", "email", "phone", "topic", "school", "subject", "message", "language", "reference")
TOKEN_FIELD = "form_token"  # noqa: S105 - a field's name
TRAP_FIELD = "leave_blank"  # hidden from people; programs fill it in
_KNOWN = frozenset([*FIELDS, TOKEN_FIELD, TRAP_FIELD])
_KNOWN_BYTES = {name.encode(): name for name in _KNOWN}
_MAX_TEXT_BYTES = 1_000_000
_MAX_PARTS = 100
_CHUNK = 65_536
_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
PAIRS, JSON, _PARTS = "application/x-www-form-urlencoded", "application/json", "multipart/form-data"
_TYPES = (PAIRS, _PARTS, JSON)


class WrongType(Refused):
    """The body is in an encoding that forms don't have."""

    status = 415


class TooSlow(Refused):
    """The body didn't arrive in time."""

    status = 408


class Busy(Refused):
    """There is no room for it now: the sender may try again soon."""

    status = 503

    def __init__(self) -> None:
        super().__init__("We can't take your message in at this moment. Please try again in a minute.")


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
    text_bytes: int = 0
    held_bytes: int = 0  # of the room for files
    trouble: Refused | None = None  # why it won't be taken; what follows is read and thrown away

    def hold(self, size: int, room: Room) -> bool:
        """Make room for some more of the files; False if there is none."""
        if not room.take(size):
            return False
        self.held_bytes += size
        return True

    def let_go(self, room: Room) -> None:
        """Let the files go."""
        self.uploads.clear()
        room.leave(self.held_bytes)
        self.held_bytes = 0


async def read_into(submission: Submission, request: web.Request, limits: Limits, room: Room) -> None:
    """Read the body; raise `TooLarge`, `Busy`, `WrongType`, `TooSlow` or `Malformed`.

    What is too much is read to its end and thrown away: a browser reads no answer before it has sent everything.
    """
    kind = request.content_type
    if kind not in _TYPES:
        raise WrongType("Send the form as a web page does, or as JSON (application/json).")
    try:
        if request.content.is_eof() and kind != _PARTS:
            _take(submission, request, kind, request.content.read_nowait())  # nearly always: nothing to wait for
            return
        async with asyncio.timeout(limits.seconds):
            if kind == _PARTS:
                await _read_parts(submission, await request.multipart(), limits, room)
            else:
                _take(submission, request, kind, await _all(request))
    except TimeoutError as error:
        raise submission.trouble or TooSlow("The message took too long to arrive. Please try again.") from error
    except (Refused, OSError):
        raise
    except Exception as error:  # aiohttp's multipart reader knows many
        raise submission.trouble or Malformed("The form did not arrive in one piece. Please try again.") from error
    if submission.trouble:
        raise submission.trouble


def _take(submission: Submission, request: web.Request, kind: str, body: bytes) -> None:
    if len(body) > _MAX_TEXT_BYTES:
        raise TooLarge("The message is too long.")
    if kind == JSON:
        _take_json(submission, body)
    else:
        _take_pairs(submission, request, body)


def _take_pairs(submission: Submission, request: web.Request, body: bytes) -> None:
    """Take what is urlencoded (URL Standard, section 5.1) by its bytes, which are text in the request's charset."""
    pairs = body.replace(b"+", b" ").split(b"&", _MAX_PARTS)
    if len(pairs) > _MAX_PARTS:
        raise Malformed("The form has too many fields.")
    fields = submission.fields
    for pair in pairs:
        name, _, value = pair.partition(b"=")
        known = _KNOWN_BYTES.get(name) or _KNOWN_BYTES.get(_unescaped(name))
        if known and known not in fields:
            if b"%" in value:
                value = _unescaped(value)
            fields[known] = value.decode() if value.isascii() else decode(value, request.charset or "utf-8")


def _unescaped(data: bytes) -> bytes:
    """Undo percent-encoding: but for its sign, `%20` is quoted-printable's `=20` (RFC 2045, section 6.7)."""
    if b"=" in data or _NO_ESCAPE.search(data):  # nobody writes so, but what stands there is kept as it is
        return unquote_to_bytes(data)
    return binascii.a2b_qp(data.replace(b"%", b"="))  # a fifth of the time


async def _all(request: web.Request) -> bytes:
    """Return the whole body, or as much of it as shows that it is too long."""
    body = bytearray()
    async for chunk in request.content.iter_chunked(_CHUNK):
        if len(body) <= _MAX_TEXT_BYTES:
            body += chunk
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


async def _read_parts(submission: Submission, reader: MultipartReader, limits: Limits, room: Room) -> None:
    for _ in range(_MAX_PARTS):
        part = await reader.next()
        if part is None:
            return
        if not isinstance(part, BodyPartReader):
            raise Malformed("A form has no parts within parts.")
        if part.name == "files" and part.filename is not None:
            await _read_file(submission, part, limits, room)
        else:
            await _read_text(submission, part)
    raise TooLarge("The form has too many parts.")


async def _read_text(submission: Submission, part: BodyPartReader) -> None:
    data = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        submission.text_bytes += len(chunk)
        if submission.text_bytes > _MAX_TEXT_BYTES:
            submission.trouble = submission.trouble or TooLarge("The message is too long.")
            data.clear()
        else:
            data += chunk
    if part.name in _KNOWN:
        submission.fields.setdefault(str(part.name), data.decode("utf-8", "replace"))


async def _read_file(submission: Submission, part: BodyPartReader, limits: Limits, room: Room) -> None:
    data = bytearray()
    while chunk := await part.read_chunk(_CHUNK):
        if submission.trouble:
            continue  # to its end, without keeping it
        data += chunk
        trouble = _too_much(submission, len(data), limits) or (None if submission.hold(len(chunk), room) else Busy())
        if trouble:
            data.clear()
            _give_up(submission, trouble, room)
    if submission.trouble or not (data or part.filename):
        return  # or no file was chosen
    if len(submission.uploads) == limits.files:
        _give_up(submission, TooLarge(f"There are too many files: at most {limits.files}."), room)
        return
    submission.uploads.append(Upload(part.filename or "", part.headers.get("Content-Type", ""), bytes(data)))


def _too_much(submission: Submission, size: int, limits: Limits) -> TooLarge | None:
    """Return what is wrong with a file of this size (so far) beside those that are there."""
    if size <= limits.file_bytes and size + sum(len(each.data) for each in submission.uploads) <= limits.files_bytes:
        return None
    each, together = limits.file_bytes // 1_000_000, limits.files_bytes // 1_000_000
    return TooLarge(f"The files are too large: at most {each} MB each, {together} MB together.")


def _give_up(submission: Submission, trouble: Refused, room: Room) -> None:
    submission.trouble = trouble
    submission.let_go(room)
