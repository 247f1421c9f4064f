"""Deliver messages as lines of JSON, appended to one file per destination: a complete channel in one module."""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from router.errors import Permanent, Retryable
from router.interfaces import Channel, Context, Settings

if TYPE_CHECKING:
    from router.records import Forward

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class JsonlSettings(Settings):
    """These fields are parser, defaults and documentation at once: `signpost channels` prints them."""

    folder: Path = Field(description="Folder of the files; a destination `to: desk` is the file desk.jsonl in it.")


class JsonlSink:
    """A sink is an object with `concurrency`, `send` and `aclose`."""

    concurrency = 1  # appending to one file needs no more

    def __init__(self, settings: JsonlSettings, context: Context) -> None:
        self._folder = (context.base_dir or Path()) / settings.folder
        self._turn = asyncio.Lock()  # Signpost keeps to `concurrency`; others may not

    async def send(self, forward: Forward) -> str:
        """Append one line and return only when it is on disk; Signpost tries again after `Retryable`."""
        if not _NAME.fullmatch(forward.delivery.to):
            raise Permanent(f"'{forward.delivery.to}' can't be a file name")
        try:
            async with self._turn:
                return await asyncio.to_thread(self._append, forward)
        except OSError as error:  # a full disk is no reason to give a message up
            raise Retryable(f"the file can't be written: {error.strerror}") from error

    async def aclose(self) -> None:
        """Nothing is kept open between attempts."""

    def _append(self, forward: Forward) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{forward.delivery.to}.jsonl"
        # A retry carries the same mail_id: whoever reads the file can tell a repetition, and so can we.
        if path.exists() and f'"{forward.mail_id}"' in path.read_text(encoding="utf-8"):
            return forward.mail_id
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line(forward)) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return forward.mail_id


def line(forward: Forward) -> dict[str, str]:
    """Return what one line holds; an alert has a notice, a route has a message."""
    said = {"id": forward.mail_id, "kind": forward.delivery.kind.value, "department": forward.department_name}
    if forward.notice is not None:
        return said | {"subject": forward.notice.subject, "text": forward.notice.text}
    assert forward.message is not None
    content = forward.message.content
    return said | {"subject": content.subject, "text": content.text, "misroute": forward.misroute_url}


def check_address(to: str) -> str:
    """Tell `signpost check` what is wrong with a destination, "" if nothing is."""
    return "" if _NAME.fullmatch(to) else "must be a file name of letters, digits, - and _, without .jsonl"


CHANNEL = Channel(
    summary="Messages as lines of a JSON file (a sample)",
    settings=JsonlSettings,
    sink=JsonlSink,
    check_address=check_address,
)
