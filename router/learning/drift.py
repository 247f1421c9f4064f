"""Whether what families write, or how the model does with it, is changing: counted all day, looked at once a day."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from router.learning import drift_counts as counts
from router.learning.drift_proofs import Question, answer, found, rate
from router.learning.drift_series import Series
from router.learning.drift_words import notices, said
from router.learning.new_topic import Said, new_topic
from router.records import Reason
from router.routing.route import intended
from router.store import drift
from router.store.decisions import to_decision

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from zoneinfo import ZoneInfo

    from sqlalchemy import Connection, Row
    from structlog.typing import FilteringBoundLogger

    from router.alerts import Alerts
    from router.interfaces import Classifier
    from router.learning.drift_proofs import Answer
    from router.learning.new_topic import Topic
    from router.ownership import Ownership
    from router.store.engine import Store

COUNT_S = 10.0  # between two looks for what has been decided
_BATCH, _MOST_BATCHES = 250, 20  # decisions at once, and in one go
_FIRST = 20_000  # decisions that are counted when it begins
_LAG = timedelta(minutes=1)  # what was decided later may still be committed out of order
_ABSURD = timedelta(days=1)  # a clock that is ahead by more was wrong
_SAMPLE, _SAMPLE_BEFORE = 1000, 2000  # messages that a topic is looked for in
_KEPT = timedelta(days=800)  # two years and more
_AGAIN = timedelta(days=28)  # the same kind of change isn't told again before


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The settings under `learning.drift`."""

    window: timedelta = timedelta(days=7)
    reference: timedelta = timedelta(days=56)
    least: int = 100
    false_alarms: float = 1.0  # a year

    @property
    def wrong(self) -> float:
        """How likely one look may find something where nothing has changed."""
        return min(1.0, self.false_alarms / 365)


@dataclass(frozen=True, kw_only=True)
class Present:
    """What counts now, whatever configuration is in force. `classifier` is the model that serves, if one does."""

    limits: Limits
    zone: ZoneInfo
    classifier: Classifier | None


class Drift:
    """`look` counts what has been decided, and once a day compares; call it again and again, in one daemon of all."""

    def __init__(
        self,
        store: Store,
        lease: Ownership,
        alerts: Alerts,
        present: Callable[[], Present],
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._lease = lease
        self._alerts = alerts
        self._present = present
        self._log = log

    async def look(self) -> None:
        """Count; if all is counted and a day has ended since the last look, compare the days, and tell."""
        present = self._present()
        for _ in range(_MOST_BATCHES):
            if await self._count(present) < _BATCH:
                await self._compare(present)
                break

    async def _count(self, present: Present) -> int:
        """Count the next decisions; return how many there were."""
        now = self._store.clock.now()

        def read(connection: Connection) -> list[Row[Any]]:
            return drift.after(connection, drift.counted(connection, _FIRST), _BATCH)

        rows = _settled(await self._store.read(read), now)
        if rows:
            sums = await self._summed(rows, present)
            await self._lease.write(lambda c: drift.add(c, sums, rows[-1].id))
        return len(rows)

    async def _summed(self, rows: Sequence[Row[Any]], present: Present) -> dict[drift.Key, float]:
        knows = getattr(present.classifier, "knows", None)
        try:
            return await asyncio.to_thread(counts.count, rows, present.zone, knows)
        except Exception:  # better without some than never any further
            self._log.exception("drift_not_counted", decisions=len(rows), last=rows[-1].id)
            return {}

    async def _compare(self, present: Present) -> None:
        now = self._store.clock.now()
        today = now.astimezone(present.zone).date()
        if (await self._store.read(drift.report)).get("until") == today.isoformat():
            return
        series = await self._store.read(lambda c: _series(c, present, today))
        answers = await asyncio.to_thread(lambda: [answer(each) for each in questions(series, present.limits)])
        changes = changed(answers, present.limits.wrong)
        topic = await self._topic(present, series) if any(each.question.what in _OF_MODEL for each in changes) else None
        told = await self._lease.write(partial(self._keep, report=_report(series, answers, changes, topic), now=now))
        self._log.info("drift_looked", messages=series.messages, compared=len(answers), changes=len(changes))
        for each in changes:
            facts = {"before": round(each.before, 4), "after": round(each.after, 4), "told": told}
            self._log.warning("drift_found", what=each.question.what, of=each.question.name, **facts)

    async def _topic(self, present: Present, series: Series) -> Topic | None:
        """Look for what is new among the messages that the model couldn't place."""
        start, between, end = (_midnight(day, present.zone) for day in series.edges)
        lately = await self._store.read(lambda c: drift.left_to_people(c, between, end, _SAMPLE))
        before = await self._store.read(lambda c: drift.left_to_people(c, start, between, _SAMPLE_BEFORE))
        return await asyncio.to_thread(lambda: new_topic(_abstained(lately), _abstained(before)))

    def _keep(self, connection: Connection, report: dict[str, Any], now: datetime) -> bool:
        """Keep what was found, and tell what wasn't told lately; return whether anything was."""
        drift.keep_report(connection, report)
        drift.forget(connection, (now - _KEPT).date())
        told = [
            self._alerts.tell(connection, f"drift:{kind}", notice, now, every=_AGAIN)
            for kind, notice in notices(report)
        ]
        return any(told)


_OF_MODEL = (counts.ABSTAINED, counts.DOUBT, counts.UNKNOWN)
_LEAST = {counts.ABSTAINED: 0.05, counts.DOUBT: 0.03, counts.UNKNOWN: 0.01, counts.LABEL: 0.03, "corrected": 0.03}
_ANOTHER_MODEL = 2  # so many times the difference is needed where another model answered before
_FEWEST_ROUTED = 20  # messages of a department in the window; three times as many before


def questions(series: Series, limits: Limits) -> list[Question]:
    """Return what there is enough of to be compared."""
    if not (limits.wrong and series.enough(limits.least)):
        return []
    asked = [series.of_model(what, _LEAST[what], _ANOTHER_MODEL, limits.least) for what in _OF_MODEL[:2]]
    if series.words_known:
        asked.append(series.shares(counts.UNKNOWN, "", counts.WORDS, least=_LEAST[counts.UNKNOWN], of=limits.least))
    asked += [
        series.shares(counts.LABEL, label, counts.ASKED, least=_LEAST[counts.LABEL], of=limits.least, both_ways=True)
        for label in series.names(counts.LABEL)
    ]
    asked += [
        series.corrected(department, _LEAST["corrected"], 3 * _FEWEST_ROUTED)
        for department in series.names(counts.ROUTED)
        if series.routed_enough(department, _FEWEST_ROUTED)
    ]
    return asked


def changed(answers: Sequence[Answer], wrong: float) -> list[Answer]:
    """Return the answers that say something; with probability `wrong` any, if nothing has changed.

    Half of that is for the three that tell of something new, so that many departments don't make these blind.
    """
    new = [each for each in answers if each.question.what in _OF_MODEL]
    others = [each for each in answers if each.question.what not in _OF_MODEL]
    return [*found(new, wrong / 2), *found(others, wrong / 2)]


def _settled(rows: Sequence[Row[Any]], now: datetime) -> list[Row[Any]]:
    """Return the rows up to the first that is so young that an earlier one may not be there yet."""
    settled = []
    for row in rows:
        if now - _LAG < row.decided_at <= now + _ABSURD:
            break
        settled.append(row)
    return settled


def _series(connection: Connection, present: Present, today: date) -> Series:
    limits = present.limits
    series = Series(today, limits.window.days, limits.reference.days)
    series.take(drift.sums(connection, series.first, today))
    for since, until in series.spans():
        flagged = drift.corrected(connection, _midnight(since, present.zone), _midnight(until, present.zone))
        series.flag((at.astimezone(present.zone).date(), department) for at, department in flagged)
    return series


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def _abstained(rows: Sequence[Row[Any]]) -> list[Said]:
    return [
        Said(message_id=row.message_id, sender=row.sender, words=frozenset(counts.said_words(row)))
        for row in rows
        if intended(to_decision(row))[1] is Reason.ABSTAINED
    ]


def _report(
    series: Series, answers: Sequence[Answer], changes: Sequence[Answer], topic: Topic | None
) -> dict[str, Any]:
    """Return what is kept, shown and told, as a JSON value."""
    start, between, end = series.edges
    rates = {
        each.question.what: {"before": round(rate(each.question.reference), 4), "after": round(each.after, 4)}
        for each in answers
        if each.question.what in _OF_MODEL
    }
    return {
        "reference_since": start.isoformat(),
        "since": between.isoformat(),
        "until": end.isoformat(),
        "messages": series.messages,
        "reference_messages": series.reference_messages,
        "compared": len(answers),
        "rates": rates,
        "changes": [_change(each) for each in changes],
        "topic": {**asdict(topic), "words": list(topic.words), "messages": list(topic.messages)} if topic else None,
    }


def _change(each: Answer) -> dict[str, Any]:
    return {
        "what": each.question.what,
        "name": each.question.name,
        "before": round(each.before, 4),
        "after": round(each.after, 4),
        "n": round(each.n),
        "chance": each.chance,
        "sentence": said(each),
    }
