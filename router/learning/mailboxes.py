"""Read mails out of Maildirs, mbox files and folders of `.eml` files: one at a time, however many there are.

What a mail says is worked out in child processes, as in the daemon: old mail is no less hostile than new mail.
"""

from __future__ import annotations

import asyncio
import re
from itertools import islice
from typing import TYPE_CHECKING

from channels._mime_ours import forwarded_original
from classifiers._text import prepare
from router.understand import ParserPool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from router.interfaces import ModelInput
    from router.records import Content

    Mail = tuple[str, bytes]

MAX_BYTES = 64 * 1024 * 1024  # of a mail; what an office gets is smaller
_TOGETHER = 64  # mails that are on their way to the children
_PIECE = 1 << 16
_BEGIN = re.compile(rb"From .*\d\d:\d\d")  # the line before each mail of an mbox: sender and time (RFC 4155)
_HEADER = re.compile(rb"\s*(?:From |[!-9;-~]+:)")
_QUOTED = re.compile(rb">+From ")  # such a line within a mail, as mboxrd writes it


def mails(path: Path) -> Iterator[Mail]:
    """Yield every mail below a path with a name for people.

    The path is a Maildir, an mbox file, a mail, or a folder of such (`*.eml`, `*.mbox`) at any depth. Mails that are
    marked as deleted in a Maildir are passed over. Raise OSError for what can't be read.
    """
    if (path / "cur").is_dir():
        yield from _maildir(path)
    elif path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.is_file() and (file.suffix.lower() in {".eml", ".mbox"} or file.name == "mbox"):
                name = str(file.relative_to(path))
                yield from ((f"{name} {inner}".strip(), data) for inner, data in _file(file))
    else:
        yield from _file(path)


def is_mailbox(path: Path) -> bool:
    """Return whether there is at least one thing at a path that begins like a mail or an mbox."""
    return any(_HEADER.match(data) for _name, data in islice(mails(path), 1))


def _maildir(path: Path) -> Iterator[Mail]:
    for folder in ("cur", "new"):
        for file in sorted((path / folder).glob("*")):
            _, _, flags = file.name.partition(":2,")
            if file.is_file() and "T" not in flags:
                yield file.name, _whole(file)


def _file(path: Path) -> Iterator[Mail]:
    """Yield the mails of an mbox, numbered, or the one mail that the file is."""
    with path.open("rb") as file:
        if file.read(5) != b"From ":
            yield "", _whole(path)
            return
    yield from ((f"mail {number}", data) for number, data in enumerate(_mbox(path), start=1))


def _whole(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES)


def _mbox(path: Path) -> Iterator[bytes]:
    lines: list[bytes] = []
    size, blank, began = 0, True, True
    with path.open("rb") as file:
        for line in iter(lambda: file.readline(_PIECE), b""):
            if began and blank and _BEGIN.match(line):
                if lines:
                    yield b"".join(lines)
                lines, size = [], 0
            elif size + len(line) <= MAX_BYTES:
                lines.append(line[1:] if began and _QUOTED.match(line) else line)
                size += len(line)
            blank, began = began and not line.strip(), line.endswith(b"\n")
    if lines:
        yield b"".join(lines)


def understood(originals: Iterable[Mail]) -> Iterator[tuple[str, ModelInput, str]]:
    """Yield for each mail its name, what a model sees of it, and why it teaches nothing ("" if it does), in order."""
    waiting, pool = iter(originals), ParserPool("channels._mime:understand")
    with asyncio.Runner() as runner:
        try:
            while batch := list(islice(waiting, _TOGETHER)):
                contents = runner.run(_contents(pool, [data for _name, data in batch]))
                for (name, _data), content in zip(batch, contents, strict=True):
                    seen = prepare(content, "email")
                    yield name, seen, _useless(content, seen)
        finally:
            runner.run(pool.aclose())


async def _contents(pool: ParserPool, originals: Iterable[bytes]) -> list[Content]:
    asked = (pool.understand(forwarded_original(data) or data, {}, "email") for data in originals)
    return await asyncio.gather(*asked)


def _useless(content: Content, seen: ModelInput) -> str:
    if "x-signpost-alert" in content.headers:
        return "an alert or a notice of Signpost itself"
    if content.report is not None:
        return "a delivery report"
    if any("auto-replied" in value.lower() for value in content.headers.get("auto-submitted", ())):
        return "an automatic answer"
    return "" if seen.subject or seen.body else "the message holds no text"
