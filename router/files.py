"""Files that somebody may change while we run: the configuration, and what it names (secrets, certificates)."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

_MOST = 67_108_864  # bytes of a file that are looked at: a contact list is long

_Sign = tuple[int, int, int, int]


def content(files: Iterable[Path]) -> str:
    """Return a digest of what is in files; one that can't be read counts as one that isn't there."""
    whole = sha256()
    for file in files:
        whole.update(f"{file}\0{_content(file)}\0".encode())
    return whole.hexdigest()


def _content(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            return sha256(stream.read(_MOST)).hexdigest()
    except (OSError, ValueError):
        return ""


class FileWatch:
    """Tells when files have come to say something else. Look every few seconds, in a thread: disks may hang.

    `files` returns which files those are; it is asked again after every change. It is looked at by name, through
    links: editors put a new file in the old one's place, and orchestrators exchange a link.
    """

    def __init__(self, files: Callable[[], Sequence[Path]]) -> None:
        self._files = files
        self.note()

    def note(self) -> None:
        """Take things as they are: only what comes later is a change."""
        self._watched = list(self._files())
        self._signs = self._seen = self._look()
        self._said = content(self._watched)

    def changed(self) -> bool:
        """Return whether the files say something else than before. True once per change.

        A file that was touched since the last look may still be being written: it is asked again at the next one.
        """
        before, self._seen = self._seen, self._look()
        if self._seen == self._signs or self._seen != before:
            return False
        if content(self._watched) == self._said:
            self._signs = self._seen
            return False
        self.note()
        return True

    def _look(self) -> list[_Sign | None]:
        return [_sign(file) for file in self._watched]


def _sign(file: Path) -> _Sign | None:
    """Return what changes when a file does, None if it isn't there."""
    try:
        found = file.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
