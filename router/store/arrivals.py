"""Arrivals: originals that become ours. A unit of work that takes everything that waits, in two or three statements."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.dialects import sqlite

from router.ids import new_message_ids
from router.records import Inbound, Medium, Receipt, State
from router.store.prepared import PreparedInsert, PreparedPair
from router.store.tables import messages, originals

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Dialect

    NewIds = Callable[[Sequence[datetime]], Sequence[str]]
    Pair = tuple[str, str]

LONGEST_MAIL_ID = 255  # characters: the column's; of a longer one the digest is kept
_UNDECIDED = str(State.UNDECIDED)
_ROUNDS = 8  # the first stores, the second finds copies, a third may be needed; ids collide once in millions
_STORED = ("id", "channel", "medium", "source_key", "mail_id", "sha256", "received_at", "facts", "state", "sender")
_COLUMNS = [messages.c[name] for name in _STORED]
_OF_IDS = select(messages.c.id, messages.c.channel, messages.c.source_key).where(
    messages.c.id.in_(bindparam("ids", expanding=True))
)
_OF_KEYS = select(messages.c.id, messages.c.channel, messages.c.source_key).where(
    messages.c.channel.in_(bindparam("channels", expanding=True)),
    messages.c.source_key.in_(bindparam("keys", expanding=True)),
)
_LOCK_CONTENTS = "SELECT pg_advisory_xact_lock(content) FROM unnest(CAST($1 AS bigint[])) AS content"
_OF_CONTENTS = select(messages.c.id, messages.c.sha256, messages.c.mail_id).where(
    messages.c.sha256.in_(bindparam("digests", expanding=True)),
    messages.c.mail_id.in_(bindparam("mail_ids", expanding=True)),
)


class Arrival:
    """What is to be accepted: `sha256` of the original, in hex, and its mail id, "" if it has none.

    `key` names it at its source; `content` tells a mail that came by another way, if it has a mail id. Every arrival
    is itself: two with the same bytes are two.
    """

    __slots__ = ("content", "inbound", "key", "mail_id", "sha256")

    def __init__(self, inbound: Inbound, sha256: str, mail_id: str = "") -> None:
        self.inbound = inbound
        self.sha256 = sha256
        self.mail_id = mail_id if len(mail_id) <= LONGEST_MAIL_ID else _shortened(mail_id)
        self.key: Pair = (inbound.channel, inbound.source_key)
        self.content: Pair = (sha256, self.mail_id)


def _shortened(mail_id: str) -> str:
    return f"sha256:{hashlib.sha256(mail_id.encode()).hexdigest()}"


def accept(connection: Connection, arrivals: Sequence[Arrival], new_ids: NewIds = new_message_ids) -> list[Receipt]:
    """Store originals once: the same source key, or the same mail id *and* the same bytes, is a true copy.

    A true copy gets the receipt of the earlier one, also if both are among these arrivals.
    """
    _lock_contents(connection, arrivals)
    receipts: dict[Arrival, Receipt] = {}
    for number in range(_ROUNDS):
        waiting = [arrival for arrival in arrivals if arrival not in receipts]
        receipts |= _copies(connection, waiting, with_keys=number > 0)
        receipts |= _insert(connection, _leading(arrival for arrival in waiting if arrival not in receipts), new_ids)
        if len(receipts) == len(arrivals):
            return [receipts[arrival] for arrival in arrivals]
    raise RuntimeError(f"no free message id in {_ROUNDS} tries")


def _lock_contents(connection: Connection, arrivals: Sequence[Arrival]) -> None:
    """Keep other daemons from accepting the same mails until the commit: no constraint tells such copies.

    The locks are taken in order, so that nobody waits for somebody who waits for them. SQLite has one writer.
    """
    contents = {arrival.sha256 for arrival in arrivals if arrival.mail_id}
    if contents and connection.dialect.name == "postgresql":
        keys = sorted(int.from_bytes(bytes.fromhex(digest[:16]), signed=True) for digest in contents)
        connection.exec_driver_sql(_LOCK_CONTENTS, (keys,))


def _copies(connection: Connection, waiting: Sequence[Arrival], *, with_keys: bool) -> dict[Arrival, Receipt]:
    """Return receipts for what is stored already; the first round needn't ask for keys, which are unique anyway."""
    mails = [arrival for arrival in waiting if arrival.mail_id]
    if not (mails or with_keys):
        return {}
    by_key = _stored_keys(connection, waiting) if with_keys else {}
    by_content = _stored_contents(connection, mails)
    found = {arrival: by_key.get(arrival.key) or by_content.get(arrival.content) for arrival in waiting}
    return {arrival: Receipt(message_id=earlier, duplicate=True) for arrival, earlier in found.items() if earlier}


def _stored_keys(connection: Connection, waiting: Sequence[Arrival]) -> dict[Pair, str]:
    channels, keys = {arrival.key[0] for arrival in waiting}, [arrival.key[1] for arrival in waiting]
    rows = connection.execute(_OF_KEYS, {"channels": list(channels), "keys": keys})
    return {(row.channel, row.source_key): row.id for row in rows}


def _stored_contents(connection: Connection, mails: Sequence[Arrival]) -> dict[Pair, str]:
    if not mails:
        return {}
    digests, ids = [mail.sha256 for mail in mails], [mail.mail_id for mail in mails]
    rows = connection.execute(_OF_CONTENTS, {"digests": digests, "mail_ids": ids})
    return {(row.sha256, row.mail_id): row.id for row in rows}


def _leading(waiting: Iterable[Arrival]) -> list[Arrival]:
    """Return the first of each key and content: what follows it may be its copy, which shows in the next round.

    They come in an order of their own, so that two daemons that insert the same keys wait for each other in turn.
    """
    first: dict[Pair, Arrival] = {}
    contents: set[Pair] = set()
    for arrival in waiting:
        if arrival.mail_id:
            if arrival.content in contents:
                continue
            contents.add(arrival.content)
        first.setdefault(arrival.key, arrival)
    return [first[key] for key in sorted(first)]


def _insert(connection: Connection, leading: Sequence[Arrival], new_ids: NewIds) -> dict[Arrival, Receipt]:
    """Insert under fresh ids; return receipts for those that were: not for a taken key, and not for a taken id."""
    if not leading:
        return {}
    fresh = dict(zip(new_ids([arrival.inbound.received_at for arrival in leading]), leading, strict=True))
    stored = (_into_postgres if connection.dialect.name == "postgresql" else _into_sqlite)(connection, fresh)
    return {fresh[id_]: Receipt(message_id=id_) for id_ in stored}


def _into_sqlite(connection: Connection, fresh: Mapping[str, Arrival]) -> Iterable[str]:
    into_messages, into_originals = _inserts(connection.dialect)
    stored: Iterable[str] = fresh
    if into_messages.run(connection, [_row(id_, new) for id_, new in fresh.items()]) != len(fresh):
        found = connection.execute(_OF_IDS, {"ids": list(fresh)})  # some key or id was taken
        stored = [row.id for row in found if (row.channel, row.source_key) == fresh[row.id].key]
    into_originals.run(connection, [(id_, fresh[id_].inbound.original) for id_ in stored])
    return stored


def _into_postgres(connection: Connection, fresh: Mapping[str, Arrival]) -> Iterable[str]:
    rows = [(*_row(id_, new), new.inbound.original) for id_, new in fresh.items()]
    return _together(connection.dialect).run(connection, rows)


@lru_cache(4)
def _inserts(dialect: Dialect) -> tuple[PreparedInsert, PreparedInsert]:
    return (
        PreparedInsert(sqlite.insert(messages).on_conflict_do_nothing(), _COLUMNS, dialect),
        PreparedInsert(insert(originals), [originals.c.message_id, originals.c.content], dialect),
    )


@lru_cache(4)
def _together(dialect: Dialect) -> PreparedPair:
    return PreparedPair(_COLUMNS, [originals.c.message_id, originals.c.content], dialect)


def _row(message_id: str, arrival: Arrival) -> tuple[Any, ...]:
    """Return the values of `_COLUMNS`."""
    inbound = arrival.inbound
    return (
        message_id,
        inbound.channel,
        str(inbound.medium),
        inbound.source_key,
        arrival.mail_id or None,
        arrival.sha256,
        inbound.received_at,
        dict(inbound.facts),
        _UNDECIDED,
        _texter(inbound),
    )


def _texter(inbound: Inbound) -> str:
    """Return the number that a text came from, by which the next one finds it; of all else nobody knows it yet."""
    number = inbound.facts.get("sender") if inbound.medium is Medium.SMS else None
    return number[:320].casefold() if isinstance(number, str) else ""
