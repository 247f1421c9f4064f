"""How far a mailbox has been read: a UIDVALIDITY with the last UID (RFC 3501, section 2.3.1.1), and what was left.

The position only saves work: what is a copy is decided by `accept`, from source keys, and from mail ids with bytes.
"""

from __future__ import annotations

import hashlib
import imaplib
import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from channels._mime import mail_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from channels._imap_connection import Mailbox

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MARGIN = timedelta(days=2)  # a server counts days in a zone of its own, and we were here up to a day after `seen_on`
_LETTER_AGE = timedelta(days=14)
_LONGEST_NAME = 120  # of a mailbox, in a key of at most 255 characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What has been read: every UID up to `last`, save those in `left`. `seen_on` is a day we were here last."""

    account: str  # a digest: another account or server has UIDs of its own
    uid_validity: int
    last: int
    seen_on: date
    left: frozenset[int] = frozenset()

    def fits(self, account: str, mailbox: Mailbox) -> bool:
        """Tell whether these UIDs still mean the same mails.

        Not if the next one is behind us: a mailbox that was restored with its old UIDVALIDITY gives UIDs a second time.
        """
        known = self.account == account and self.uid_validity == mailbox.uid_validity
        return known and not 0 < mailbox.uid_next <= self.last

    def after(self, settled: Iterable[int], failed: Iterable[int], today: date) -> Position:
        """Return the position after some mails were settled and others left for later.

        Mails up to the highest of them must all be settled, left, or handed in here.
        """
        gone, kept = set(settled), set(failed)
        return replace(self, last=max({self.last, *gone, *kept}), left=(self.left - gone) | kept, seen_on=today)

    def leaving(self, uids: Iterable[int]) -> Position:
        """Return the position that has these mails for later, wherever the others get to."""
        return replace(self, left=self.left | set(uids))

    def without(self, vanished: Iterable[int]) -> Position:
        """Return the position without mails that were left for later and aren't there any more."""
        return replace(self, left=self.left - set(vanished))

    def to_json(self) -> dict[str, Any]:
        """Return it as a cursor keeps it."""
        return {
            "account": self.account,
            "uid_validity": self.uid_validity,
            "last": self.last,
            "seen_on": self.seen_on.isoformat(),
            "left": sorted(self.left),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Position:
        """Read what a cursor kept."""
        return cls(
            account=value["account"],
            uid_validity=value["uid_validity"],
            last=value["last"],
            seen_on=date.fromisoformat(value["seen_on"]),
            left=frozenset(value["left"]),
        )


def first_criteria(start: Literal["new", "unseen"], former: Position | None) -> str:
    """Return what else to take, of what is there, when there is no position that fits; "" for nothing.

    `former` is the position of before, if UIDs have changed their meaning (the mailbox was restored or moved). Then
    nothing that came meanwhile may be lost, whoever has read it, nor may `new` take years of old mail whose dates or
    flags got lost on the way: it takes what arrived since, if it is unread or was written lately.
    """
    unread = "UNSEEN" if start == "unseen" else ""
    if former is None:
        return unread
    since = former.seen_on - _MARGIN
    lately = f"SINCE {_imap_date(since)} OR UNSEEN SENTSINCE {_imap_date(since - _LETTER_AGE)}"
    return f"OR {unread} ({lately})" if unread else lately


def _imap_date(day: date) -> str:
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year}"  # strftime's month would follow the locale


def account_of(host: str, username: str) -> str:
    """Return what tells one account from another, without naming it."""
    return hashlib.sha256(f"{username}\n{host}".lower().encode()).hexdigest()[:12]


def key_of_name(mailbox: str) -> str:
    """Return a mailbox's name for use in a key."""
    long = len(mailbox) > _LONGEST_NAME
    return hashlib.sha256(mailbox.encode()).hexdigest()[:32] if long else mailbox


def arrived_at(internal_date: bytes) -> str:
    """Return in ISO 8601 when a mail arrived in its mailbox (INTERNALDATE, RFC 3501 section 2.3.3); "" if unknown."""
    try:
        local = imaplib.Internaldate2tuple(b'INTERNALDATE "' + internal_date.strip(b'"').rjust(26) + b'"')
        return "" if local is None else datetime.fromtimestamp(time.mktime(local), UTC).isoformat()
    except (KeyError, OverflowError, ValueError, OSError):
        return ""


def source_key(mailbox: str, position: Position, uid: int, arrived: bytes, original: bytes) -> str:
    """Return what names this mail at its source.

    A mail with a Message-ID is named by that and its UID: should UIDs change, `accept` knows it by its id and bytes;
    should a UID be given twice, another mail isn't taken for it. One without is named by its bytes and when it arrived
    in the mailbox (INTERNALDATE), which outlast a change of UIDs; the same bytes at another time are another mail.
    """
    if known := mail_id(original):
        return f"{uid_key(mailbox, position, uid)}:{_digest(known.encode('utf-8', 'replace'))[:16]}"
    return f"{key_of_name(mailbox)}:{_digest(arrived, original)}"


def notice_key(mailbox: str, position: Position, uid: int, arrived: bytes) -> str:
    """Return what names the notice in place of a mail of which little more is known than its UID."""
    return f"{uid_key(mailbox, position, uid)}:{_digest(arrived)[:16]}:notice"


def uid_key(mailbox: str, position: Position, uid: int) -> str:
    """Return what names the mail with this UID, whatever is in it."""
    return f"{key_of_name(mailbox)}:{position.account}:{position.uid_validity}:{uid}"


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
