"""For whom a message is found, departments that got a copy, too. Filled in the background, by the running daemon."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the column, NULL: not known yet."""
    op.add_column("inbox_rows", sa.Column("departments", sa.Text(), nullable=True))
