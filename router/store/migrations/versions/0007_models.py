"""What happened to models, what a challenger would have done, pinned models, and since when a champion decides."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from router.store.tables import Instant

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Create the tables and the columns."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "model_events",
        sa.Column("id", number, autoincrement=True, nullable=False),
        sa.Column("at", Instant(), nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("version", sa.String(length=64), server_default="", nullable=False),
        sa.Column("by", sa.String(length=320), server_default="", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_events")),
    )
    op.create_table(
        "shadows",
        sa.Column("challenger", sa.String(length=64), nullable=False),
        sa.Column("decision_id", number, nullable=False),
        sa.Column("before", sa.String(length=64), nullable=False),
        sa.Column("after", sa.String(length=64), nullable=False),
        sa.Column("before_confidence", sa.Float(), nullable=False),
        sa.Column("after_confidence", sa.Float(), nullable=False),
        sa.Column("alarm_lost", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_shadows_decision_id")),
        sa.PrimaryKeyConstraint("challenger", "decision_id", name=op.f("pk_shadows")),
    )
    op.add_column("models", sa.Column("pinned", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("models", sa.Column("since_decision", number, nullable=True))
