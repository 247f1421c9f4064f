"""A challenger beside the champion: it answers the same live messages, sends nothing, and takes over if all is well."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from classifiers._text import prepare, readings
from router.errors import BadArtifact, Conflict, NotFound
from router.learning import registry
from router.learning.heirs import heirs
from router.learning.proofs import fisher_test, sign_test
from router.plugins import classifier_types
from router.records import Notice
from router.routing.hint import hinted
from router.routing.policy import choose
from router.routing.urgent import Urgent
from router.serving import thresholds
from router.store import model_events as events
from router.store import models, shadows
from router.store.codec import content_from_json, prediction_from_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection, Row

    from router.interfaces import Classifier
    from router.learning.retrain import Surroundings
    from router.learning.terms import Terms
    from router.records import Department
    from router.routing.policy import Choice, Thresholds
    from router.store.models import ModelRow
    from router.store.shadows import Counts

LEAST = 20  # messages that must have been compared, however long it took
BATCH = 32  # messages compared at once: about as much work as one batch of routing
_SURE = 0.01
_ABSTAINING = 0.05  # as much more may be left to a person as the gate allows


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """The two models that are compared."""

    challenger: Classifier
    limits: Thresholds
    champion_limits: Thresholds


class Shadow:
    """`look` compares the messages that have come since the last look, and ends the trial when it has seen enough."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._pair: _Pair | None = None
        self._of = ("", "")  # champion and challenger

    async def look(self) -> int:
        """Compare one batch; return how many messages it had."""
        store = self._around.store
        row = await store.read(models.shadow)
        if row is None:
            self._pair = None
            return 0
        if await store.read(models.champion_version) not in _beside(row):
            await self._end(row, "another model serves now than the one it was compared with")
            return 0
        try:
            pair = await self._loaded(row)
        except (BadArtifact, NotFound) as error:
            await self._end(row, str(error))
            return 0
        compared = await self._compare(row, pair)
        answers = await store.read(lambda c: shadows.answers_now(c, row.since_decision or 0))
        if not compared and answers not in {"", row.parent}:  # or there would be no end, and no other training
            await self._end(row, "another model answers now than the one it was compared with")
            return 0
        await self._judge(row)
        return compared

    async def _loaded(self, row: ModelRow) -> _Pair:
        if self._pair is None or self._of != (row.parent, row.version):
            store, terms = self._around.store, self._around.terms()
            before = await registry.find(store, row.parent)
            challenger, meta = await registry.load_version(store, row, classifier_types())
            self._pair = _Pair(
                challenger=challenger,
                limits=thresholds(meta, terms.target_error),
                champion_limits=thresholds(await registry.metadata(store, before), terms.target_error),
            )
            self._of = (row.parent, row.version)
        return self._pair

    async def _compare(self, row: ModelRow, pair: _Pair) -> int:
        around, since = self._around, row.since_decision or 0
        asked = await around.store.read(lambda c: shadows.asked_about(c, row.parent, row.version, since, BATCH))
        if asked:
            compared = await asyncio.to_thread(_compared, asked, pair, row.version, around.terms())
            await around.lease.write(lambda c: shadows.add(c, compared))
        return len(asked)

    async def _judge(self, row: ModelRow) -> None:
        around, terms = self._around, self._around.terms()
        counts = await around.store.read(lambda c: counted(c, row.version, terms.departments))
        since = await around.store.read(lambda c: events.since(c, events.SHADOWED, row.version))
        if not enough(counts, around.store.clock.now(), since, terms.shadow, terms.shadow_for):
            return
        if why := why_not(counts):
            await self._end(row, why)
        else:
            await self._promote(row, counts)

    async def _promote(self, row: ModelRow, counts: Counts) -> None:
        around = self._around
        now, why = around.store.clock.now(), said(counts)

        def work(connection: Connection) -> ModelRow:
            registry.alone(connection)
            champion = models.champion_version(connection)
            if champion not in _beside(row) or not models.end_shadow(connection, row.version):
                raise Conflict("somebody promoted or rolled back a model at the same moment")
            return registry.make_champion(connection, row.version, now, why=why)

        await registry.check(around.store, row)
        await around.lease.write(work)
        await around.refresh()
        around.log.info("shadow_ended", model=row.version, promoted=True, compared=counts.n, different=counts.different)
        text = (
            f"{row.verdict.get('sentence', '')}\nBeside the one before: {why}.\n\n"
            f"The differences:  signpost models shadow {row.version}\nTo go back:  signpost models rollback\n"
        )
        await around.tell("learning", Notice(subject=f"A new model serves: {row.version}", text=text))

    async def _end(self, row: ModelRow, why: str) -> None:
        around = self._around
        now = around.store.clock.now()

        def work(connection: Connection) -> bool:
            ended = models.end_shadow(connection, row.version)
            if ended:
                events.add(connection, events.NOT_PROMOTED, now, version=row.version, why=why)
            return ended

        self._pair = None
        if await around.lease.write(work):
            around.log.warning("shadow_ended", model=row.version, promoted=False, why=why)
            text = (
                f"The new model {row.version} passed the gate, but answering beside the one that serves it didn't do "
                f"well: {why}.\n\nThe differences:  signpost models shadow {row.version}\n"
                f"To use it all the same:  signpost models promote {row.version}\n"
            )
            await around.tell("learning", Notice(subject=f"The new model {row.version} isn't used", text=text))


def _beside(row: ModelRow) -> frozenset[str]:
    """Return which champions a challenger may follow: the one it was compared with, or for which that one stood in."""
    return frozenset({row.parent, row.verdict.get("instead_of") or row.parent})


def _compared(asked: Sequence[Row[Any]], pair: _Pair, challenger: str, terms: Terms) -> list[dict[str, Any]]:
    """Return what both would do with messages: the champion by its stored answer."""
    contents = [(content_from_json(row.content), row.medium) for row in asked]
    asked_about = [hinted(prepare(*each), terms.departments) for each in contents]
    answers = pair.challenger.predict([model_input for model_input, _ in asked_about])
    reasons = Urgent(lambda: pair.challenger, readings).reasons(contents)
    rows = []
    for row, answer, reason, (_, chosen) in zip(asked, answers, reasons, asked_about, strict=True):
        stored = prediction_from_json(row.prediction)
        assert stored is not None  # it names the model that gave it
        before = choose(stored, terms.departments, pair.champion_limits, chosen)
        after = choose(answer, terms.departments, pair.limits, chosen)
        rows.append(
            {
                "challenger": challenger,
                "decision_id": row.id,
                "before": _desk(before),
                "before_confidence": before.confidence,
                "after": _desk(after),
                "after_confidence": after.confidence,
                "alarm_lost": bool(row.urgent) and not reason,
            }
        )
    return rows


def _desk(choice: Choice) -> str:
    return choice.department or ""


def enough(counts: Counts, now: datetime, since: datetime | None, messages: int, longest: timedelta) -> bool:
    """Return whether a trial has lasted long enough to be judged."""
    if counts.n >= messages:
        return True
    return counts.n >= min(LEAST, messages) and since is not None and now >= since + longest


def why_not(counts: Counts) -> str:
    """Return in words why a challenger shouldn't serve after all, "" if nothing speaks against it."""
    if counts.alarms_lost:
        return f"it doesn't see that {counts.alarms_lost} of the messages are urgent"
    more = (counts.after_abstained - counts.before_abstained) / max(1, counts.n)
    chance = fisher_test((counts.before_abstained, counts.n), (counts.after_abstained, counts.n))
    if more > _ABSTAINING and chance < _SURE:
        return f"of {counts.n} messages it leaves {counts.after_abstained} to a person, not {counts.before_abstained}"
    if sign_test(counts.better, counts.worse) < _SURE:
        return (
            f"of {counts.judged} messages of which people have said where they belong it would have treated "
            f"{counts.worse} worse and {counts.better} better than the one before"
        )
    return ""


def counted(connection: Connection, challenger: str, departments: Sequence[Department]) -> Counts:
    """Return how a challenger compares so far, by the departments that there are now.

    A model may choose those that cover any of its labels.
    """
    desks = {department.id for department in departments if department.covers}
    return shadows.counts(connection, challenger, desks, heirs(departments))


def said(counts: Counts) -> str:
    """Return the comparison in words."""
    text = f"{counts.n} messages compared, {counts.different} of them to another department or person"
    if counts.judged:
        text += (
            f"; of {counts.judged} of which people have said where they belong it had {counts.after_right} right, the "
            f"one before {counts.before_right}"
        )
    return text
