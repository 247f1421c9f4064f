"""Urgent messages that somebody has to acknowledge, and tags of decisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from router.store.tables import Instant

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the table, and the column of the tags."""
    op.create_table(
        "alarms",
        sa.Column("message_id", sa.String(length=12), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("decision_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("raised_at", Instant(), nullable=False),
        sa.Column("told_at", Instant(), nullable=False),
        sa.Column("told", sa.Integer(), server_default="0", nullable=False),
        sa.Column("over_at", Instant(), nullable=True),
        sa.Column("acknowledged_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_alarms_message_id")),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_alarms_decision_id")),
        sa.ForeignKeyConstraint(["acknowledged_by"], ["deliveries.id"], name=op.f("fk_alarms_acknowledged_by")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_alarms")),
    )
    op.create_index(
        "ix_alarms_open",
        "alarms",
        ["told_at"],
        sqlite_where=sa.text("over_at IS NULL"),
        postgresql_where=sa.text("over_at IS NULL"),
    )
    op.add_column("decisions", sa.Column("tags", sa.JSON(), server_default="[]", nullable=False))
