"""Signing keys, kept in the store so that every daemon of a district agrees on them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite

from router.store.tables import keys

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

MAIL_ID = "mail-id"  # never rotated: a retry must carry the same Message-ID


def load(connection: Connection, now: datetime) -> tuple[list[tuple[str, str]], str]:
    """Return the signing keys (id, secret), the newest last, and the Message-ID secret; make them if there are none.

    Daemons that start together agree: who comes second finds the first one's.
    """
    signing, mail_secret, next_id = _read(connection)
    missing = [*([] if mail_secret else [MAIL_ID]), *([] if signing else [next_id])]
    if missing:
        _add(connection, missing, now)
        signing, mail_secret, _ = _read(connection)
    return signing, mail_secret


def _read(connection: Connection) -> tuple[list[tuple[str, str]], str, str]:
    """Return the signing keys, the Message-ID secret ("" if there is none) and the next signing key's id."""
    rows = connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id)).all()
    mail_secret = next((row.secret for row in rows if row.id == MAIL_ID), "")
    signing = [row for row in rows if row.id != MAIL_ID]
    return [(row.id, row.secret) for row in signing if row.retired_at is None], mail_secret, f"k{len(signing) + 1}"


def rotate(connection: Connection, now: datetime) -> str:
    """Add a key that signs from now on and return its id; earlier ones still verify."""
    _, _, key_id = _read(connection)
    _add(connection, [key_id], now)
    return key_id


def retire(connection: Connection, key_id: str, now: datetime) -> None:
    """Stop accepting what a key has signed."""
    connection.execute(update(keys).where(keys.c.id == key_id).values(retired_at=now))


def _add(connection: Connection, ids: list[str], now: datetime) -> None:
    """Make keys, but those that another daemon has just made."""
    rows = [{"id": key_id, "secret": secrets.token_hex(32), "created_at": now} for key_id in ids]
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    connection.execute(dialect.insert(keys).on_conflict_do_nothing(), rows)
