"""What goes to a desk in place of a mail that can't be taken: who wrote, about what, and where the whole mail lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from channels._mime import compose, glance
from router.records import Medium

if TYPE_CHECKING:
    from datetime import datetime

MOST_HEADER_BYTES = 65_536


def notice(*, header: bytes, why: str, mailbox: str, username: str, uid: int, date: datetime) -> bytes:
    """Return a mail from the same sender that says that another one waits in the mailbox, and why.

    `header` is what is known of the mail's header, b"" if nothing is; the writer's own subject is kept, so that the
    notice goes where the mail would have gone.
    """
    known = glance(header[:MOST_HEADER_BYTES] + b"\r\n\r\n", {}, Medium.EMAIL.value)
    text = (
        f"A mail to {username} could not be taken in: {why}.\n\n"
        f"It lies in the mailbox {mailbox} (number {uid}), unread and flagged. Please open it there.\n"
    )
    return compose(
        text=text,
        date=date,
        subject=known.subject or "A mail that could not be taken in",
        sender=known.sender,
        sender_name=known.sender_name,
        recipient=username,
        fields={"Reason": why},
    )
