"""Messages chosen for an audit, and how a correction was confirmed and by whom it was withdrawn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from router.store.tables import Instant

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Create the table and the columns; what was confirmed or withdrawn before is told apart as far as it was kept."""
    op.create_table(
        "audits",
        sa.Column("message_id", sa.String(length=12), nullable=False),
        sa.Column("decision_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("received_at", Instant(), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("language", sa.String(length=16), server_default="", nullable=False),
        sa.Column("department", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("model", sa.String(length=64), server_default="", nullable=False),
        sa.Column("answer", sa.String(length=64), server_default="", nullable=False),
        sa.Column("answer_urgent", sa.Boolean(), nullable=True),
        sa.Column("wrong", sa.Boolean(), nullable=True),
        sa.Column("by", sa.String(length=320), server_default="", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("answered_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_audits_message_id")),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_audits_decision_id")),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_audits")),
    )
    op.create_index(op.f("ix_audits_received_at"), "audits", ["received_at"])
    op.create_index(op.f("ix_corrections_at"), "corrections", ["at"])
    op.create_index(op.f("ix_votes_at"), "votes", ["at"])
    op.add_column("corrections", sa.Column("confirmed_via", sa.String(length=16), server_default="", nullable=False))
    op.add_column("corrections", sa.Column("withdrawn_by", sa.String(length=320), server_default="", nullable=False))
    said = sa.table("corrections", *map(sa.column, ("state", "confirmed_by", "confirmed_via", "withdrawn_by")))
    by_votes = said.c.confirmed_by == "two votes"
    via = sa.case((by_votes, "votes"), else_="command")
    op.execute(said.update().where(said.c.state == "confirmed").values(confirmed_via=via))
    op.execute(
        said.update().where(said.c.state == "withdrawn").values(withdrawn_by=said.c.confirmed_by, confirmed_by="")
    )
