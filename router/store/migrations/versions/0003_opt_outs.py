"""Telephone numbers whose owners want no more texts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from router.store.tables import Instant

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "opt_outs",
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("keyword", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_opt_outs")),
    )
