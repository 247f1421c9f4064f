"""What the tests of a daemon's learning share: a store with a clock to turn, decided messages, corrections, notices."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import cycle
from zoneinfo import ZoneInfo

from sqlalchemy import func, insert, select

from classifiers._artifact import Artifact, unpack
from router.learning import registry
from router.learning.learner import LEASE
from router.learning.order import Order
from router.learning.retrain import Surroundings
from router.learning.rollback import FIRM
from router.learning.terms import Terms
from router.learning.train import train, trained
from router.learning.verdicts import Verdict
from router.ownership import Ownership
from router.records import Content, Department, Prediction
from router.store import daemons, tables
from router.store.codec import content_to_json, prediction_to_json

LABELS = ("buses", "meals", "nurse")
DEPARTMENTS = tuple(Department(id=label, name=label, covers=(label,)) for label in LABELS)
TERMS = Terms(
    order=lambda: Order(
        store_url="",
        classifier="linear",
        settings={},
        departments=DEPARTMENTS,
        fallback="office",
        target_error=0.05,
        rules=None,
        memory=1 << 30,
    ),
    departments=DEPARTMENTS,
    target_error=0.2,
    zone=ZoneInfo("America/Chicago"),
    retrain_after=3,
    retrain_at=None,
    within=timedelta(hours=1),
    shadow=0,
    shadow_for=timedelta(days=1),
    keep=10,
)


class Live:
    """One daemon's learning on a store. `told` holds the subjects of its notices, `refreshed` counts exchanges."""

    def __init__(self, store, clock, log, name="one"):
        self.store, self.clock, self.name = store, clock, name
        self.terms, self.told, self.notices, self.refreshed = TERMS, [], [], 0
        self.lease = Ownership(store, LEASE, name, lambda: True)
        self.around = Surroundings(
            store=store, lease=self.lease, terms=lambda: self.terms, refresh=self._refresh, tell=self._tell, log=log
        )
        self._numbers = 0

    async def begin(self):
        """Register the daemon and take the lease."""
        await self.store.write(lambda c: daemons.register(c, self.name, self._now(), alone=False))
        assert await self.lease.take()
        return self

    def _now(self):
        return self.clock.now() if self.store.dialect == "sqlite" else None

    async def _refresh(self):
        self.refreshed += 1

    async def _tell(self, kind, notice):
        assert kind in ("learning", "training")
        self.told.append(notice.subject)
        self.notices.append(notice)

    async def decided(self, count, model, *, reason="model", label="buses", confidence=0.99, text="the bus", urgent=""):
        """Store messages that a model has decided about; return the ids of the decisions."""
        now = self.clock.now()
        start, self._numbers = self._numbers, self._numbers + count
        ids = [f"{self.name[:3]}{number:09d}" for number in range(start, self._numbers)]
        others = (1 - confidence) / (len(LABELS) - 1)
        ranking = tuple((each, confidence if each == label else others) for each in sorted(LABELS, key=label.__ne__))
        prediction = prediction_to_json(Prediction(ranking=ranking, score=9.0, model=model))
        messages = [
            {
                "id": each,
                "channel": "mail",
                "source_key": each,
                "medium": "email",
                "received_at": now,
                "state": "routed",
                "sha256": each,
                "facts": {},
                "content": content_to_json(Content(text=text)),
            }
            for each in ids
        ]
        rows = [
            {
                "message_id": each,
                "department": label if reason == "model" else "office",
                "reason": reason,
                "prediction": prediction,
                "model": model,
                "urgent": urgent,
                "suggestions": [],
                "decided_at": now,
            }
            for each in ids
        ]

        def work(connection):
            connection.execute(insert(tables.messages), messages)
            connection.execute(insert(tables.decisions), rows)
            found = select(tables.decisions.c.id).where(tables.decisions.c.message_id.in_(ids))
            return sorted(connection.execute(found).scalars())

        return await self.store.write(work)

    async def corrected(self, decisions, to="meals", state="confirmed", via="command", by=("ana", "bo")):
        """Let people say in turns that decided messages belong elsewhere."""
        now = self.clock.now()

        def work(connection):
            for each, person in zip(decisions, cycle(by), strict=False):
                message = select(tables.decisions.c.message_id).where(tables.decisions.c.id == each).scalar_subquery()
                row = {
                    "message_id": message,
                    "from_department": "buses",
                    "to_department": to,
                    "via": "command",
                    "state": state,
                    "at": now,
                    "decision_id": each,
                    "settled_at": None if state == "proposed" else now,
                    "confirmed_via": via if state == "confirmed" else "",
                    "confirmed_by": person if state == "confirmed" else "",
                }
                connection.execute(insert(tables.corrections).values(row))

        await self.store.write(work)

    async def count(self, table):
        """Return how many rows a table has."""
        return await self.store.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


def versions(linear, settings, corpus, progress):
    """Train once, and return what makes versions that differ in a remark: `make(remark, parent, passed, **meta)`."""
    artifact = unpack(train(linear, settings, corpus=corpus, progress=progress).artifact)

    def make(remark, parent="", passed=True, arrays=None, **meta):
        facts = {**artifact.meta, "remark": remark, "fingerprint": f"data {remark}", FIRM: f"words {remark}", **meta}
        changed = Artifact(artifact.type, {**artifact.arrays, **(arrays or {})}, facts)
        return trained(changed, Verdict(passed=passed, sentence="It is as it is."), parent)

    return make


async def champion(live, make, remark="one"):
    """Register a champion and return its row."""
    return await registry.register(live.store, make(remark), promote=True)


def with_terms(live, **changed):
    """Change settings."""
    live.terms = replace(live.terms, **changed)
