"""What finds messages for the console: filters and words. Filled in the background, by the running daemon."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_FTS5 = (
    "CREATE VIRTUAL TABLE inbox_words USING fts5(marks, words, tokenize = 'ascii', prefix = '2 3 4', columnsize = 0)"
)
_TSVECTOR = "CREATE TABLE inbox_words (key BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)"


def upgrade() -> None:
    """Create the tables, empty."""
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "inbox_rows",
        sa.Column("key", number, autoincrement=False, nullable=False),
        sa.Column("message_id", sa.String(length=12), nullable=False),
        sa.Column("decision_id", number, nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("version", number, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_inbox_rows")),
        sa.UniqueConstraint("message_id", name=op.f("uq_inbox_rows_message_id")),
    )
    op.create_index("ix_inbox_rows_version", "inbox_rows", ["version"])
    op.create_index("ix_inbox_rows_state", "inbox_rows", ["state"])
    op.create_table(
        "inbox_follow",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("value", number, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_inbox_follow")),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(_FTS5)
        return
    op.execute(_TSVECTOR)
    op.execute("CREATE INDEX ix_inbox_words_words ON inbox_words USING gin (words)")
