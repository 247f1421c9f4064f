"""An index of what waits for a decision, of each channel: so that each has its share of a batch."""

from __future__ import annotations

from router.store import indexes

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the index."""
    indexes.add("ix_messages_undecided_of", "messages", ["channel", "received_at"], "state = 'undecided'")
