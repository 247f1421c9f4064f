"""The champion in memory: what routing asks, exchanged at once when another version is promoted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
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
        self._current: tuple[Classifier, Thresholds] | None = None
        self._meta: Mapping[str, Any] = {}
        self._version = ""
        self._refused = ""
        self._refreshing = asyncio.Lock()

    @property
    def version(self) -> str:
        """The version that serves, "" if none does."""
        return self._version

    @property
    def refused(self) -> str:
        """The champion's version if it can't be used, else ""."""
        return self._refused

    def current(self) -> tuple[Classifier, Thresholds] | None:
        """Return what answers now: always a model with its own thresholds, or None."""
        return self._current

    def classifier(self) -> Classifier | None:
        """Return the model that answers now, None if none does."""
        return self._current[0] if self._current else None

    def aim(self, target_error: float) -> None:
        """From now on let at most this share of the routed messages be wrong, with whatever model serves."""
        self._target_error = target_error
        if self._current is not None:
            with suppress(BadArtifact):  # it has served: better the thresholds it had than none
                self._current = self._current[0], thresholds(self._meta, target_error)

    async def refresh(self) -> bool:
        """Load the champion if it isn't the version that serves; return whether it was exchanged.

        Call it at the start, after a promotion or rollback, and every few seconds (another daemon may have promoted).
        Raise what the store raises when it can't be read; the version that serves is kept then, too.
        """
        async with self._refreshing:
            row = await self._store.read(models.champion)
            if row is None:
                return False
            if row.version == self._version:
                self._refused = ""  # back to the good one
                return False
            if row.version == self._refused:
                return False
            return await self._exchange(row)

    async def _exchange(self, row: models.ModelRow) -> bool:
        try:
            classifier, meta = await load_version(self._store, row, self._types)
            limits = thresholds(meta, self._target_error)
        except BadArtifact as error:
            self._refused = row.version
            await self._on_refused(str(error))
            return False
        self._current, self._meta = (classifier, limits), meta
        self._version, self._refused = row.version, ""
        if "reduced" in meta:
            await self._on_reduced(f"the model {row.version}: {meta['reduced']}")
        return True


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
