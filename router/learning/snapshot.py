"""What a training learns from, as the store holds it at one moment, and the models that it is compared with."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from router.errors import BadArtifact
from router.learning import registry
from router.learning.lessons import WORDS, Lessons, gather
from router.plugins import classifier_types
from router.store import models

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.learning.lessons import Rules
    from router.learning.train import Champion, Trained
    from router.store.engine import Store
    from router.store.models import ModelRow

_REFERENCES = 3  # versions that are tried as the reference, should one not be usable


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What may be learnt, as far as the caps allow, and the champion (None where there is none yet).

    `learnt` are the keys of what the champion has learnt. Where it can't be used, `champion` is what serves in its
    place, and `instead_of` its name. `reference` is the best one that served before it, if it was better.
    """

    lessons: Lessons = field(default_factory=Lessons)
    learnt: frozenset[str] = frozenset()
    champion: Champion | None = None
    instead_of: str = ""
    reference: Champion | None = None


async def snapshot(store: Store, rules: Rules) -> Snapshot:
    """Look at the store; raise `BadArtifact` if neither the champion nor anything that stands in can be used."""
    champion, instead_of = await _champion(store)
    learnt = frozenset(map(str, champion[1].get("learnt", ()))) if champion else frozenset()
    now = store.clock.now()
    return Snapshot(
        lessons=await store.read(lambda c: gather(c, rules, now, learnt)),
        learnt=learnt,
        champion=champion,
        instead_of=instead_of,
        reference=await _reference(store, champion) if champion else None,
    )


async def _champion(store: Store) -> tuple[Champion | None, str]:
    """Return the champion; or what serves in its place where it can't be used, and its name."""
    row = await store.read(models.champion)
    if row is None:
        return None, ""
    try:
        return await _loaded(store, row), ""
    except BadArtifact:
        for other in await store.read(registry.stand_ins):
            with suppress(BadArtifact):
                return await _loaded(store, other), row.version
        raise


async def _reference(store: Store, champion: Champion) -> Champion | None:
    """Return the best model that ever served, unless that is the champion."""
    for row in (await store.read(models.best_first))[:_REFERENCES]:
        if row.version == champion[0].version:
            return None
        with suppress(BadArtifact):
            return await _loaded(store, row)
    return None


async def _loaded(store: Store, row: ModelRow) -> Champion:
    return await registry.load_version(store, row, classifier_types())


def trained_on(seen: Snapshot, train: Callable[..., Trained]) -> Trained:
    """Train on a snapshot; if the gate refuses, once more without what is new of the person behind most of it.

    Otherwise one person who is wrong and says much would keep the gate shut for everybody: what they said first is what
    each next training begins with. What they said waits for somebody to look at it. `train` is `router.learning.train`
    with all but what the snapshot gives.
    """
    first = _trained(seen, train)
    person, _n = seen.lessons.loudest
    new = [lesson for lesson in seen.lessons.rows if lesson.key and lesson.key not in seen.learnt]
    doubted = tuple(lesson.key for lesson in new if person in lesson.people)
    if first.verdict.passed or not doubted:
        return first
    behind = f"{len(doubted)} of the {len(new)} words of people that are new to it come of {person}"
    refused = replace(first.verdict, remark=f"{behind}.", doubted=doubted)
    if any(lesson.key not in doubted and lesson.source in WORDS and not lesson.voted for lesson in new):
        rows = tuple(lesson for lesson in seen.lessons.rows if lesson.key not in doubted)
        second = _trained(replace(seen, lessons=replace(seen.lessons, rows=rows)), train)
        if second.verdict.passed:
            verdict = replace(
                second.verdict,
                sentence=f"{second.verdict.sentence} {len(doubted)} words of one person aren't in it, for with them "
                "it was refused: they wait until somebody has looked at them.",
                remark=f"{behind}; with them: {first.verdict.sentence}",
                doubted=doubted,
            )
            return replace(second, verdict=verdict)
    return replace(first, verdict=refused)


def _trained(seen: Snapshot, train: Callable[..., Trained]) -> Trained:
    model = train(
        store_rows=seen.lessons.rows,
        left_out=seen.lessons.left_out,
        champion=seen.champion,
        reference=seen.reference,
    )
    return replace(model, verdict=replace(model.verdict, instead_of=seen.instead_of))
