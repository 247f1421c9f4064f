"""A district in one process: the real store, steps, outbox, corrections, training, gate and registry.

Only the sink (it keeps nothing) and the clock (it is turned by hand) aren't a daemon's.
"""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import select

from benchmarks.learning.switches import let_pass, rehearsing, unsuspecting
from channels._mime_compose import compose
from classifiers._corpus import Corpus
from classifiers._text import from_text
from config.load import load
from router.assemble import assemble
from router.dispatch import Dispatcher
from router.learning import registry
from router.learning.build import audit_commands, terms_of
from router.learning.corrections import settle
from router.learning.learner import LEASE
from router.learning.retrain import Retraining, Surroundings
from router.learning.retrain_child import challenger
from router.learning.snapshot import snapshot
from router.learning.watch import Watch
from router.ownership import Ownership
from router.records import CorrectionState, Inbound, Medium
from router.store import tables
from router.store.daemons import BEAT_S
from router.store.engine import open_store
from router.testing import FakeClock
from router.testing_sinks import RecordingSink
from router.upkeep import every

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path

    from benchmarks.learning.streams import Said, Stream
    from config.load import Configuration
    from router.audit_commands import AuditCommands
    from router.learning.order import Order
    from router.learning.train import Trained
    from router.parts import Parts
    from router.records import Notice

FALLBACK, JUDGE = "front-office", "kim@maplevalley.example"
EVERYTHING = 0.5
"""A `target_error` at which nearly everything is routed: what is left to a person is no test of learning."""
_OPEN = {"person": 1_000_000, "department": 1_000_000, "cycle": 1_000_000, "flags_per_hour": 1_000_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanisms:
    """What is switched on. `bundled`: what is known comes with the product. `settings` are more under `learning`.

    Without the gate nothing is rehearsed, for nobody asks.
    """

    learning: bool = True
    silence: bool = True
    audit: bool = True
    caps: bool = True
    gate: bool = True
    rehearsals: bool = True
    bundled: bool = False
    target_error: float = EVERYTHING
    settings: Mapping[str, Any] = field(default_factory=dict)
    classifier: Mapping[str, Any] = field(default_factory=dict)

    def block(self) -> dict[str, Any]:
        """Return the block `learning` of the configuration."""
        given = dict(self.settings)
        silence = {"min_confidence": 0.7, "after": "7d", "most": 20_000, **given.pop("silence", {})}
        return {
            "corpus": self.bundled,
            "shadow": 0,
            "retrain_after": 50,
            "audit_rate": 0.01 if self.audit else 0,
            "silence": silence if self.silence else {"weight": 0.0},
            "caps": {} if self.caps else _OPEN,
            **given,
        }


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a message went: its id and its department."""

    id: str
    department: str


class Simulated:
    """`route` takes messages in and sends them; `correct` flags and confirms; `learn` does what a daemon does.

    `verdicts` is what the gate said of each model that was trained.
    """

    def __init__(
        self,
        parts: Parts,
        configuration: Configuration,
        clock: FakeClock,
        mechanisms: Mechanisms,
        corpus: Corpus | None = None,
    ) -> None:
        self.clock = clock
        self.verdicts: list[dict[str, Any]] = []
        self._parts, self._configuration, self._mechanisms, self._corpus = parts, configuration, mechanisms, corpus
        self._sent = 0
        self._audits: AuditCommands = audit_commands(configuration, parts.store)
        heartbeat = parts.heartbeat
        self._around = Surroundings(
            store=parts.store,
            lease=Ownership(parts.store, LEASE, heartbeat.daemon_id, heartbeat.alive),
            terms=lambda: terms_of(configuration),
            refresh=parts.lasting.refresh_model,
            tell=self._told,
            log=parts.log,
        )
        self._retraining = Retraining(self._around, self._train)
        self._watch = Watch(self._around)
        self._dispatcher = _dispatcher(parts)

    async def begin(self) -> None:
        """Take the learner's lease and train the first model."""
        assert await self._around.lease.take()
        await self._retraining.train("the first one")
        assert self._parts.serving.current() is not None

    @property
    def serving(self) -> str:
        """The version that serves."""
        return self._parts.serving.version

    def answers(self, asked: Sequence[Said]) -> list[str]:
        """Return the first choice of the model that serves for each of some messages."""
        model = self._parts.serving.classifier()
        assert model is not None
        said = model.predict([from_text(row.subject, row.text, medium="web_form") for row in asked])
        return [each.ranking[0][0] for each in said]

    async def route(self, batch: Sequence[Said]) -> list[Routed]:
        """Take messages in, decide and deliver them; return where each went."""
        receipts = await asyncio.gather(*(self._parts.intake.accept(self._inbound(row)) for row in batch))
        while await self._parts.stage.run_once():
            pass
        while await self._dispatcher.run_once():
            await self._dispatcher.settled()
        messages, decisions = tables.messages.c, tables.decisions.c
        statement = select(messages.id, decisions.department).join(
            decisions.id.table, decisions.id == messages.decision_id
        )
        rows = await self._parts.store.read(lambda c: {row.id: row.department for row in c.execute(statement)})
        return [Routed(receipt.message_id, rows.get(receipt.message_id, "")) for receipt in receipts]

    def _inbound(self, row: Said) -> Inbound:
        self._sent += 1
        sender, now = f"family-{self._sent:08d}@families.example", self.clock.now()
        mail_id = f"form.{self._sent}@maplevalley.example"
        original = compose(text=row.text, subject=row.subject, sender=sender, date=now, message_id=mail_id)
        facts = {"sender": sender, "subject": row.subject}
        return Inbound(
            source_key=f"{self._sent}",
            channel="contact",
            medium=Medium.WEB_FORM,
            received_at=now,
            original=original,
            facts={name: value for name, value in facts.items() if value},
        )

    async def correct(self, flags: Iterable[tuple[str, str, str]]) -> int:
        """Let people flag messages and confirm that: (message id, department, person); return how many moved."""
        now, corrections = self.clock.now(), self._parts.corrections
        moved = 0
        for message_id, to, person in flags:

            def work(connection: Any, message_id: str = message_id, to: str = to, person: str = person) -> bool:
                flagged = corrections.flag(connection, message_id, to, by=person, via="command", now=now)
                if flagged.correction_id is not None:
                    settle(connection, flagged.correction_id, CorrectionState.CONFIRMED, person, now)
                return flagged.correction_id is not None

            moved += await self._parts.store.write(work)
        while await self._dispatcher.run_once():
            await self._dispatcher.settled()
        return moved

    async def audit(self, truth: Mapping[str, str], person: str) -> int:
        """Let a person answer the audits that wait; return how many."""
        waiting = await self._audits.audit_list(limit=1000)
        for each in waiting:
            await self._audits.audit_answer(each["id"], truth[each["id"]], False, person)
        return len(waiting)

    async def learn(self) -> None:
        """Train if it is time to, and look after the champion."""
        await self._retraining.look()
        await self._judge()
        await self._watch.look()

    async def pass_time(self, by: timedelta) -> None:
        """Turn the clock."""
        self.clock.advance(by)
        await self._parts.heartbeat.beat()

    async def _train(self, order: Order, _within_s: float) -> Trained:
        """Do what the daemon's training process does, in a thread."""
        gate, seen = self._mechanisms.gate, await snapshot(self._parts.store, order.rules)
        seen = seen if gate else unsuspecting(seen)
        with rehearsing(on=gate and self._mechanisms.rehearsals):
            model = await asyncio.to_thread(challenger, order, seen, corpus=self._corpus)
        self.verdicts.append(_about(model))
        return model if gate else let_pass(model)

    async def _judge(self) -> None:
        """Let a person promote what the gate leaves to one, if it is right more often than the champion."""
        last = self.verdicts[-1]
        if not (last["waits"] and self._mechanisms.gate) or last["judged"]:
            return
        last["judged"] = True
        if last["challenger"] > last["champion"]:
            await registry.promote(self._parts.store, last["version"], by=JUDGE)
            await self._parts.lasting.refresh_model()

    async def _told(self, _kind: str, _notice: Notice) -> None:
        """Nobody reads what operations are told here."""


def _about(model: Trained) -> dict[str, Any]:
    """Return what is kept of a training; `waits` says that the gate left it to a person."""
    verdict = model.verdict
    first = verdict.checks[0] if verdict.checks else None
    return {
        "version": model.version,
        "passed": verdict.passed,
        "waits": verdict.waits,
        "judged": False,
        "champion": first.champion if first else None,
        "challenger": first.challenger if first else None,
        "held_out": first.n if first else 0,
        "sentence": verdict.sentence,
        "counts": dict(model.metrics["counts"]),
        "left_out": dict(model.metrics["left_out"]),
        "outvoted": list(model.metrics["outvoted"]),
        "doubted": len(verdict.doubted),
    }


def _dispatcher(parts: Parts) -> Dispatcher:
    heartbeat = parts.heartbeat
    return Dispatcher(
        "relay",
        RecordingSink(concurrency=32),
        parts.store,
        daemon_id=heartbeat.daemon_id,
        forwarding=parts.forwarding,
        alerts=parts.alerts,
        alive=heartbeat.alive,
        rng=parts.rng,
        metrics=parts.metrics,
        log=parts.log,
    )


@asynccontextmanager
async def simulated(where: Path, stream: Stream, mechanisms: Mechanisms) -> AsyncIterator[Simulated]:
    """Set a district up in an empty folder, with a first model, and take it down at the end."""
    configuration = load(_written(where, stream, mechanisms))
    clock = FakeClock()
    store = open_store(configuration.store.url_with_password(), clock)
    await store.open()
    quiet = structlog.wrap_logger(
        structlog.PrintLogger(io.StringIO()), wrapper_class=structlog.make_filtering_bound_logger(50)
    )
    beating = None
    try:
        parts = await assemble(configuration, store, Random(0), quiet)
        await parts.heartbeat.register()
        beating = asyncio.create_task(every(BEAT_S, parts.heartbeat.beat, quiet, "heartbeat"))
        district = Simulated(parts, configuration, clock, mechanisms, _corpus(stream) if mechanisms.bundled else None)
        await district.begin()
        yield district
        await parts.parsers.aclose()
    finally:
        if beating is not None:
            beating.cancel()
        await store.close()


def _corpus(stream: Stream) -> Corpus:
    """Return what is known at the start as the messages that come with the product."""
    rows = tuple({"subject": row.subject, "body": row.text, "department": row.label} for row in stream.start)
    return Corpus(rows, "of the stream")


def _written(where: Path, stream: Stream, mechanisms: Mechanisms) -> Path:
    """Write configuration and first messages; return the configuration's path (JSON is YAML)."""
    rows = where / "rows.jsonl"
    lines = ({"subject": row.subject, "body": row.text, "department": row.label} for row in stream.start)
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    relay = [{"via": "relay", "to": "office@maplevalley.example"}]
    desk = {"deliver": relay}
    path = where / "signpost.yaml"
    settings: dict[str, Any] = {
        "organization": {
            "name": "Maple Valley School District",
            "public_url": "http://127.0.0.1:8080",
            "timezone": "America/Chicago",
            "languages": ["en"],
        },
        "store": {"url": f"sqlite:///{where / 'signpost.db'}"},
        "operations": {"alerts": relay},
        "routing": {"fallback": FALLBACK, "target_error": mechanisms.target_error},
        "classifier": {"type": "linear", **mechanisms.classifier},
        "learning": {**mechanisms.block(), "data": [] if mechanisms.bundled else [str(rows)]},
        "channels": {
            "contact": {"type": "web_form"},
            "relay": {
                "type": "smtp",
                "host": "127.0.0.1",
                "port": 9,
                "tls": "none",
                "from": "contact@maplevalley.example",
            },
        },
        "departments": {
            FALLBACK: {"name": "Front Office", "covers": [], **desk},
            **{label: {"name": label, **desk} for label in stream.labels},
        },
    }
    path.write_text(json.dumps(settings, indent=1))
    return path
