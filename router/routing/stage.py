"""The deciding stage: lease accepted messages, understand them, decide, commit decisions and deliveries together."""

from __future__ import annotations

import asyncio
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from router.failpoints import reach
from router.records import Content, Message, State
from router.routing.earlier import PutOff
from router.shares import Shares
from router.store import messages, outbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.alerts import Alerts
    from router.answers.decide import Answers, Withheld
    from router.destinations import Desks
    from router.learning.audit import Audit
    from router.metrics import Metrics
    from router.returns import Returns
    from router.routing.earlier import Earlier
    from router.routing.lookout import Lookout
    from router.routing.route import Router, Verdict
    from router.store.engine import Store
    from router.store.messages import Undecided

BATCH = 32
_HEAVY = 8_000_000  # octets: a batch of so many may have ended early, for memory's sake
MOST_LOST_LEASES = 3  # a message that took three processes with it isn't understood a fourth time


class DecideStage:
    """`run_once` takes one batch from accepted to routed, held or filed."""

    def __init__(
        self,
        store: Store,
        router: Router,
        *,
        daemon_id: str,
        understand: Callable[[bytes, Mapping[str, object], str], Awaitable[Content]],
        glance: Callable[[bytes, Mapping[str, object], str, str], Content],
        desks: Desks,
        alerts: Alerts,
        returns: Returns,
        answers: Answers | None = None,
        audit: Audit | None = None,
        earlier: Earlier | None = None,
        lookout: Lookout | None = None,
        wake: Callable[[], None],
        metrics: Metrics,
        log: FilteringBoundLogger,
        suspects_after_s: float = 0.0,
    ) -> None:
        self._store = store
        self._suspects_from = monotonic() + suspects_after_s
        self.router = router
        self._daemon_id = daemon_id
        self._understand = understand
        self._glance = glance
        self._desks = desks
        self._alerts = alerts
        self._returns = returns
        self._answers = answers
        self._audit = audit
        self._earlier = earlier
        self._lookout = lookout
        self._wake = wake
        self._metrics = metrics
        self._log = log
        self._shares = Shares()
        self._put_off = PutOff()
        self._turn = 0  # batches so far: where more channels wait than a batch has places, each gets one in its turn
        self.holding: set[str] = set()  # leased here, not yet committed (see router.orphans)

    async def run_once(self) -> int:
        """Do one batch and return how many messages it had."""
        suspects = monotonic() >= self._suspects_from
        first = self._lookout.take(BATCH) if self._lookout else []
        leased = await self._lease(first, suspects=suspects)
        if not leased:
            self._tell_lookout(leased)
            return 0
        alone = leased[0].id in first or leased[0].lost_leases > 0
        if not alone:  # what came first, or as a suspect, doesn't tell
            self._tell_lookout(leased)
        batch: dict[str, Undecided] = {}
        try:
            return await self._take_on(leased, batch, alone=alone)
        except BaseException:
            await asyncio.shield(self._store.write(lambda c: messages.give_back(c, self._daemon_id, list(batch))))
            if self._lookout:
                self._lookout.put_back([message_id for message_id in first if message_id in batch])
            raise
        finally:
            self.holding -= batch.keys()

    async def _lease(self, first: Sequence[str], *, suspects: bool) -> list[Undecided]:
        self._turn += 1
        lease = partial(messages.lease_undecided, owner=self._daemon_id, limit=BATCH, suspects=suspects, first=first)
        try:
            return await self._store.write(partial(lease, but=self._put_off.names(), turn=self._turn))
        except BaseException:
            if self._lookout:
                self._lookout.put_back(first)
            raise

    def _tell_lookout(self, leased: Sequence[Undecided]) -> None:
        """Say whether there is more to do than one batch."""
        if self._lookout:
            heavy = sum(len(undecided.original) for undecided in leased) >= _HEAVY
            self._lookout.tell(behind=heavy or len(leased) == BATCH)

    async def _take_on(self, leased: Sequence[Undecided], batch: dict[str, Undecided], *, alone: bool) -> int:
        """Decide what was leased, and what it continues before it; return how many messages these were.

        `batch` gets all that is leased for that, and loses again what is given back: another batch may have it by then.
        What comes alone goes at once: alarms, and what a process died over, which might take others along.
        """
        read, late = await self._read_all(leased, batch), set[str]()
        if self._earlier and not alone:
            read, late = await self._earlier.gather(read, partial(self._take, batch=batch))
        verdicts = await self.router.decide(read)
        reach("decided")
        waiting = [each.message.id for each in verdicts if each.message.id in late and self._may_wait(each)]
        verdicts = [each for each in verdicts if each.message.id not in waiting]
        fences = {each.message.id: batch[each.message.id].fence for each in verdicts}
        routed = (verdict.message for verdict in verdicts if verdict.decision)
        turns = self._shares.turns(routed, self._store.clock.now())
        written, withheld = await self._store.write(lambda c: self._commit(c, verdicts, fences, turns, waiting))
        done = len(batch)
        for message_id in waiting:
            del batch[message_id]
        self.holding -= set(waiting)
        self._shares.written(fences)
        self._put_off.forget(fences)
        reach("routed")
        self._wake()
        for verdict in written:
            self._report(verdict)
        for each in withheld:
            self._log.info("answer_withheld", message_id=each.message_id, why=each.why)
        if waiting and not verdicts:
            await self._put_off.pause()
        return done

    async def _take(self, ids: Sequence[str], batch: dict[str, Undecided]) -> list[Message]:
        room = messages.MOST_BYTES - sum(len(each.original) for each in batch.values())
        lease = partial(messages.lease_these, owner=self._daemon_id, ids=ids, most_bytes=room)
        leased = await self._store.write(lease)
        return await self._read_all(leased, batch)

    def _may_wait(self, verdict: Verdict) -> bool:
        """Return whether a message is to wait for what it continues: not an alarm, and not for ever."""
        return verdict.state is State.ROUTED and not verdict.urgent and self._put_off.add(verdict.message.id)

    async def _read_all(self, leased: Sequence[Undecided], batch: dict[str, Undecided]) -> list[Message]:
        batch |= {undecided.id: undecided for undecided in leased}
        self.holding |= batch.keys()
        return await asyncio.gather(*(self._read(undecided) for undecided in leased))

    async def _read(self, undecided: Undecided) -> Message:
        seen = self._lookout.recall(undecided.id) if self._lookout else None
        if undecided.lost_leases >= MOST_LOST_LEASES:
            why = f"{undecided.lost_leases} processes died over it"
            content = self._glance(undecided.original, undecided.facts, undecided.medium.value, why)
        elif seen:
            content = seen.content
        else:
            content = await self._understand(undecided.original, undecided.facts, undecided.medium.value)
            reach("parsed")
        return Message(
            id=undecided.id,
            channel=undecided.channel,
            medium=undecided.medium,
            received_at=undecided.received_at,
            content=content,
            lost_leases=undecided.lost_leases,
            released=bool(undecided.facts.get("released")),
            foreseen=seen.reason if seen else None,
        )

    def _commit(
        self,
        connection: Connection,
        verdicts: Sequence[Verdict],
        fences: Mapping[str, int],
        turns: Mapping[str, datetime],
        waiting: list[str],
    ) -> tuple[list[Verdict], list[Withheld]]:
        """Write the verdicts whose messages are still ours: another daemon may have taken over a lost lease.

        Those that wait for what they continue are given back.
        """
        now = self._store.clock.now()
        if waiting:
            messages.give_back(connection, self._daemon_id, waiting)
        ours = outbox.still_leased(connection, fences)
        writing = [verdict for verdict in verdicts if verdict.message.id in ours]
        if not writing:
            return [], []
        ids = outbox.commit_verdicts(connection, writing, self._desks.destinations, now, turns)
        if self._audit:
            self._audit.choose(connection, writing, ids)
        for verdict in writing:
            if verdict.urgent:
                self._alerts.tell_urgent(connection, verdict, ids.get(verdict.message.id), now)
            if verdict.returned:
                self._returns.take(connection, verdict.returned, now)
            if verdict.state is State.HELD:
                self._alerts.tell_held(connection, verdict.message.id, verdict.detail, now)
        return writing, self._answer(connection, writing, ids, now)

    def _answer(
        self, connection: Connection, verdicts: Sequence[Verdict], ids: Mapping[str, int], now: datetime
    ) -> list[Withheld]:
        try:
            return self._answers.give(connection, verdicts, ids, now) if self._answers else []
        except SQLAlchemyError:
            raise  # the store's trouble: nothing of this is written
        except Exception:  # no answer is better than no decision for the whole batch
            self._log.exception("answers_failed")
            return []

    def _report(self, verdict: Verdict) -> None:
        decision = verdict.decision
        if decision is None:
            self._log.info(f"message_{verdict.state.value}", message_id=verdict.message.id, why=verdict.detail)
            return
        self._metrics.decided(decision)
        self._log.info(
            "message_decided",
            message_id=decision.message_id,
            department=decision.department,
            reason=decision.reason.value,
            confidence=decision.confidence,
            urgent=bool(decision.urgent),
            school=decision.school,
            model=decision.prediction.model if decision.prediction else "",
        )
