"""The dashboard's sums of days and months, also of all departments and schools together: read in a few rows.

The days are counted again into these; the tables of before are left to programs of before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from router.store.tables import Instant

revision = "0017"
down_revision = "0016"

_COUNTS = (
    *("messages", "after_hours", "urgent", "arrived", "in_time", "late", "open", "open_late"),
    *("asked", "abstained", "routed", "flagged"),
)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "figure_counted",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("counted_at", Instant(), nullable=True),
        sa.Column("stale", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("open", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_figure_counted")),
    )
    op.create_table(
        "figure_totals",
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("by", sa.String(length=16), nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("school", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.Integer(), server_default="0", nullable=False) for name in _COUNTS),
        sa.Column("oldest_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("period", "by", "department", "school", "name", name=op.f("pk_figure_totals")),
        sqlite_with_rowid=False,
    )
