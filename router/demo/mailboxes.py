"""Read the Maildirs that the demo's departments get their mail in, as a mail program would."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import default
from typing import TYPE_CHECKING

from router.errors import NotFound

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

_BOX = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAME = re.compile(r"signpost\.[0-9a-f]{32}")
_OUTER = re.compile(rb'boundary="(=_[0-9a-f]{32}\.1)"')
_HEAD_BYTES = 16_384
_MOST_BYTES = 4_000_000
_SHOWN = ("From", "To", "Reply-To", "Subject", "Date")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail of a department. `original` tells whether the original is attached; `page` is its HTML body."""

    box: str
    name: str
    subject: str
    headers: tuple[tuple[str, str], ...]
    marks: tuple[tuple[str, str], ...]  # the X-Signpost-… headers
    text: str = ""
    page: str = ""
    original: bool = False


class Mailboxes:
    """The Maildirs below one folder. Everything here reads files: call it in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        """Return the mailboxes there are."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name for path in self._folder.iterdir() if _BOX.fullmatch(path.name) and path.is_dir())

    def counts(self) -> list[tuple[str, int]]:
        """Return the mailboxes with how many mails lie in each."""
        return [(name, len(self._files(name))) for name in self.names()]

    def newest(self, box: str, most: int) -> list[Mail]:
        """Return the newest mails of a mailbox without their bodies; raise `NotFound` if there is no such mailbox."""
        if box not in self.names():
            raise NotFound(f"there is no mailbox {box[:64]}")
        files = sorted(self._files(box), key=lambda path: (path.stat().st_mtime, path.name), reverse=True)
        return [self._head(box, path) for path in files[:most]]

    def read(self, box: str, name: str) -> Mail:
        """Return one mail; raise `NotFound` if it isn't there."""
        path = self._find(box, name)
        if path is None:
            raise NotFound("this mail isn't there any more")
        return _mail(box, name, _front(path.read_bytes()), full=True)

    def holds(self, box: str, name: str) -> bool:
        """Return whether a mail lies in a mailbox."""
        return self._find(box, name) is not None

    def _find(self, box: str, name: str) -> Path | None:
        if not _BOX.fullmatch(box) or not _NAME.fullmatch(name):
            return None
        return next((path for path in self._files(box) if path.name.partition(":")[0] == name), None)

    def _files(self, box: str) -> list[Path]:
        folders = [self._folder / box / part for part in ("new", "cur")]
        found = [path for folder in folders if folder.is_dir() for path in folder.iterdir()]
        return [path for path in found if _NAME.fullmatch(path.name.partition(":")[0])]

    def _head(self, box: str, path: Path) -> Mail:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        return _mail(box, path.name.partition(":")[0], head, full=False)


def _front(mail: bytes) -> bytes:
    """Leave out the original: what strangers wrote isn't parsed here."""
    outer = _OUTER.search(mail, 0, _HEAD_BYTES)
    if outer is None:
        return mail[:_MOST_BYTES]
    delimiter = b"\r\n--" + outer[1]
    first = mail.find(delimiter)
    second = mail.find(delimiter, first + 1)
    return mail[:second] + delimiter + b"--\r\n" if second > 0 else mail[:_MOST_BYTES]


def _mail(box: str, name: str, mail: bytes, *, full: bool) -> Mail:
    parsed: EmailMessage = BytesParser(policy=default).parsebytes(mail, headersonly=not full)
    marks = [(key, str(value)) for key, value in parsed.items() if key.lower().startswith("x-signpost-")]
    return Mail(
        box=box,
        name=name,
        subject=str(parsed["Subject"] or "(no subject)"),
        headers=tuple((key, str(parsed[key])) for key in _SHOWN if parsed[key]),
        marks=tuple(marks),
        text=_part(parsed, "plain") if full else "",
        page=_part(parsed, "html") if full else "",
        original=full and any(key == "X-Signpost-Message" for key, _ in marks),
    )


def _part(parsed: EmailMessage, kind: str) -> str:
    body = parsed.get_body((kind,))
    return str(body.get_content()) if body is not None else ""
