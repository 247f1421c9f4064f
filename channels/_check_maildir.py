"""What `signpost check --connect` does with Maildirs: can they be made, written and renamed in, and is there room."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from router.findings import Checking, Finding, failed, fine, remark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from router.interfaces import CheckContext

_FOLDERS = ("tmp", "new", "cur")
_LITTLE = 1_000_000_000  # octets free
_WRITABLE = "let the user that runs Signpost write there (chown or chmod), or set path to another folder"


async def check_maildirs(base: Path, inbox: Path | None, context: CheckContext) -> Checking:
    """Yield what is fine and what isn't; no folder is made. `inbox` is the Maildir that is read, if one is."""
    yield f"looking at {base}"
    for found in await asyncio.to_thread(list, _look(base, inbox, context)):
        yield found


def _look(base: Path, inbox: Path | None, context: CheckContext) -> Iterator[Finding]:
    there = base
    while not there.exists() and there != there.parent:
        there = there.parent
    problem = _unusable(there)
    if problem:
        yield failed(f"{base.absolute()} can't be used: {problem}.", _WRITABLE)
        return
    if there == base:
        yield fine(f"{base.absolute()} is there and can be written to.")
    else:
        yield fine(f"{base.absolute()} isn't there yet and will be made.")
    free = shutil.disk_usage(there).free
    if free < _LITTLE:
        yield remark(f"Only {free / 1_000_000:.0f} MB are free there.", "make room: mail waits while the disk is full")
    if inbox is not None:
        yield from _inbox(inbox)
    for name in dict.fromkeys(context.destinations):
        yield from _maildir(base / name)


def _inbox(folder: Path) -> Iterator[Finding]:
    if not (folder / "new").is_dir():
        yield remark(
            f"There is no Maildir at {folder.absolute()} yet: it will be made, empty.",
            "see whether path and mailbox name the one that your mail server delivers to",
        )
        return
    waiting = sum(not file.name.startswith(".") for file in (folder / "new").iterdir())
    yield fine(f"{folder.absolute()} has {waiting} {'mail' if waiting == 1 else 'mails'} to take in.")
    yield from _maildir(folder)


def _maildir(folder: Path) -> Iterator[Finding]:
    """Yield what is wrong with one Maildir, nothing if it is good or not there yet."""
    if not folder.exists():
        return
    if not folder.is_dir():
        yield failed(f"{folder.absolute()} is a file, not a folder.", "move it away, or name another Maildir")
        return
    parts = [folder / name for name in _FOLDERS if (folder / name).exists()]
    for part in parts:
        if not (part.is_dir() and os.access(part, os.W_OK | os.X_OK)):  # no file is made: somebody may be reading here
            yield failed(f"{part.absolute()} can't be written to.", _WRITABLE)
    if len({part.stat().st_dev for part in parts}) > 1:
        yield failed(
            f"tmp, new and cur of {folder.absolute()} lie on different file systems: no mail can move between them.",
            "have all three on one file system",
        )


def _unusable(folder: Path) -> str:
    """Return why nothing can be written to a folder, "" if it can: a file is made in it and removed again."""
    if not folder.is_dir():
        return f"{folder.absolute()} isn't a folder"
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return (error.strerror or str(error)).lower()
