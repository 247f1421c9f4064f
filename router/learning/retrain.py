"""Train a challenger when it is time to: in a process of its own, by one daemon of all, so that routing never waits."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from router.errors import SignpostError
from router.learning import registry
from router.learning.terms import PAUSE, Standing, is_time, why_now
from router.learning.train import trained_elsewhere
from router.records import Notice
from router.store import marks, models
from router.store import model_events as events

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from sqlalchemy import Connection
    from structlog.typing import FilteringBoundLogger

    from router.interfaces import Progress
    from router.learning.order import Order
    from router.learning.terms import Terms
    from router.learning.train import Trained
    from router.ownership import Ownership
    from router.store.engine import Store
    from router.store.models import ModelRow

DAILY = "learning:daily"  # the mark of the daily time
_CHILD = ("-P", "-m", "router.learning.retrain_child")
# One processor is enough for a training, and the libraries' own threads would each reserve memory.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
_LONGEST_LINE = 64 * 1_048_576


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What learning in a daemon has to do with: the store, its right to act, and whom to tell."""

    store: Store
    lease: Ownership
    terms: Callable[[], Terms]
    refresh: Callable[[], Awaitable[object]]  # makes this daemon serve the champion at once
    tell: Callable[[str, Notice], Awaitable[None]]  # operations, about trouble or news of one kind
    log: FilteringBoundLogger


class Retraining:
    """`look` trains if it is time to, and returns when that is done."""

    def __init__(self, around: Surroundings, run: Callable[[Order, float], Awaitable[Trained]] | None = None) -> None:
        self._around = around
        self._run = run or train_apart
        self._failed_at: datetime | None = None  # where the store couldn't keep that

    async def look(self) -> None:
        """Train if the settings say so and this daemon holds the lease."""
        around, terms = self._around, self._around.terms()
        now = around.store.clock.now()
        standing, busy = await around.store.read(lambda c: _standing(c, now))
        if standing.daily_at is None or (is_time(terms, standing) and not busy):  # a trial puts it off
            await around.lease.write(lambda c: marks.claim_since(c, DAILY, now, now))
        why = "" if busy or self._rests(now) else why_now(terms, standing)
        if why:
            await self.train(why)

    def _rests(self, now: datetime) -> bool:
        return self._failed_at is not None and self._failed_at <= now < self._failed_at + PAUSE

    async def train(self, why: str) -> None:
        """Train now, register what comes out, and tell operations what became of it."""
        around, terms = self._around, self._around.terms()
        began = around.store.clock.now()
        around.log.info("training_began", why=why)
        try:
            model = await self._run(terms.order(), terms.within.total_seconds())
            await registry.keep_artifact(around.store, model)
            row, notice = await around.lease.write(lambda c: self._register(c, model, began, why, terms))
        except SignpostError as error:
            await self._failed(str(error))
            return
        except Exception as error:  # else it would be tried again at once, and again
            around.log.exception("training_failed")
            await self._failed(type(error).__name__)
            return
        await around.refresh()
        await registry.tidy(around.store)
        around.log.info("training_ended", model=row.version, state=row.state, passed=model.verdict.passed)
        for each in model.metrics.get("outvoted", ()):
            around.log.info("bundled_outvoted", model=row.version, **each)
        if notice:
            await around.tell("learning", notice)

    def _register(
        self, connection: Connection, model: Trained, began: datetime, why: str, terms: Terms
    ) -> tuple[ModelRow, Notice | None]:
        """Return the model as it then stands, and what operations are told; one that was there before is no news."""
        now = self._around.store.clock.now()
        events.add(connection, events.TRAINING, began, version=model.version, why=why)
        to = models.SHADOW if terms.shadow else models.CHAMPION
        known = models.get(connection, model.version) is not None
        row = registry.put(connection, model, now, to=to, keep=terms.keep)
        waits = events.last_of(connection, row.version, events.NOT_PROMOTED) if row.state == models.CHALLENGER else None
        return row, None if known else _news(row, waits.why if waits is not None else "")

    async def _failed(self, why: str) -> None:
        around = self._around
        around.log.error("training_failed", why=why)
        now = around.store.clock.now()
        try:
            await around.lease.write(lambda c: events.add(c, events.FAILED, now, why=why))
        except SignpostError:  # the store is why it failed, say: else it would be tried again at once, and again
            self._failed_at = now
            raise
        text = f"A training failed: {why}\nThe model that serves goes on; it is tried again later.\n"
        await around.tell("training", Notice(subject="The model couldn't be trained", text=text))


def _standing(connection: Connection, now: datetime) -> tuple[Standing, bool]:
    """Return what has changed since the last training, and whether a challenger is still being tried."""
    since = events.last(connection, events.TRAINING, now)
    confirmed, changed = events.settled_since(connection, since, now)
    failures, failed_at = events.failures_since(connection, since)
    standing = Standing(
        now=now,
        confirmed=confirmed,
        changed=changed,
        failures=failures,
        failed_at=failed_at,
        daily_at=marks.get(connection, DAILY),
    )
    return standing, models.shadow(connection) is not None


def _news(row: ModelRow, why_not: str) -> Notice | None:
    """Return what operations are told of a training that ended well; `why_not` it waits, "" if it doesn't."""
    sentence, back = row.verdict.get("sentence", ""), "To go back:  signpost models rollback\n"
    if remark := row.verdict.get("remark", ""):
        sentence += f"\n{remark}\nTo look at them:  signpost corrections list --conflicts\n"
    look = f"The whole table:  signpost models show {row.version}\n"
    if row.state == models.REFUSED:
        return Notice(subject="A new model was refused", text=f"{sentence}\nThe one before goes on.\n\n{look}")
    if why_not:
        text = f"{sentence}\nIt isn't used, and the one before goes on: {why_not}.\n\n{look}"
        use = f"To use it:  signpost models promote {row.version}\n"
        return Notice(subject="A new model waits for a person", text=text + use)
    if row.state == models.CHAMPION and row.parent and row.parent != row.version:
        return Notice(subject=f"A new model serves: {row.version}", text=f"{sentence}\n\n{look}{back}")
    return None


# --- the process ------------------------------------------------------------------------------------------------------


async def train_apart(order: Order, within_s: float, tell: Progress = lambda _doing, _share: None) -> Trained:
    """Train in a process of its own; raise `SignpostError` with a sentence if it fails, is ended or takes too long.

    `tell` hears how far it is, if a person has ordered it.

    It stays in our session: under autogroup scheduling (sched(7)) a session of its own would weigh as much as we do.
    """
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *_CHILD,
        stdin=pipe,
        stdout=pipe,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **_ONE_THREAD},
        limit=_LONGEST_LINE,
    )
    try:
        async with asyncio.timeout(within_s):
            return await _conversation(process, order, tell)
    except TimeoutError:
        raise SignpostError(f"it took longer than the {within_s / 60:.0f} minutes of learning.retrain_within") from None
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _conversation(process: asyncio.subprocess.Process, order: Order, tell: Progress) -> Trained:
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(ConnectionError):  # it died: which is said below
        process.stdin.write(order.line())
        await process.stdin.drain()
    while "doing" in (said := await _said(process, process.stdout)):
        tell(said["doing"], said["share"])
    if "error" in said:
        raise SignpostError(said["error"])
    data = await process.stdout.read()
    model = await asyncio.to_thread(trained_elsewhere, data, said["sha256"], said["verdict"], said["parent"])
    return replace(model, metrics={**model.metrics, "sources": said["sources"]}) if said["sources"] else model


async def _said(process: asyncio.subprocess.Process, answers: asyncio.StreamReader) -> dict[str, Any]:
    """Return the next line of a training's answer; raise `SignpostError` if it died."""
    line = await answers.readline()
    if not line.endswith(b"\n"):
        status = await process.wait()
        ended = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        raise SignpostError(f"its process {ended} before it was done")
    said: dict[str, Any] = json.loads(line)
    return said
