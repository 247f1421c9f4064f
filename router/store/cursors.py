"""Cursors: how far a source has read, kept so that a restart needn't read everything again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from router.store.tables import cursors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from router.store.engine import Store


def get(connection: Connection, channel: str, key: str) -> dict[str, Any] | None:
    """Return what a channel keeps under a key, None if there is nothing."""
    statement = select(cursors.c.value).where(cursors.c.channel == channel, cursors.c.key == key)
    value: dict[str, Any] | None = connection.execute(statement).scalar()
    return value


def put(connection: Connection, channel: str, key: str, value: Mapping[str, Any]) -> None:
    """Keep JSON values under a key, in place of what was there."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(cursors).values(channel=channel, key=key, value=dict(value))
    index = [cursors.c.channel, cursors.c.key]
    connection.execute(
        statement.on_conflict_do_update(index_elements=index, set_={"value": statement.excluded["value"]})
    )


@dataclass(frozen=True, slots=True)
class StoredCursor:
    """A `router.interfaces.Cursor` in the store."""

    store: Store
    channel: str
    key: str

    async def get(self) -> dict[str, Any] | None:
        """Return what was kept, None at first; raise `StoreBusy`."""
        return await self.store.read(lambda connection: get(connection, self.channel, self.key))

    async def set(self, value: Mapping[str, Any]) -> None:
        """Keep a value; it is on disk when this returns. Raises `StoreBusy`."""
        await self.store.write(lambda connection: put(connection, self.channel, self.key, value))
