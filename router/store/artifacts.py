"""The models' own bytes, in pieces so small that nobody waits for one to be stored: written once, read to serve."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from router.store.model_tables import model_artifacts
from router.store.tables import models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

PART = 1_048_576
"""Bytes of a piece; the last one may have fewer."""
_FORGOTTEN = 2  # pieces in one unit of work: each takes the writer a hundredth of a second


def missing(connection: Connection, version: str, artifact: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the pieces of a version's bytes that aren't stored yet, with their numbers."""
    c = model_artifacts.c
    there = connection.execute(select(c.part, func.length(c.content).label("size")).where(c.version == version))
    known = {row.part: row.size for row in there}
    for part, start in enumerate(range(0, len(artifact), PART)):
        piece = artifact[start : start + PART]
        if known.get(part) != len(piece):
            yield part, piece


def keep(connection: Connection, version: str, part: int, content: bytes) -> None:
    """Store one piece, in place of what may be there; two daemons may store the same at once."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(model_artifacts).values(version=version, part=part, content=content)
    key = [model_artifacts.c.version, model_artifacts.c.part]
    there = {"content": statement.excluded["content"]}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=there))


def read(connection: Connection, version: str) -> bytes:
    """Return the bytes of a version; whether they are all there, and what they were, their checksum tells."""
    c = model_artifacts.c
    return b"".join(connection.execute(select(c.content).where(c.version == version).order_by(c.part)).scalars())


def forget_some(connection: Connection) -> int:
    """Drop a few pieces of versions that the registry doesn't know (any more); return how many."""
    c = model_artifacts.c
    unknown = select(c.version, c.part).where(c.version.not_in(select(models.c.version))).limit(_FORGOTTEN)
    found = connection.execute(unknown).all()
    if found:
        these = or_(*(and_(c.version == version, c.part == part) for version, part in found))
        connection.execute(delete(model_artifacts).where(these))
    return len(found)
