"""More evidence where few messages are held out: what was learnt before and what is learnt now, each without a part.

The messages that both learn from are dealt into parts. For each part one model is trained as the champion was, without
what is new, and one as the challenger was, both without the part, and both answer it. That compares what is new, not
the two models themselves, so it only adds to what these say of the held-out messages (see `router.learning.gate`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from router.learning.dataset import split
from router.learning.lessons import SILENCE, WEAK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from router.interfaces import Example, Progress
    from router.learning.dataset import Dataset
    from router.learning.gate import Answered

    Ask = Callable[[Sequence[Example], Sequence[Example], Sequence[Example]], Answered]
    """Trains on examples and out-of-scope messages, and returns what that model says of others."""
    Truths = NDArray[np.bool_]
    Pair = tuple[Truths, Truths]

PARTS = 4
_NOTHING = np.zeros(0, dtype=bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """Which messages were answered rightly, before and now; and which weren't sent to a wrong department."""

    right: Pair
    not_misrouted: Pair


def as_before(dataset: Dataset, silent: int) -> Dataset:
    """Return a data set with so many silent messages, the oldest (they come last): the champion learnt from no more."""
    silence = [row for row in dataset.examples if row.source == SILENCE]
    new = set(map(id, silence[: max(0, len(silence) - silent)]))
    return replace(dataset, examples=tuple(row for row in dataset.examples if id(row) not in new))


def rehearse(before: Dataset, now: Dataset, ask: Ask, progress: Progress) -> Rehearsed:
    """Train twice for each part, and ask about it. Messages of weak labels, and what is new, are never asked about."""
    sides = [_Side.of(each) for each in (before, now)]
    known = {_said(row) for row in sides[0].examples}
    common = [row for row in sides[1].examples if row.source not in WEAK and _said(row) in known]
    parts = [[row for row in common if _part_of(row) == part] for part in range(PARTS)]
    found: list[list[Truths]] = [[], [], [], []]
    for part, asked in enumerate(parts):
        progress(f"rehearsing on what is known ({part + 1} of {PARTS})", part / PARTS)
        answers = [ask(*side.without(part), asked) for side in sides] if asked else []
        truths = [answer.right(asked) for answer in answers] + [~answer.misrouted(asked) for answer in answers]
        for of_all_parts, of_part in zip(found, truths, strict=bool(truths)):
            of_all_parts.append(of_part)
    whole = [np.concatenate([_NOTHING, *each]) for each in found]
    return Rehearsed(right=(whole[0], whole[1]), not_misrouted=(whole[2], whole[3]))


@dataclass(frozen=True, slots=True)
class _Side:
    """What a model may be trained on: examples and out-of-scope messages that aren't held out, and terms."""

    examples: list[Example]
    strangers: list[Example]
    terms: tuple[Example, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> _Side:
        return cls(split(dataset.examples)[0], split(dataset.out_of_scope)[0], dataset.terms)

    def without(self, part: int) -> tuple[list[Example], list[Example]]:
        examples, strangers = (
            [row for row in rows if _part_of(row) != part] for rows in (self.examples, self.strangers)
        )
        return [*examples, *self.terms], strangers


def _part_of(row: Example) -> int:
    """Return a part by other digits of the hash than those that hold out; near-duplicates share it."""
    return int(row.group[16:32], 16) % PARTS


def _said(row: Example) -> tuple[str, str, str]:
    return row.input.subject, row.input.body, row.department
