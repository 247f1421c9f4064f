"""Indexes of what is rare, so that everything can be counted without looking at each message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_INDEXES = (
    ("ix_messages_filed", "messages", "received_at", "state = 'filed'"),
    ("ix_deliveries_dropped", "deliveries", "kind", "state = 'dropped'"),
    ("ix_deliveries_beside", "deliveries", "kind", "state = 'delivered' AND kind <> 'route'"),
)


def upgrade() -> None:
    """Create the indexes."""
    for name, table, column, which in _INDEXES:
        where = sa.text(which)
        op.create_index(name, table, [column], unique=False, sqlite_where=where, postgresql_where=where)
