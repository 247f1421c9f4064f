"""Files that came with a message, and the original: shown by name, handed out only to be kept, never to be run here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from channels._mime_fields import safe_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.records import Attachment
    from router.understand import ParserPool

_FILE = "router.console.body_parts:file"
_UNKNOWN = "application/octet-stream"
# What programs other than a browser open by it, and a browser that ignored `attachment` would not run.
_KEPT_TYPES = frozenset({"application/pdf", "image/gif", "image/jpeg", "image/png", "image/webp"})
_RISKY = frozenset(
    "apk app bat chm cmd com cpl docm dll dotm exe hta htm html img iso jar js jse lnk mht mhtml msi msp one ppam pptm "  # noqa: SIM905 -- words
    "ps1 py reg scr sct sh shtml svg url vbe vbs vhd wsf xhtml xlam xlsm xltm xml".split()
)
_KINDS = {
    "application/pdf": "PDF",
    "message/rfc822": "forwarded mail",
    "text/calendar": "calendar entry",
    "text/csv": "table",
}
_FAMILIES = {"image": "picture", "audio": "sound", "video": "film", "text": "text"}
_POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"


@dataclass(frozen=True, slots=True)
class File:
    """One line of the list of files; `risky` says that it may run something when it is opened."""

    number: int
    name: str
    kind: str
    size: str
    risky: bool


def listed(attachments: Sequence[Attachment]) -> list[File]:
    """Return what a page says about a message's files; their numbers count from 0."""
    return [
        File(number, shown_name(each.name), _kind(each.content_type), in_words(each.size), _is_risky(each.name))
        for number, each in enumerate(attachments)
    ]


async def bytes_of(parsers: ParserPool, original: bytes, number: int) -> bytes:
    """Return one file of an original; raise `CannotBeShown`."""
    return await parsers.ask(_FILE, original, {"number": number})


def headers(name: str, content_type: str) -> dict[str, str]:
    """Return the header fields of a file that is to be kept (RFC 6266, RFC 8187), with its type if that is harmless.

    No name or type of a stranger's makes a browser show it as a page of ours.
    """
    kept = content_type in _KEPT_TYPES or content_type == "message/rfc822"
    safe = shown_name(name)
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " ._-()") else "_" for c in safe)
    return {
        "Content-Type": content_type if kept else _UNKNOWN,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(safe, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _POLICY,
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-store",
    }


def shown_name(name: str) -> str:
    """Return a name without path, control and direction characters; the ending that counts is the one that is read."""
    return safe_name(name)


def in_words(size: int) -> str:
    """Return a size in bytes as people read it."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def _kind(content_type: str) -> str:
    family = content_type.partition("/")[0]
    return _KINDS.get(content_type) or _FAMILIES.get(family, "file")


def _is_risky(name: str) -> bool:
    return shown_name(name).rpartition(".")[2].strip().lower() in _RISKY
