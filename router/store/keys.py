"""Signing keys, kept in the store so that every daemon of a district agrees on them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sqlalchemy import insert, select, update

from router.store.tables import keys

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

MAIL_ID = "mail-id"  # never rotated: a retry must carry the same Message-ID


def load(connection: Connection, now: datetime) -> tuple[list[tuple[str, str]], str]:
    """Return the signing keys (id, secret), the newest last, and the Message-ID secret; make them if there are none."""
    rows = connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id)).all()
    known = {row.id: row.secret for row in rows}
    if MAIL_ID not in known:
        known[MAIL_ID] = _add(connection, MAIL_ID, now)
    signing = [(row.id, row.secret) for row in rows if row.id != MAIL_ID and row.retired_at is None]
    if not signing:
        signing = [("k1", _add(connection, "k1", now))]
    return signing, known[MAIL_ID]


def rotate(connection: Connection, now: datetime) -> str:
    """Add a key that signs from now on and return its id; earlier ones still verify."""
    n = len(connection.execute(select(keys.c.id).where(keys.c.id != MAIL_ID)).all())
    key_id = f"k{n + 1}"
    _add(connection, key_id, now)
    return key_id


def retire(connection: Connection, key_id: str, now: datetime) -> None:
    """Stop accepting what a key has signed."""
    connection.execute(update(keys).where(keys.c.id == key_id).values(retired_at=now))


def _add(connection: Connection, key_id: str, now: datetime) -> str:
    secret = secrets.token_hex(32)
    connection.execute(insert(keys), {"id": key_id, "secret": secret, "created_at": now})
    return secret
