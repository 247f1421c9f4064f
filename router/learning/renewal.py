"""After an upgrade: this version's bundled model follows an earlier one that has learnt nothing of the district."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from classifiers._artifact import unpack
from classifiers._corpus import load_corpus
from router.errors import Conflict, SignpostError
from router.learning import bundled, registry
from router.learning.basis import BASIS, basis, is_bundled, is_earlier
from router.learning.terms import PAUSE
from router.learning.train import trained
from router.learning.verdicts import Verdict
from router.plugins import classifier_types
from router.records import Notice
from router.store import models

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from router.interfaces import ClassifierType, Settings
    from router.learning.order import Order
    from router.learning.retrain import Surroundings
    from router.learning.train import Trained
    from router.store.models import ModelRow

_WHY = "this version of Signpost brings a newer bundled model"
_SENTENCE = "This is the bundled model; it serves until one that has learnt from the district's own messages passes."


class Renewal:
    """`look` puts the present bundled model in the place of a former one; of what has learnt here it leaves alone.

    One that was there before, and that somebody went back from, doesn't come back. Nor does an older one take the place
    of a newer one's, while daemons of both versions run; and where only settings have changed, training asks the gate.
    """

    def __init__(self, around: Surroundings, run: Callable[[Order, float], Awaitable[Trained]]) -> None:
        self._around = around
        self._run = run
        self._known: tuple[str, str] = "", ""  # classifier and settings, and the digest of what they bring
        self._failed_at: datetime | None = None

    async def look(self) -> bool:
        """Look whether there is something to do, and do it; return whether another model serves."""
        store = self._around.store
        champion = await store.read(models.champion)
        if champion is None or not _is_former(champion) or self._rests():
            return False
        terms = self._around.terms()
        order = _of_bundled(terms.order())
        kind = classifier_types().get(order.classifier)
        settings = kind.settings.model_validate(dict(order.settings))
        present = await self._present(kind, settings)
        if not await store.read(lambda c: _is_due(c, champion, present)):
            return False
        try:
            made = await self._made(kind, settings, order, present)
            if made.metrics.get(BASIS) != present:  # else it would be made again and again
                raise SignpostError("the bundled model says that it was made of something else")
            return await self._take_place(made, champion, terms.keep)
        except Conflict:  # somebody trains: later
            return False
        except SignpostError as error:
            self._failed_at = store.clock.now()
            self._around.log.error("bundled_model_failed", why=str(error))
            return False

    def _rests(self) -> bool:
        now = self._around.store.clock.now()
        return self._failed_at is not None and self._failed_at <= now < self._failed_at + PAUSE

    async def _present(self, kind: ClassifierType, settings: Settings) -> str:
        asked = f"{kind.summary} {settings.model_dump_json()}"
        if self._known[0] != asked:
            digest = await asyncio.to_thread(lambda: basis(kind, settings, load_corpus()))
            self._known = asked, digest
        return self._known[1]

    async def _made(self, kind: ClassifierType, settings: Settings, order: Order, present: str) -> Trained:
        """Return the bundled model: kept from an earlier start, or trained as any other, behind everything else."""
        verdict = Verdict(passed=True, sentence=_SENTENCE)
        kept = await asyncio.to_thread(bundled.kept, kind, settings)
        if kept is not None:
            known = await asyncio.to_thread(lambda: trained(unpack(*kept), verdict))
            if known.metrics.get(BASIS) == present:
                return known
        return replace(await self._run(order, self._around.terms().within.total_seconds()), verdict=verdict)

    async def _take_place(self, model: Trained, champion: ModelRow, keep: int) -> bool:
        around, now = self._around, self._around.store.clock.now()

        def work(connection: Connection) -> bool:
            registry.alone(connection)
            if models.champion_version(connection) != champion.version or models.get(connection, model.version):
                return False
            registry.put(connection, model, now, keep=keep)
            registry.make_champion(connection, model.version, now, why=_WHY)
            return True

        await registry.keep_artifact(around.store, model)
        done = await around.lease.write(work)
        await registry.tidy(around.store)
        if done:
            await around.refresh()
            around.log.info("bundled_model_renewed", model=model.version, instead_of=champion.version)
            text = (
                f"The model {model.version} serves now instead of {champion.version}: {_WHY}, and nothing of your own "
                "messages had been learnt yet.\n\nTo go back:  signpost models rollback\n"
            )
            await around.tell("learning", Notice(subject=f"A new model serves: {model.version}", text=text))
        return done


def _is_former(champion: ModelRow) -> bool:
    return is_bundled(champion.metrics) and is_earlier(champion.metrics)


def _is_due(connection: Connection, champion: ModelRow, present: str) -> bool:
    """Return whether the present bundled model has never been here; not amid another one's trial."""
    if champion.metrics.get(BASIS) == present or models.shadow(connection) is not None:
        return False
    return not any(row.metrics.get(BASIS) == present and is_bundled(row.metrics) for row in models.listing(connection))


def _of_bundled(order: Order) -> Order:
    """Return an order of the very model that `router.learning.bundled` makes."""
    return replace(order, store_url="", departments=(), fallback="", files=(), corpus=True, target_error=0.05)
