"""Reverse paths, and whose they are: some servers sign them (BATV), and some that pass mail on rewrite them (SRS).

An answer leaves for the path as it stands (RFC 3834, section 4). What is read out of it only tells that it is the
sender's own: whoever makes one up is at most answered at a domain of theirs. A path that says nothing of the kind is
some program's (VERP), and isn't read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.records import Content

# draft-levine-smtp-batv, with the number of digits that senders in use write; the third form is an older draft's.
_BATV = re.compile(
    r"(?:prvs=[0-9a-f]{10}=|btv1==[0-9a-f]{8,16}==)(?P<local>[^=]+)|prvs=(?P<older>[^/=]+)/[0-9a-f]{10}", re.IGNORECASE
)
# libsrs2's SRS0 and SRS1 (a second rewriting), and Exchange Online's: a hash, a day, the domain and the local part.
_SRS = re.compile(
    r"(?:srs0[=+-]|srs1[=+-][^=]+=[^=]+=[=+-]|[^=]*\+srs=)[^=]+=[^=]+=(?P<domain>[^=@]+)=(?P<local>[^@]+)",
    re.IGNORECASE,
)


def path_of(content: Content) -> str:
    """Return the reverse path of a mail, "" if it is empty or not known."""
    return (content.headers.get("return-path") or ("",))[0].strip("<> ")


def is_senders_own(content: Content) -> bool:
    """Return whether the reverse path is the sender's address, as it stands, signed, or passed on."""
    path, sender = path_of(content).casefold(), content.sender.casefold()
    return bool(path) and sender in (path, *_read_out(path))


def _read_out(path: str) -> list[str]:
    local, _, domain = path.rpartition("@")
    if found := _BATV.fullmatch(local):
        return [f"{found['local'] or found['older']}@{domain}"]
    if found := _SRS.fullmatch(local):
        return [f"{found['local']}@{found['domain']}"]
    return []
