"""A district's last year in a store, up to now: what the console's pages are measured on.

More comes in on school days and in the morning; some is held, left to people, urgent, sent on, audited, not delivered,
or continues an earlier message; each says what two messages of the bundled corpus say. The rows are made here; the
daemon's own indexer and counter make the rest of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, islice, pairwise
from random import Random
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from sqlalchemy import insert, text

from classifiers._corpus import load_corpus
from router.business_hours import BusinessHours, week_of
from router.console.acting import LOOKED_AT
from router.figures import LEASE as FIGURES
from router.figures import Basis, Figures
from router.indexing import LEASE as INDEXING
from router.indexing import Indexing
from router.ownership import Ownership
from router.store import daemons
from router.store.console_tables import comments
from router.store.tables import alarms, audits, corrections, decisions, deliveries, messages, originals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Table

    from router.store.engine import Store

DEPARTMENTS = (  # of config/signpost.yaml, those to whom most is written first
    *("attendance", "enrollment", "transportation", "technology", "front-office", "special-education", "facilities"),
    *("finance", "food-services", "human-resources", "curriculum", "health-services", "communications", "athletics"),
    *("superintendent", "childcare", "safety", "multilingual"),
)
SCHOOLS = tuple(f"school-{number}" for number in range(40))
RARE = "archive"  # the department of one message of a thousand, which the configuration has no longer
_SYLLABLES = [first + second for first in "bcdfghklmnprstvz" for second in ("a", "e", "i", "o", "u", "an", "el", "or")]
SURNAMES = tuple(f"{first}{second}son".capitalize() for first in _SYLLABLES for second in _SYLLABLES)
_FALLBACK = "front-office"
_DAYS = 365
_ZONE = ZoneInfo("America/Chicago")
_OF_HOUR = (1, 1, 1, 1, 1, 3, 12, 40, 60, 50, 40, 35, 30, 30, 40, 45, 30, 15, 10, 10, 10, 8, 5, 2)
_REASONS, _OFTEN = ("model", "thread", "rule", "abstained", "unreadable", "disputed"), (56, 12, 8, 22, 1, 1)
_DAEMON = "benchmark"
_AT_ONCE = 2_000  # messages in one transaction
_BATCH = 500
_LATELY = timedelta(days=14)  # what was left to people before, they have looked at


@dataclass(frozen=True, slots=True)
class Made:
    """How long making the rows, indexing and counting them took, in seconds."""

    rows: int
    filled_s: float
    indexed_s: float
    counted_s: float


async def make(store: Store, rows: int) -> Made:
    """Fill an empty store, let the messages be found and their days be counted."""
    times = [time.perf_counter()]
    await fill(store, rows)
    times.append(time.perf_counter())
    for work in (indexing(store), counting(store)):
        now = store.clock.now() if store.dialect == "sqlite" else None
        await store.write(lambda c, now=now: daemons.register(c, _DAEMON, now, alone=False))  # type: ignore[misc]
        while await work.look():
            pass
        times.append(time.perf_counter())
    if store.dialect == "postgresql":
        await store.write(lambda c: c.execute(text("ANALYZE")))  # as autovacuum does within a minute
    return Made(rows, *(round(after - before, 1) for before, after in pairwise(times)))


def indexing(store: Store) -> Indexing:
    """Return the daemon's indexer, in a hurry."""
    return Indexing(store, Ownership(store, INDEXING, _DAEMON, lambda: True), lambda: True, part=1.0, batch=_BATCH)


def counting(store: Store) -> Figures:
    """Return what keeps the daemon's daily sums, in a hurry."""
    hours = BusinessHours(_ZONE, week_of({"mon-fri": "07:30-16:30"}))
    basis = Basis(hours=hours, levels={DEPARTMENTS[0]: timedelta(hours=2), DEPARTMENTS[2]: timedelta(hours=4)})
    return Figures(store, Ownership(store, FIGURES, _DAEMON, lambda: True), lambda: basis, part=1.0)


async def fill(store: Store, rows: int) -> None:
    """Write so many messages with all that belongs to them."""
    made = _Year(Random(7), store.clock.now(), rows).batches()
    while batch := list(islice(made, _AT_ONCE)):
        await store.write(lambda c, batch=batch: _put(c, batch))  # type: ignore[misc]
    if store.dialect == "postgresql":
        await store.write(_count_on)


_TABLES = (messages, originals, decisions, deliveries, alarms, corrections, audits, comments)


def _put(connection: Connection, batch: Sequence[dict[Table, list[dict[str, Any]]]]) -> None:
    for table in _TABLES:
        rows = [row for each in batch for row in each.get(table, ())]
        if rows:
            connection.execute(insert(table), rows)


def _count_on(connection: Connection) -> None:
    """Let the database's own numbers go on after ours."""
    for table in (decisions, deliveries, corrections, comments):
        last = f"SELECT coalesce(max(id), 1) FROM {table.name}"
        connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), ({last}))"))


def instants(random: Random, now: datetime, rows: int) -> Iterator[datetime]:
    """Yield when messages came in, the oldest first, the last of them just now."""
    first = now - timedelta(days=_DAYS)
    hours = [first + timedelta(hours=number) for number in range(_DAYS * 24)]
    weights = [_weight(hour.astimezone(_ZONE)) for hour in hours]
    counts = [0] * len(hours)
    for place in random.choices(range(len(hours)), cum_weights=list(accumulate(weights)), k=rows):
        counts[place] += 1
    for hour, count in zip(hours, counts, strict=True):
        yield from (
            hour + timedelta(seconds=second) for second in sorted(random.uniform(0, 3599) for _ in range(count))
        )


def _weight(at: datetime) -> float:
    """Return how much comes in during an hour, beside others."""
    of_day = 0.15 if at.weekday() > 4 else 1.0
    return _OF_HOUR[at.hour] * of_day * (0.4 if at.month in (6, 7) else 1.0)


class _Year:
    """Makes messages, each with the rows of other tables that belong to it."""

    def __init__(self, random: Random, now: datetime, rows: int) -> None:
        self._random, self._now, self._rows = random, now, rows
        self._decision = self._delivery = self._correction = self._comment = 0
        self._shares = list(accumulate(1 / (place + 2) for place in range(len(DEPARTMENTS))))
        self._written = [row for row in load_corpus().rows if row.get("body")]

    def batches(self) -> Iterator[dict[Table, list[dict[str, Any]]]]:
        """Yield each message's rows by table."""
        for number, at in enumerate(instants(self._random, self._now, self._rows)):
            yield self._message(number, at)

    def _message(self, number: int, at: datetime) -> dict[Table, list[dict[str, Any]]]:
        random = self._random
        first, second = random.choices(self._written, k=2)
        id_, subject, said = f"B{number:011d}", first.get("subject") or "", f"{first['body']}\n\n{second['body']}"
        family = number % max(1, self._rows // 8)
        sender = f"family-{family}@families.example"
        content = {"sender": sender, "subject": subject, "text": said, "external_id": f"<{number}@families.example>"}
        content |= {"sender_name": f"Ana {SURNAMES[family % len(SURNAMES)]}", "language": first.get("language") or "en"}
        message = {
            "id": id_,
            "channel": random.choices(("mail-in", "contact", "text-line"), (60, 30, 10))[0],
            "medium": "email",
            "source_key": f"k{number}",
            "sha256": f"{number:064d}",
            "received_at": at,
            "facts": {},
            "state": "routed",
            "detail": "",
            "decision_id": None,
            "sender": sender,
            "external_id": content["external_id"],
            "content": content,
        }
        original = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: {content['external_id']}\r\n\r\n{said}\r\n"
        made: dict[Table, list[dict[str, Any]]] = {
            messages: [message],
            originals: [{"message_id": id_, "content": original.encode()}],
        }
        if random.random() < 0.01:
            message |= {"state": "filed", "detail": "a delivery report"}
            return made
        self._decided(made, message)
        return made

    def _decided(self, made: dict[Table, list[dict[str, Any]]], message: dict[str, Any]) -> None:
        random, at = self._random, message["received_at"]
        reason = random.choices(_REASONS, _OFTEN)[0]
        sent_itself = reason in ("model", "thread", "rule")
        department = self._department() if sent_itself else _FALLBACK
        if message["id"].endswith("000"):
            department = RARE
        decision = self._decision_row(message, department, reason, at + timedelta(seconds=1))
        made[decisions] = [decision]
        if not sent_itself and (at < self._now - _LATELY or random.random() < 0.9):
            message["detail"] = f"{LOOKED_AT}office@maple.example"
        if decision["urgent"]:
            raised = decision["decided_at"]
            over = {"told_at": raised, "told": 1, "over_at": raised + timedelta(minutes=4)}
            made[alarms] = [{"message_id": message["id"], "why": decision["urgent"], "raised_at": raised, **over}]
        if at > self._now - timedelta(days=30) and random.random() < 0.002:
            message |= {"state": "held", "detail": "an automatic answer"}
            return
        made[deliveries] = [self._delivery_row(message, decision)]
        if random.random() < 0.03:
            self._sent_on(made, message, decision)
        if sent_itself and random.random() < 0.012:
            made[audits] = [self._audit(message, decision)]
        if random.random() < 0.005:
            self._comment += 1
            said = {"by": "office@maple.example", "at": at + timedelta(hours=1), "text": "The family was called."}
            made[comments] = [{"id": self._comment, "message_id": message["id"], **said}]

    def _department(self) -> str:
        return self._random.choices(DEPARTMENTS, cum_weights=self._shares)[0]

    def _decision_row(self, message: dict[str, Any], department: str, reason: str, at: datetime) -> dict[str, Any]:
        random = self._random
        self._decision += 1
        message["decision_id"] = self._decision
        return {
            "id": self._decision,
            "message_id": message["id"],
            "department": department,
            "reason": reason,
            "confidence": random.betavariate(4, 1.5) if reason in ("model", "abstained") else None,
            "model": "bundled-1" if reason in ("model", "abstained") else "",
            "urgent": "a weapon" if random.random() < 0.01 else "",
            "school": "" if random.random() < 0.4 else random.choice(SCHOOLS),
            "suggestions": random.sample(DEPARTMENTS, 3),
            "decided_at": at,
        }

    def _delivery_row(self, message: dict[str, Any], decision: dict[str, Any]) -> dict[str, Any]:
        random, at = self._random, decision["decided_at"]
        self._delivery += 1
        lately = at > self._now - timedelta(days=60)
        chances = (9960, 20, 10, 10) if lately else (1, 0, 0, 0)
        state = random.choices(("delivered", "dead", "unclear", "waiting"), chances)[0]
        settled_at = None if state == "waiting" else at + timedelta(seconds=random.lognormvariate(1.0, 1.8))
        return {
            "id": self._delivery,
            "kind": "route",
            "message_id": message["id"],
            "decision_id": decision["id"],
            "department": decision["department"],
            "via": "relay",
            "to": f"{decision['department']}@maplevalley.example",
            "state": state,
            "urgent": bool(decision["urgent"]),
            "created_at": at,
            "next_attempt_at": self._now + timedelta(days=300) if state == "waiting" else at,
            "settled_at": settled_at,
        }

    def _sent_on(
        self, made: dict[Table, list[dict[str, Any]]], message: dict[str, Any], decision: dict[str, Any]
    ) -> None:
        """Let somebody send it on, the former delivery having arrived."""
        random, at = self._random, decision["decided_at"]
        said_at = min(self._now, at + timedelta(hours=random.expovariate(0.2)))
        made[deliveries][0] |= {"state": "delivered", "settled_at": at + timedelta(seconds=3)}
        other = self._decision_row(message, self._department(), "correction", said_at)
        other["school"] = decision["school"]
        made[decisions].append(other)
        made[deliveries].append(self._delivery_row(message, other))
        states = (1, 20, 4) if said_at < self._now - timedelta(days=60) else (12, 10, 3)
        state = random.choices(("proposed", "confirmed", "withdrawn"), states)[0]
        self._correction += 1
        row = {
            "id": self._correction,
            "message_id": message["id"],
            "from_department": decision["department"],
            "to_department": other["department"],
            "by": f"staff-{random.randrange(40)}@maple.example",
            "via": "link",
            "model": decision["model"],
            "state": state,
            "at": said_at,
            "decision_id": decision["id"],
            "delivery_id": made[deliveries][0]["id"],
            "new_decision_id": other["id"],
            "confirmed_by": "office@maple.example" if state == "confirmed" else "",
            "confirmed_via": "console" if state == "confirmed" else "",
            "settled_at": None if state == "proposed" else said_at,
        }
        made[corrections] = [row]

    def _audit(self, message: dict[str, Any], decision: dict[str, Any]) -> dict[str, Any]:
        random, at = self._random, message["received_at"]
        answered = at < self._now - timedelta(days=5) and random.random() < 0.95
        wrong = random.random() < 0.06
        return {
            "message_id": message["id"],
            "decision_id": decision["id"],
            "received_at": at,
            "channel": message["channel"],
            "language": message["content"]["language"],
            "department": decision["department"],
            "reason": decision["reason"],
            "urgent": bool(decision["urgent"]),
            "model": decision["model"],
            "answer": (self._department() if wrong else decision["department"]) if answered else "",
            "answer_urgent": False if answered else None,
            "wrong": wrong if answered else None,
            "by": "office@maple.example" if answered else "",
            "answered_at": at + timedelta(days=1) if answered else None,
        }


def day_before(now: datetime, days: int) -> str:
    """Return a day as the inbox's filters take it."""
    return f"{(now - timedelta(days=days)).astimezone(_ZONE):%Y-%m-%d}"


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
