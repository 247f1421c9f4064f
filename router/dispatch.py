"""The last stage: lease what is due at one sink, make one attempt each, then settle, defer or bury it."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from router.errors import Permanent, Retryable, StoreBusy, Unclear
from router.failpoints import reach
from router.lanes import AHEAD, Lanes
from router.records import Delivery, DeliveryKind, DeliveryState, Forward
from router.remarked import remark_on
from router.retry import ANSWERS_LAST, RetryPolicy, one_line
from router.store import deliveries

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime
    from random import Random

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.alerts import Alerts
    from router.forwarding import Forwarding
    from router.interfaces import Sink
    from router.metrics import Metrics
    from router.store.engine import Store

MOST_LOST_LEASES = 3
_ALERTS_EVERY_S = 1.0  # looked for while there is no room for anything else
_SETTLE_PAUSE_S = 0.5
_SUSPECTS_EVERY_S = 0.5  # while there is much to do: to find none costs a look at all that waits


class Dispatcher:
    """Delivers what is due at one sink, `sink.concurrency` at a time; alerts go beside them and wait for none."""

    def __init__(
        self,
        via: str,
        sink: Sink,
        store: Store,
        *,
        daemon_id: str,
        forwarding: Forwarding,
        alerts: Alerts,
        alive: Callable[[], bool],
        rng: Random,
        metrics: Metrics,
        log: FilteringBoundLogger,
        policy: RetryPolicy | None = None,
        suspects_after_s: float = 0.0,
    ) -> None:
        self.via = via
        self._sink = sink
        self._store = store
        self._daemon_id = daemon_id
        self.forwarding = forwarding  # a reload may exchange it
        self._alerts = alerts
        self._alive = alive
        self._rng = rng
        self._metrics = metrics
        self._log = log.bind(via=via)
        self._policy = policy or RetryPolicy()
        self._policy_of_answers, self._policy_of_alerts = self._policy.for_answers(), self._policy.for_alerts()
        self._lanes = Lanes(sink, rng)
        self._slots = asyncio.Semaphore(sink.concurrency)
        self._sending: set[asyncio.Task[None]] = set()
        self.holding: set[int] = set()  # leased here, not yet settled (see router.orphans)
        self._suspects: set[asyncio.Task[None]] = set()  # of those: deliveries that a process died over
        self._more = True  # there may be more that is due than was leased last
        self._suspects_from = monotonic() + suspects_after_s
        self._alerts_from = 0.0  # when to look for alerts again, if nothing else can be leased
        self._retired = False
        self.wake: Callable[[], None] = lambda: None  # app.py sets it to the worker's

    async def run_once(self) -> int:
        """Lease what there is room for and start attempts; return how many.

        `wake` is called when there is room again and more may be due.
        """
        leased = await self._lease()
        for forward in leased:
            self.holding.add(forward.delivery.id)
            self._lanes.begin(forward.delivery, len(forward.original))
            attempt = asyncio.create_task(self._attempt(forward), name=f"deliver-{forward.delivery.id}")
            self._sending.add(attempt)
            if forward.delivery.lost_leases:
                self._suspects.add(attempt)
            attempt.add_done_callback(partial(self._finished, delivery=forward.delivery))
        return len(leased)

    def _finished(self, attempt: asyncio.Task[None], *, delivery: Delivery) -> None:
        self.holding.discard(delivery.id)
        self._lanes.end(delivery)
        self._more = self._more or attempt in self._suspects  # the next of those may come now
        self._sending.discard(attempt)
        self._suspects.discard(attempt)
        if not attempt.cancelled() and attempt.exception() is not None:
            self._log.error("attempt_failed", exc_info=attempt.exception())
        if self._more and len(self._sending) <= self._sink.concurrency:
            self.wake()

    def retire(self) -> None:
        """Give back what was leased and not begun: another takes over. What was begun ends in its own time."""
        self._retired = True
        for _ in self._sending:
            self._slots.release()  # nobody waits for a turn any more

    async def settled(self) -> None:
        """Wait until no attempt is under way."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def drain(self, within_s: float) -> None:
        """Let attempts under way finish, for a while; what is left keeps its lease and is retried after a restart."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=within_s)
        left = list(self._sending)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _lease(self) -> list[Forward]:
        if self._retired:
            return []
        if not self._alive():
            self._more = True
            return []
        room = self._lanes.room(self._store.clock.now())
        if room <= 0 or len(self._sending) > self._sink.concurrency:
            self._more = True  # not now: a lease of few costs as much as one of many
            found = await self._take_alerts()
        else:
            found = await self._take(room)
        if not found:
            return []
        try:
            reach("leased")
            return await self._loaded(found)
        except BaseException:
            await asyncio.shield(self._store.write(lambda c: _give_back(c, found)))
            raise

    async def _loaded(self, found: Sequence[Delivery]) -> list[Forward]:
        """Load what may be sent now, and give the rest back."""
        sizes = {delivery.message_id: delivery.size for delivery in found if delivery.message_id}
        fitting = self._lanes.fitting(found, sizes, self._store.clock.now())
        if left := [delivery for delivery in found if delivery not in fitting]:
            self._more = True
            await self._store.write(lambda c: _give_back(c, left))
        return await self._store.read(lambda c: self.forwarding.load(c, fitting))

    async def _take(self, room: int) -> list[Delivery]:
        suspects = self._suspects_wanted()
        shut = self._lanes.shut(self._store.clock.now())
        found = await self._store.write(self._leasing(room, suspects, shut=shut))
        self._more = bool(shut) or len(found) >= room
        if suspects and self._more and not any(delivery.lost_leases for delivery in found):
            self._suspects_from = monotonic() + _SUSPECTS_EVERY_S
        return found

    async def _take_alerts(self) -> list[Delivery]:
        """Lease alerts though there is no room, or the breaker is open: each is an attempt that tells if it may close.

        Nothing else may make an alarm wait: not pacing, not letters that hang, not what other deliveries came upon.
        """
        if monotonic() < self._alerts_from:
            return []
        self._alerts_from = monotonic() + _ALERTS_EVERY_S
        return await self._store.write(self._leasing(AHEAD, self._suspects_wanted(), only_alerts=True))

    def _suspects_wanted(self) -> int:
        return 0 if self._suspects or monotonic() < self._suspects_from else 1  # one at a time: who is to blame?

    def _leasing(
        self, limit: int, suspects: int, *, only_alerts: bool = False, shut: Sequence[str] = ()
    ) -> Callable[[Connection], list[Delivery]]:
        return partial(
            deliveries.lease,
            via=self.via,
            owner=self._daemon_id,
            now=self._store.clock.now(),
            limit=limit,
            suspects=suspects,
            only_alerts=only_alerts,
            shut=shut,
        )

    async def _attempt(self, forward: Forward) -> None:
        delivery = forward.delivery
        async with nullcontext() if delivery.kind is DeliveryKind.ALERT else self._slots:
            if delivery.lost_leases >= MOST_LOST_LEASES:
                await self._settle(delivery, DeliveryState.DEAD, error=f"{delivery.lost_leases} processes died over it")
                return
            if why := _useless(delivery, self._store.clock.now()):
                await self._settle(delivery, DeliveryState.DROPPED, error=why)
                return
            # Our lease may be gone, and whoever has it sends it; or others before it have found the host down.
            if self._retired or not self._alive() or self._is_shut(delivery):
                await self._write(partial(self._store.write, partial(deliveries.unlease, delivery=delivery)))
                return
            try:
                with self._lanes.of(delivery.to).attempt():
                    remote_id = await self._sink.send(forward)
            except asyncio.CancelledError:  # the daemon stops, and this may have arrived
                await asyncio.shield(self._failed(delivery, Unclear("the daemon stopped during the attempt")))
                raise
            except Exception as error:
                await self._failed(delivery, error)
                return
        reach("answer_seen")
        self._lanes.of(delivery.to).breaker.succeeded()
        remark = one_line(remark_on(remote_id), 500)
        sent = deliveries.Sent(delivery, one_line(remote_id, 200), self._store.clock.now(), remark)
        await self._write(partial(self._store.write_together, deliveries.delivered, sent))
        reach("settled")
        self._report_delivered(forward)

    def _is_shut(self, delivery: Delivery) -> bool:
        return delivery.kind is not DeliveryKind.ALERT and self._lanes.is_shut(delivery.to, self._store.clock.now())

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        now = self._store.clock.now()
        self._tell_breaker(delivery, error, now)
        verdict = self._policy_of(delivery).after(delivery, error, now, self._rng)
        doubtful = verdict.unclear > delivery.unclear
        if verdict.next_attempt_at is not None:
            again = partial(
                deliveries.defer_unless_moved,
                delivery=delivery,
                next_attempt_at=verdict.next_attempt_at,
                error=verdict.reason,
                now=now,
                unclear=doubtful,
            )
            await self._write(partial(self._store.write, again))
        else:
            await self._settle(delivery, verdict.state, error=verdict.reason, unclear=doubtful)
        self._metrics.attempted(delivery, verdict.state, None)
        self._log.warning(
            "delivery_failed",
            delivery_id=delivery.id,
            message_id=delivery.message_id,
            attempt=delivery.attempts,
            state=verdict.state.value,
            why=verdict.reason,
        )

    def _policy_of(self, delivery: Delivery) -> RetryPolicy:
        if delivery.kind is DeliveryKind.ANSWER:
            return self._policy_of_answers
        about_a_message = delivery.message_id is not None
        return self._policy_of_alerts if delivery.kind is DeliveryKind.ALERT and about_a_message else self._policy

    def _tell_breaker(self, delivery: Delivery, error: Exception, now: datetime) -> None:
        """Count what speaks against the whole destination; who refuses one recipient is alive.

        Lost answers count, too: where all are lost, each further attempt would make a copy.
        """
        breaker = self._lanes.of(delivery.to).breaker
        if isinstance(error, Permanent) or (isinstance(error, Retryable) and not error.host):
            breaker.succeeded()
        else:
            breaker.failed(now, error.retry_after if isinstance(error, Retryable) else None)

    async def _settle(self, delivery: Delivery, state: DeliveryState, *, error: str, unclear: bool = False) -> None:
        now = self._store.clock.now()

        def work(connection: Connection) -> None:
            settled = deliveries.settle(connection, delivery, state, now, error=error, unclear=unclear)
            about_a_message = delivery.kind is DeliveryKind.ROUTE or delivery.message_id is not None
            awaited = about_a_message and state is not DeliveryState.DROPPED  # an automatic answer: nobody waits for it
            if settled and awaited:  # an alert about an alert of operations would never end
                self._alerts.tell_unsettled(connection, delivery, state, error, now)

        await self._write(partial(self._store.write, work))

    async def _write(self, write: Callable[[], Awaitable[object]]) -> None:
        """Write what became of an attempt, however long the store is busy: what was sent must not be sent again."""
        while True:
            try:
                await write()
            except StoreBusy as error:
                self._log.warning("store_busy", error=str(error))
                await asyncio.sleep(_SETTLE_PAUSE_S)
            else:
                return

    def _report_delivered(self, forward: Forward) -> None:
        delivery, message = forward.delivery, forward.message
        took_s = (self._store.clock.now() - (message.received_at if message else delivery.created_at)).total_seconds()
        self._metrics.attempted(delivery, DeliveryState.DELIVERED, took_s if message else None)
        self._log.info(
            "delivery_delivered",
            delivery_id=delivery.id,
            message_id=delivery.message_id,
            department=delivery.department,
            kind=delivery.kind.value,
            attempt=delivery.attempts,
            seconds=round(took_s, 3),
        )


def _useless(delivery: Delivery, now: datetime) -> str:
    """Return why an automatic answer isn't sent any more, "" if it is: too late, or perhaps sent already."""
    if delivery.kind is not DeliveryKind.ANSWER:
        return ""
    if delivery.lost_leases:
        return "a process died over it, which may have sent it"
    return "it would come too late" if now - delivery.created_at >= ANSWERS_LAST else ""


def _give_back(connection: Connection, found: Sequence[Delivery]) -> None:
    for delivery in found:
        deliveries.unlease(connection, delivery)
