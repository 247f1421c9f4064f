"""The deciding stage: lease accepted messages, understand them, decide, commit decisions and deliveries together."""

from __future__ import annotations

import asyncio
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from router.failpoints import reach
from router.records import Content, Message, State
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
    from router.routing.lookout import Lookout
    from router.routing.route import Router, Verdict
    from router.store.engine import Store
    from router.store.messages import Undecided

BATCH = 32
_HEAVY = 8_000_000  # octets: a batch of so many may have ended early, for memory's sake
_SUSPECTS_EVERY_S = 0.5  # while there is much to do: to find none costs a look at all that waits
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
        self._lookout = lookout
        self._wake = wake
        self._metrics = metrics
        self._log = log
        self._shares = Shares()
        self.holding: set[str] = set()  # leased here, not yet committed (see router.orphans)

    async def run_once(self) -> int:
        """Do one batch and return how many messages it had."""
        suspects = monotonic() >= self._suspects_from
        first = self._lookout.take(BATCH) if self._lookout else []
        leased = await self._lease(first, suspects=suspects)
        if len(leased) == BATCH and suspects:  # full, and so without one
            self._suspects_from = monotonic() + _SUSPECTS_EVERY_S
        self._tell_lookout(leased, first)
        if not leased:
            return 0
        ids = {undecided.id for undecided in leased}
        self.holding |= ids
        try:
            await self._take_on(leased)
        except BaseException:
            await asyncio.shield(self._store.write(lambda c: messages.give_back(c, self._daemon_id, list(ids))))
            if self._lookout:
                self._lookout.put_back([message_id for message_id in first if message_id in ids])
            raise
        finally:
            self.holding -= ids
        return len(leased)

    async def _lease(self, first: Sequence[str], *, suspects: bool) -> list[Undecided]:
        lease = partial(messages.lease_undecided, owner=self._daemon_id, limit=BATCH, suspects=suspects, first=first)
        try:
            return await self._store.write(lease)
        except BaseException:
            if self._lookout:
                self._lookout.put_back(first)
            raise

    def _tell_lookout(self, leased: Sequence[Undecided], first: Sequence[str]) -> None:
        """Say whether there is more to do than one batch; what came first, or alone as a suspect, doesn't tell."""
        tells = not leased or not (leased[0].id in first or leased[0].lost_leases)
        if self._lookout and tells:
            heavy = sum(len(undecided.original) for undecided in leased) >= _HEAVY
            self._lookout.tell(behind=heavy or len(leased) == BATCH)

    async def _take_on(self, leased: Sequence[Undecided]) -> None:
        verdicts = await self._decide(leased)
        reach("decided")
        fences = {undecided.id: undecided.fence for undecided in leased}
        routed = (verdict.message for verdict in verdicts if verdict.decision)
        turns = self._shares.turns(routed, self._store.clock.now())
        written, withheld = await self._store.write(lambda c: self._commit(c, verdicts, fences, turns))
        reach("routed")
        self._wake()
        for verdict in written:
            self._report(verdict)
        for each in withheld:
            self._log.info("answer_withheld", message_id=each.message_id, why=each.why)

    async def _decide(self, leased: Sequence[Undecided]) -> list[Verdict]:
        return await self.router.decide(await asyncio.gather(*(self._read(undecided) for undecided in leased)))

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
    ) -> tuple[list[Verdict], list[Withheld]]:
        """Write the verdicts whose messages are still ours: another daemon may have taken over a lost lease."""
        now = self._store.clock.now()
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
