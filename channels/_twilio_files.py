"""Pictures and other files of texts: fetched after a text was taken in, and handed in as a message that follows it."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from aiohttp import ClientError

from channels._mime import Upload, compose
from channels._twilio_rest import Answered, BadList, Unfetchable
from router.errors import Refused, SignpostError, StoreBusy
from router.interfaces import mail_domain
from router.records import Inbound, Medium

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from channels._twilio_rest import Rest
    from router.interfaces import Accept, Context

_MOST_FILES = 10  # as many as a text can have: twilio.com/docs/messaging/api/media-resource
_LARGEST = 16_777_216  # bytes: WhatsApp's limit, the highest (twilio.com/docs/messaging/guides/accepted-mime-types)
_TRIES = 30  # one at each look, so an hour by default: then the message says what couldn't be fetched
# What people send; nothing that a program could run, and no SVG, which is one.
_TYPES = re.compile(
    r"image/(?!svg)[a-z0-9.+-]+|(?:audio|video)/[a-z0-9.+-]+|text/(?:x-)?vcard|text/(?:plain|csv|calendar|directory)"
    r"|application/(?:pdf|vcard|msword|vnd\.(?:ms-(?:excel|powerpoint)|openxmlformats-officedocument\.[a-z.]+))"
)


@dataclass(slots=True)
class _Waiting:
    """A text that came with files: as it was handed in, its id, and how often its files were tried."""

    text: Inbound
    message_id: str
    tries: int = 0


class Files:
    """Fetches one text's files after the other. What Twilio can't give now is tried again at the next look."""

    def __init__(self, rest: Rest, context: Context, settle_s: float) -> None:
        self._rest = rest
        self._context = context
        self._settle_s = settle_s  # how long a text is given to be decided: its files go where it went
        self._host = mail_domain(context.public_url)
        self._room = context.max_message_bytes * 7 // 10  # base64 makes four characters of three bytes
        self._waiting: dict[str, _Waiting] = {}
        self._awake = asyncio.Event()

    @property
    def oldest(self) -> datetime | None:
        """When the oldest text came in whose files aren't here; None if there is none."""
        return min((each.text.received_at for each in self._waiting.values()), default=None)

    def wanted(self, text: Inbound, message_id: str) -> None:
        """Fetch the files of a text that was taken in under this id."""
        self._waiting.setdefault(text.source_key, _Waiting(text, message_id))

    def try_again(self) -> None:
        """Try all that wait."""
        self._awake.set()

    async def run(self, accept: Accept) -> None:
        """Fetch and hand in until cancelled; one text's trouble is no other's."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            if self._waiting:
                await asyncio.sleep(self._settle_s)
            for sid, waiting in list(self._waiting.items()):
                waiting.tries += 1
                if await self._follow(waiting, accept):
                    del self._waiting[sid]

    async def _follow(self, waiting: _Waiting, accept: Accept) -> bool:
        """Hand in what follows a text; return False if it is to be tried again."""
        uploads: list[Upload] = []
        missing: list[str] = []
        try:
            await self._fetch(waiting, uploads, missing)
        except (SignpostError, ClientError, OSError) as error:
            if waiting.tries < _TRIES:
                self._context.on_trouble(f"the files of a text can't be fetched for now: {_why(error)}")
                return False
            missing.append(f"Twilio didn't give them in {_TRIES} tries")
        try:
            await accept(self._inbound(waiting, uploads, missing))
        except Refused as error:
            self._context.on_trouble(f"the files of a text were refused: {error}")
        except Exception as error:
            if not isinstance(error, StoreBusy):
                self._context.on_trouble(f"the files of a text were not taken: {_why(error)}")
            return False
        return True

    async def _fetch(self, waiting: _Waiting, uploads: list[Upload], missing: list[str]) -> None:
        """Put the files and what is missing for good into these lists; raise if something may be had later."""
        sid = waiting.text.source_key
        try:
            found = await self._rest.files(sid)
        except Answered as error:
            if error.status not in (404, 410):
                raise
            missing.append("Twilio doesn't have them any more")
            return
        if not found:
            raise BadList
        room = self._room
        for number, file_sid in enumerate(found[:_MOST_FILES], 1):
            try:
                kind, data = await self._rest.file(sid, file_sid, min(room, _LARGEST))
                if not _TYPES.fullmatch(kind):
                    raise Unfetchable("it is of a kind that isn't passed on")
            except Unfetchable as error:
                missing.append(f"file {number}: {error}")
                continue
            room -= len(data)
            uploads.append(Upload(f"file-{number}{mimetypes.guess_extension(kind) or ''}", kind, data))

    def _inbound(self, waiting: _Waiting, uploads: Sequence[Upload], missing: Sequence[str]) -> Inbound:
        """Return the message: it names the text's id, so that it goes where that went, and no program answers it."""
        text, now = waiting.text, self._context.clock.now()
        key = f"{text.source_key}/files"
        files = "1 file" if len(uploads) == 1 else f"{len(uploads)} files"
        lines = [f"{files} of the text message {waiting.message_id}."]
        lines += [f"Not fetched, and kept by Twilio: {why}." for why in missing]
        kept = {
            name: text.facts[name] for name in ("sender", "sender_name", "phone", "recipient") if name in text.facts
        }
        return Inbound(
            source_key=key,
            channel=text.channel,
            medium=Medium.SMS,
            received_at=max(now, text.received_at + timedelta(milliseconds=1)),  # it follows what came before it
            original=compose(
                text="\n".join(lines),
                date=now,
                message_id=f"text.{sha256(key.encode()).hexdigest()[:32]}@{self._host}",
                fields={"MessageSid": text.source_key, "From": kept.get("sender", "")},
                uploads=uploads,
            ),
            facts={**kept, "external_id": key, "reference": waiting.message_id, "auto_submitted": True},
        )


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, SignpostError) else f"unexpected {type(error).__name__}"
