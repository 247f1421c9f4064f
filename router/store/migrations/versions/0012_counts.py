"""Indexes of what is rare, so that everything can be counted without looking at each message."""

from __future__ import annotations

from router.store import indexes

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the indexes."""
    indexes.add("ix_messages_filed", "messages", ["received_at"], "state = 'filed'")
    indexes.add("ix_deliveries_dropped", "deliveries", ["kind"], "state = 'dropped'")
    indexes.add("ix_deliveries_beside", "deliveries", ["kind"], "state = 'delivered' AND kind <> 'route'")
