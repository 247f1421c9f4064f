"""Corrections are found by their decisions and deliveries; what tells programs and single browsers from two people."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from router.store.tables import Instant

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the table, the column and the indexes."""
    for name in ("decision_id", "delivery_id", "new_decision_id"):
        op.create_index(op.f(f"ix_corrections_{name}"), "corrections", [name])
    op.add_column("corrections", sa.Column("client", sa.String(length=32), server_default="", nullable=False))
    op.create_table(
        "blank_flags",
        sa.Column(
            "delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name=op.f("fk_blank_flags_delivery_id")),
        sa.PrimaryKeyConstraint("delivery_id", name=op.f("pk_blank_flags")),
    )
