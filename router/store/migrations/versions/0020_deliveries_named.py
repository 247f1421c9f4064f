"""An index of what was delivered otherwise than by mail, by the provider's name for it."""

from __future__ import annotations

from router.store import indexes

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the index."""
    by_no_mail = "state = 'delivered' AND kind <> 'answer' AND \"to\" = replace(\"to\", '@', '')"
    indexes.add("ix_deliveries_named", "deliveries", ["remote_id"], by_no_mail)
