"""The turn of a delivery: who sends very many messages lets others go first."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from router.store.tables import Instant

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the column: empty where a delivery's turn is when it is due."""
    op.add_column("deliveries", sa.Column("turn_at", Instant(), nullable=True))
