"""Where the district's word goes before the bundle's: bundled messages of a kind that people keep correcting.

A district may cut its work otherwise than the bundled messages do. These then say what is wrong here, in training and
in the gate's comparison, however often people say otherwise. So a bundled message is left out of both if confirmed
corrections of enough messages like it moved these away from its department, all to the same other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers._corpus import OUT_OF_SCOPE
from classifiers._text import prepare
from router.learning.lessons import CORPUS, CORRECTION, WEAK, WORDS
from router.store.codec import content_from_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from router.interfaces import Example, ModelInput
    from router.learning.dataset import Labels
    from router.learning.lessons import Lesson, Rules
    from router.learning.likeness import Likeness

BEYOND_ONE = 2  # of the corrections must have somebody else behind them, whoever of the people is left out
_STRANGERS = 0.9  # of the other departments' bundled messages lie farther off than what counts as alike
_LEAST = 0.1  # cosine: with less in common messages aren't alike, however odd the others are


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How many corrections outvote a bundled message (0: none do), and which share of a department's at most."""

    corrections: int = 5
    share: float = 0.33

    @classmethod
    def of(cls, rules: Rules) -> Terms:
        """Return what the settings say."""
        return cls(corrections=rules.outvote, share=rules.outvote_share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A correction that somebody confirmed by name, in labels of the model; `people` are those behind it."""

    input: ModelInput
    away_from: frozenset[str]
    to: str
    people: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outvoted:
    """Of the bundled messages of `label` so many aren't used, because of so many corrections that say `to`."""

    label: str
    to: str
    corrections: int
    messages: int
    silent: int = 0  # messages that nobody flagged, besides


def moves_of(lessons: Sequence[Lesson], labels: Labels) -> list[Move]:
    """Return what corrections say about labels; only those that a person confirmed by name speak against the bundle."""
    moves = []
    for lesson in lessons:
        away_from = labels.covered_by(lesson.from_department)
        if lesson.source != CORRECTION or lesson.voted or not away_from:
            continue
        model_input = prepare(content_from_json(lesson.content), lesson.medium)
        to, _why_not = labels.taught(lesson, model_input)
        if to and to != OUT_OF_SCOPE:  # what goes to the front office goes there for many reasons
            moves.append(Move(input=model_input, away_from=away_from, to=to, people=lesson.people))
    return moves


def reasons(lost: Sequence[Outvoted]) -> dict[str, int]:
    """Return how many messages are left out, by why."""
    counts = {
        "bundled, but confirmed corrections of messages like it say otherwise": sum(each.messages for each in lost),
        "nobody flagged it, but confirmed corrections of messages like it say otherwise": sum(
            each.silent for each in lost
        ),
    }
    return {why: n for why, n in counts.items() if n}


def told(pairs: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each pair, from what a model's metadata say (`Outvoted` as a JSON object)."""
    return [
        f"{each['messages']} bundled messages of {each['label']} aren't used"
        + (f", nor are {each['silent']} that nobody flagged" if each["silent"] else "")
        + f": {each['corrections']} confirmed corrections say that such messages belong to {each['to']}."
        for each in pairs
    ]


def outvote(
    rows: Sequence[Example], moves: Sequence[Move], terms: Terms | None
) -> tuple[list[Example], tuple[Outvoted, ...]]:
    """Return the rows that keep their say, and which pairs of labels the others were of.

    An urgent message always keeps it: no model may lose its alarm unseen.
    """
    pairs = _pairs(moves, terms) if terms else []
    if terms is None or not pairs:
        return list(rows), ()
    from router.learning.likeness import Likeness  # noqa: PLC0415  it needs scikit-learn: for training only

    trial = _Trial(rows, moves, terms, Likeness([*(row.input for row in rows), *(move.input for move in moves)]))
    gone: set[int] = set()
    found = []
    for (label, to), numbers in pairs:
        bundled, silent = trial.losers(label, to, numbers, gone)
        gone.update(bundled, silent)
        if bundled:
            found.append(
                Outvoted(label=label, to=to, corrections=len(numbers), messages=len(bundled), silent=len(silent))
            )
    return [row for number, row in enumerate(rows) if number not in gone], tuple(found)


def _pairs(moves: Sequence[Move], terms: Terms) -> list[tuple[tuple[str, str], list[int]]]:
    """Return each pair of labels with the numbers of its moves, if they are enough; those with most come first."""
    of_pair: dict[tuple[str, str], list[int]] = {}
    for number, move in enumerate(moves):
        for label in move.away_from - {move.to}:
            of_pair.setdefault((label, move.to), []).append(number)
    enough = [item for item in of_pair.items() if len(item[1]) >= terms.corrections > 0]
    return sorted(enough, key=lambda item: (-len(item[1]), item[0]))


@dataclass(frozen=True, slots=True)
class _Trial:
    rows: Sequence[Example]
    moves: Sequence[Move]
    terms: Terms
    alike: Likeness  # of the rows, then of the moves

    def losers(self, label: str, to: str, numbers: list[int], gone: set[int]) -> tuple[list[int], list[int]]:
        """Return which bundled and which silent rows of a label are outvoted: as many bundled ones as may be."""
        whole = self._of(label, CORPUS)
        bundled, silent = (
            [n for n in rows if n not in gone and not self.rows[n].alarming] for rows in (whole, self._of(label, *WEAK))
        )
        least = self._least_cosine(label, to, numbers)
        most = int(self.terms.share * len(whole)) - len(gone.intersection(whole))
        lost = self._outvoted(bundled, label, numbers, least)[: max(0, most)]
        return lost, self._outvoted(silent, label, numbers, least) if lost else []

    def _of(self, label: str, *sources: str) -> list[int]:
        rows = enumerate(self.rows)
        return [n for n, row in rows if row.department == label and row.source in sources]

    def _least_cosine(self, label: str, to: str, numbers: list[int]) -> float:
        """Return how near a message must be to so many of the corrections: nearer than those of other departments."""
        others = [n for n, row in enumerate(self.rows) if row.source == CORPUS and row.department not in {label, to}]
        if not others:
            return 1.0
        near = self.alike.nearest(others, self._places(numbers), self.terms.corrections)
        return max(_LEAST, float(np.quantile(near, _STRANGERS)))

    def _outvoted(self, numbers: list[int], label: str, moves: list[int], least: float) -> list[int]:
        """Return those of the rows that are outvoted, the one with most corrections near it first.

        What people left there, and what nobody flagged, speaks for a row as each correction speaks against it; no row
        speaks for itself.
        """
        said = self._of(label, *WORDS, *WEAK)
        near = self.alike.within(numbers, self._places(moves), least)
        votes, against = near.sum(axis=1), self.alike.count_within(numbers, said, least)
        lost = (votes >= self.terms.corrections) & (votes > against) & self._of_several(near, moves)
        order = np.argsort(-votes, kind="stable")
        return [numbers[place] for place in order.tolist() if lost[place]]

    def _of_several(self, near: NDArray[np.bool_], moves: list[int]) -> NDArray[np.bool_]:
        """Return whether enough of each row's near corrections remain, whichever of the people is left out."""
        people = [self.moves[number].people for number in moves]
        enough = np.ones(len(near), dtype=bool)
        for person in frozenset().union(*people):
            others = np.array([bool(each - {person}) for each in people])
            enough &= near[:, others].sum(axis=1) >= BEYOND_ONE
        return enough

    def _places(self, moves: list[int]) -> list[int]:
        return [len(self.rows) + number for number in moves]
