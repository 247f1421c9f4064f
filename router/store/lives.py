"""Proofs of life, kept beside each channel's cursors: what any daemon knows of a channel, all do, and `status` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.life.proof import Life, Side
from router.store.tables import cursors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

Key = tuple[str, Side]
"""A channel's name, and one of its directions."""

_KEYS = {f":life:{side}": side for side in Side}
_NAMES = {side: key for key, side in _KEYS.items()}


def load(connection: Connection) -> dict[Key, Life]:
    """Return what is known of every channel, removed ones too."""
    statement = select(cursors).where(cursors.c.key.in_(_KEYS))
    return {(row.channel, _KEYS[row.key]): Life.from_json(row.value) for row in connection.execute(statement)}


def save(connection: Connection, lives: Mapping[Key, Life]) -> None:
    """Add what a daemon knows to what is known."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    for (channel, side), life in sorted(lives.items()):  # in one order, so that two daemons don't block each other
        place = {"channel": channel, "key": _NAMES[side]}
        first = dialect.insert(cursors).values(**place, value=life.to_json()).on_conflict_do_nothing()
        if connection.execute(first.returning(cursors.c.key)).first() is not None:
            continue
        here = (cursors.c.channel == channel, cursors.c.key == _NAMES[side])
        known = connection.execute(select(cursors.c.value).where(*here).with_for_update()).scalar_one()
        value = Life.from_json(known).merged(life).to_json()
        connection.execute(update(cursors).where(*here).values(value=value))
