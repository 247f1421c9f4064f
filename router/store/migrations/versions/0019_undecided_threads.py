"""Indexes of what waits for a decision, by what names it in a thread, and of what a process died over."""

from __future__ import annotations

from router.store import indexes

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Add the indexes."""
    indexes.add("ix_messages_undecided_mail", "messages", ["mail_id"], "state = 'undecided' AND mail_id IS NOT NULL")
    indexes.add(
        "ix_messages_undecided_from", "messages", ["sender", "received_at"], "state = 'undecided' AND sender <> ''"
    )
    indexes.add(
        "ix_messages_suspect", "messages", ["lost_leases", "received_at"], "state = 'undecided' AND lost_leases > 0"
    )
