"""Tables that find messages for the console. All in them follows from other tables: it is made again where it isn't.

So a copy of the store leaves them out. The words lie in an FTS5 table on SQLite and in a `tsvector` on PostgreSQL,
beside marks: words of their own for what a message is filtered by.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text, column, table

from router.store.tables import metadata

_own = MetaData(naming_convention=metadata.naming_convention)
_Number = BigInteger().with_variant(Integer, "sqlite")

inbox_rows = Table(
    "inbox_rows",
    _own,
    Column("key", _Number, primary_key=True, autoincrement=False),  # the time of receipt: see router.store.inbox_index
    Column("message_id", String(12), nullable=False, unique=True),
    Column("decision_id", _Number),  # that was in force when it was indexed
    Column("state", String(12), nullable=False),  # at that time
    Column("version", _Number, nullable=False),  # counts up whenever a row is made or made again; 0: long ago
    Column("departments", Text),  # that it is found for, those with a copy, too, blanks between; NULL: not known
    Index("ix_inbox_rows_version", "version"),
    Index("ix_inbox_rows_state", "state"),
)

inbox_follow = Table(
    "inbox_follow",  # how far the decisions have been followed, and the last version
    _own,
    Column("name", String(16), primary_key=True),
    Column("value", _Number, nullable=False),
)

inbox_words = table("inbox_words", column("rowid"), column("key"), column("marks"), column("words"))

NAMES = frozenset({"inbox_rows", "inbox_follow", "inbox_words"})
"""Names of these tables; those of FTS5's own begin with the last and an underscore."""


def is_ours(name: str | None) -> bool:
    """Return whether a table is one of these."""
    return name in NAMES or (name or "").startswith("inbox_words_")
