"""The champion in memory: what routing asks, exchanged at once when another version is promoted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from classifiers._calibrate import min_confidence_for
from router.errors import BadArtifact
from router.learning.registry import load_version
from router.routing.policy import Thresholds
from router.store import models

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from router.interfaces import Classifier, ClassifierType
    from router.plugins import Plugins
    from router.store.engine import Store

FORMER_FOR = timedelta(hours=1)  # in which people look at what a new champion does


class Serving:
    """Holds the champion and the thresholds that follow from the wanted error rate.

    `on_refused` is told once, in a sentence, of each champion that can't be used; the last good one keeps serving.
    `on_reduced` is told of one that serves without a part it was trained with.
    """

    def __init__(
        self,
        store: Store,
        types: Plugins[ClassifierType],
        target_error: float,
        on_refused: Callable[[str], Awaitable[None]],
        on_reduced: Callable[[str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._types = types
        self._target_error = target_error
        self._on_refused = on_refused
        self._on_reduced = on_reduced
        self._present: _Loaded | None = None
        self._former: _Loaded | None = None  # kept for a while, so that going back takes no time
        self._exchanged_at = store.clock.now()
        self._refused = ""
        self._refreshing = asyncio.Lock()

    @property
    def version(self) -> str:
        """The version that serves, "" if none does."""
        return self._present.version if self._present else ""

    @property
    def refused(self) -> str:
        """The champion's version if it can't be used, else ""."""
        return self._refused

    def current(self) -> tuple[Classifier, Thresholds] | None:
        """Return what answers now: always a model with its own thresholds, or None."""
        return (self._present.classifier, self._present.thresholds) if self._present else None

    def classifier(self) -> Classifier | None:
        """Return the model that answers now, None if none does."""
        return self._present.classifier if self._present else None

    def aim(self, target_error: float) -> None:
        """From now on let at most this share of the routed messages be wrong, with whatever model serves."""
        self._target_error = target_error
        if self._present is not None:
            with suppress(BadArtifact):  # it has served: better the thresholds it had than none
                self._present = replace(self._present, thresholds=thresholds(self._present.meta, target_error))

    async def refresh(self) -> bool:
        """Load the champion if it isn't the version that serves; return whether it was exchanged.

        Call it at the start, after a promotion or rollback, and every few seconds (another daemon may have promoted).
        Raise what the store raises when it can't be read; the version that serves is kept then, too.
        """
        async with self._refreshing:
            self._let_go()
            champion = await self._store.read(models.champion_version)
            if not champion or champion == self._refused:
                return False
            if champion == self.version:
                self._refused = ""  # back to the good one
                return False
            return await self._exchange(champion)

    def _let_go(self) -> None:
        """Free the former model some time after the exchange: tens of MB. Going back means loading it then."""
        if self._former is not None and self._store.clock.now() - self._exchanged_at >= FORMER_FOR:
            self._former = None

    async def _exchange(self, champion: str) -> bool:
        try:
            loaded = await self._loaded(champion)
        except BadArtifact as error:
            self._refused = champion
            await self._on_refused(str(error))
            return self._present is None and await self._stand_in()
        self._refused = ""
        await self._serve(loaded)
        return True

    async def _stand_in(self) -> bool:
        """At a start, let the last version that served and still can take the place of a champion that can't."""
        for row in await self._store.read(models.served_before):
            with suppress(BadArtifact):
                await self._serve(await self._loaded(row.version))
                return True
        return False

    async def stand_in(self, version: str) -> None:
        """Serve this version until a champion can be used; raise `BadArtifact` if this one can't either."""
        async with self._refreshing:
            if self._present is None:
                await self._serve(await self._loaded(version))

    async def _loaded(self, version: str) -> _Loaded:
        if self._former is not None and self._former.version == version:
            return replace(self._former, thresholds=thresholds(self._former.meta, self._target_error))
        row = await self._store.read(lambda connection: models.get(connection, version))
        if row is None:
            raise BadArtifact(f"the model {version} is gone")
        classifier, meta = await load_version(self._store, row, self._types)
        return _Loaded(version, classifier, thresholds(meta, self._target_error), meta)

    async def _serve(self, loaded: _Loaded) -> None:
        self._former, self._present = self._present, loaded
        self._exchanged_at = self._store.clock.now()
        if "reduced" in loaded.meta:
            await self._on_reduced(f"the model {loaded.version}: {loaded.meta['reduced']}")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A model in memory, with its metadata and the thresholds that follow from it."""

    version: str
    classifier: Classifier
    thresholds: Thresholds
    meta: Mapping[str, Any]


def thresholds(meta: Mapping[str, Any], target_error: float) -> Thresholds:
    """Return what a model's answers must reach so that at most this share of the routed messages is wrong.

    `meta` is the metadata of its artifact; raise `BadArtifact` if its operating points can't be read.
    """
    try:
        min_confidence, min_score = min_confidence_for(meta, target_error)
        stranger_score = float(meta.get("stranger_score", "-inf"))
    except (TypeError, ValueError, IndexError) as error:
        raise BadArtifact(f"the model's operating points can't be read: {error}") from error
    return Thresholds(min_confidence=min_confidence, min_score=min_score, stranger_score=stranger_score)
