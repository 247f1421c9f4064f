"""What a rollback means for later trainings: what was gone back from doesn't come back by itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from router.learning.train import Trained
    from router.store.models import ModelRow

FIRM = "firm_fingerprint"
"""In a model's metrics: the fingerprint of what it learnt from without what only time or silence says."""


def was_left(model: Trained, champion: Mapping[str, Any], left: Iterable[ModelRow]) -> bool:
    """Return whether a model has learnt what one of those that were left had learnt, and hardly anything else.

    `champion` are the metrics of the model that serves. Messages that nobody flagged differ from one training to the
    next and make no other model of it; nor does a word or two more. But where somebody has withdrawn some of the words
    that were new in the one that was left, or most of what is new now is other words, it may be another matter.
    """
    return any(
        _same(model, row) or _mostly(_words(model.metrics), _words(champion), _words(row.metrics)) for row in left
    )


def _same(model: Trained, row: ModelRow) -> bool:
    firm = model.metrics.get(FIRM)
    return model.fingerprint == row.fingerprint or (firm is not None and firm == row.metrics.get(FIRM))


def _mostly(words: frozenset[str], known: frozenset[str], left: frozenset[str]) -> bool:
    new, suspect = words - known, left - known
    return bool(suspect) and suspect <= new and 2 * len(suspect) >= len(new)


def _words(metrics: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(map(str, metrics.get("learnt", ())))
