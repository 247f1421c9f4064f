"""A random sample of routed messages that people label: what the router does wrong, whether anybody flags it or not."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from classifiers._figures import share
from router.routing.route import intended
from router.store import audits
from router.store.ledger import RECENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection, Row

    from router.routing.route import Verdict

_HASHES = 1 << 64
_UNKNOWN = "unknown"  # a language


def is_chosen(message_id: str, rate: float) -> bool:
    """Return whether a message belongs to the sample.

    That follows from its id alone, which says nothing of what the message says; whoever is chosen at one rate is
    chosen at every higher one.
    """
    digest = hashlib.sha256(f"audit {message_id}".encode()).digest()
    return int.from_bytes(digest[:8]) < rate * _HASHES


class Audit:
    """Chooses messages in the transaction that routes them."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def choose(self, connection: Connection, verdicts: Sequence[Verdict], decision_ids: Mapping[str, int]) -> None:
        """Offer those of a batch that chance has chosen."""
        chosen = (each for each in verdicts if each.decision and is_chosen(each.message.id, self._rate))
        audits.add(connection, [_row(verdict, decision_ids) for verdict in chosen])


def _row(verdict: Verdict, decision_ids: Mapping[str, int]) -> dict[str, Any]:
    message, decision = verdict.message, verdict.decision
    assert decision is not None
    departments, reason = intended(decision)
    return {
        "message_id": message.id,
        "decision_id": decision_ids.get(message.id),
        "received_at": message.received_at,
        "channel": message.channel,
        "language": message.content.language[:16],
        "department": departments[0],
        "reason": reason.value,
        "urgent": bool(decision.urgent),
        "model": decision.prediction.model if decision.prediction else "",
    }


# --- rates ------------------------------------------------------------------------------------------------------------


def rates(connection: Connection, since: datetime, until: datetime, zone: ZoneInfo) -> dict[str, Any]:
    """Return what audits and flags say of the messages that came in from one time to another.

    They are two different things: `audited` is an estimate for all routed messages, with its 95 % interval (Wilson), as
    long as those that were chosen are answered; `flagged` counts what somebody noticed. Periods are months.
    """
    return {
        "since": since.isoformat(),
        "until": until.isoformat(),
        "audited": _audited(audits.between(connection, since, until), zone),
        "flagged": _flagged(connection, since, until, zone),
    }


def summary(connection: Connection, now: datetime) -> dict[str, Any]:
    """Return the same for the last 30 days, in short."""
    since = now - RECENT
    counted = audits.count(connection, since)
    ahead = now + RECENT  # another daemon's clock may be
    [row] = audits.flagged_between(connection, since, ahead, apart=False)
    return {
        "days": RECENT.days,
        "audited": _share("misrouted", counted["wrong"], counted["routed"]),
        "flagged": _flags({"routed": row.routed, "flagged": row.flagged or 0}),
    }


def _audited(rows: Sequence[Row[Any]], zone: ZoneInfo) -> dict[str, Any]:
    answered = [row for row in rows if row.answered_at is not None]
    routed = [row for row in answered if row.reason in audits.ROUTED]
    left = [row for row in answered if row.reason not in audits.ROUTED]
    belongs = sum(bool(row.wrong) for row in left)
    groups: dict[str, Mapping[str, list[Row[Any]]]] = {
        "per_period": _by(routed, [f"{row.received_at.astimezone(zone):%Y-%m}" for row in routed]),
        "per_department": _by(routed, [row.department for row in routed]),
        "per_language": _by(routed, [row.language or _UNKNOWN for row in routed]),
        "per_channel": _by(routed, [row.channel for row in routed]),
    }
    return {
        "offered": len(rows),
        "answered": len(answered),
        **_wrong(routed),
        "fallback": _share("had_a_department", belongs, len(left)),
        "urgent": _urgent(answered),
        **{name: {key: _wrong(each) for key, each in group.items()} for name, group in groups.items()},
    }


def _by(rows: Iterable[Row[Any]], keys: Iterable[str]) -> dict[str, list[Row[Any]]]:
    groups: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row, key in zip(rows, keys, strict=True):
        groups[key].append(row)
    return dict(sorted(groups.items()))


def _wrong(rows: Sequence[Row[Any]]) -> dict[str, Any]:
    return _share("misrouted", sum(bool(row.wrong) for row in rows), len(rows))


def _share(name: str, count: int, n: int) -> dict[str, Any]:
    rate, interval = share(count, n)
    return {"n": n, name: count, "rate": rate, "interval": interval}


def _urgent(rows: Sequence[Row[Any]]) -> dict[str, int]:
    """Return how many were urgent, of how many of those nobody was told, and how often people were told for nothing."""
    found = Counter((bool(row.answer_urgent), bool(row.urgent)) for row in rows)
    return {"n": found[True, True] + found[True, False], "missed": found[True, False], "needless": found[False, True]}


def _flagged(connection: Connection, since: datetime, until: datetime, zone: ZoneInfo) -> dict[str, Any]:
    total: Counter[str] = Counter()
    groups: dict[str, defaultdict[str, Counter[str]]] = {
        name: defaultdict(Counter) for name in ("per_period", "per_department", "per_language", "per_channel")
    }
    for period, start, end in months(since, until, zone):
        for row in audits.flagged_between(connection, start, end):
            counts = {"routed": row.routed, "flagged": row.flagged}
            keys = (period, row.department, row.language or _UNKNOWN, row.channel)
            total.update(counts)
            for group, key in zip(groups.values(), keys, strict=True):
                group[key].update(counts)
    return _flags(total) | {
        name: {key: _flags(counts) for key, counts in sorted(group.items())} for name, group in groups.items()
    }


def _flags(counts: Mapping[str, int]) -> dict[str, Any]:
    routed, flagged = counts["routed"], counts["flagged"]
    return {"routed": routed, "flagged": flagged, "rate": round(flagged / routed, 4) if routed else None}


def months(since: datetime, until: datetime, zone: ZoneInfo) -> Iterable[tuple[str, datetime, datetime]]:
    """Yield the months of a time, each with where it begins and ends within it."""
    start = since
    while start < until:
        local = start.astimezone(zone)
        first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
        end = min(until, following)
        yield f"{local:%Y-%m}", start, end
        start = end
