"""A model's bytes stand apart from what changes of it, in pieces: a promotion rewrote tens of megabytes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
contracts = True  # an earlier program looks for the column

_PART = 1_048_576  # bytes


def upgrade() -> None:
    """Create the table, move each model's bytes there, and drop the column that held them."""
    op.create_table(
        "model_artifacts",
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("version", "part", name=op.f("pk_model_artifacts")),
    )
    connection = op.get_bind()
    known = connection.execute(sa.text("SELECT version, length(artifact) FROM models")).all()
    move = sa.text(
        "INSERT INTO model_artifacts (version, part, content) "
        "SELECT version, CAST(:part AS INTEGER), substr(artifact, CAST(:start AS INTEGER), CAST(:size AS INTEGER)) "
        "FROM models WHERE version = :version"
    )
    for version, size in known:
        for part, start in enumerate(range(0, size, _PART)):
            connection.execute(move, {"version": version, "part": part, "start": start + 1, "size": _PART})
    op.drop_column("models", "artifact")
