"""What is replayed: messages with the label that each belongs to, what is known at the start, and what is asked."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from benchmarks import public
from classifiers._corpus import load_corpus
from router.learning.dataset import build

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.public import Set
    from router.interfaces import Example


@dataclass(frozen=True, slots=True)
class Said:
    """A message and the label it belongs to."""

    subject: str
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Stream:
    """`start` is learnt from at first, `messages` come one after the other, `asked` are only ever asked about."""

    name: str
    start: Sequence[Said]
    messages: Sequence[Said]
    asked: Sequence[Said]

    @property
    def labels(self) -> list[str]:
        """All labels, in order."""
        return sorted({row.label for row in (*self.start, *self.messages, *self.asked)})

    def first(self, count: int) -> Stream:
        """Return the same stream, cut off."""
        return Stream(self.name, self.start, self.messages[:count], self.asked)

    def every(self, nth: int) -> Stream:
        """Return a stream of every so manieth message."""
        return Stream(self.name, self.start[::nth], self.messages[::nth], self.asked[::nth])


def hwu64() -> Stream:
    """Return HWU64 from ten shots: its other training texts are the stream, its test texts are asked."""
    return _few("hwu64", public.hwu64())


def clinc150() -> Stream:
    """Return CLINC150 from ten shots, without its out-of-scope texts."""
    return _few("clinc150", public.clinc150())


def _few(name: str, data: Set) -> Stream:
    known = set(data.few)
    rest = [row for row in data.train if row not in known]
    Random(0).shuffle(rest)
    return Stream(name, _said(data.few), _said(rest), _said(data.test))


def _said(rows: Sequence[tuple[str, str]]) -> list[Said]:
    return [Said("", text, label) for text, label in rows]


def bundled(start: float = 0.3, asked: float = 0.35) -> Stream:
    """Return the bundled messages: a share is known, a share asked, the rest comes; near-duplicates stay together."""
    dataset = build(corpus=load_corpus(), any_label=True)
    groups = sorted({row.group for row in dataset.examples})
    Random(0).shuffle(groups)
    place = {group: number / len(groups) for number, group in enumerate(groups)}
    parts: tuple[list[Said], list[Said], list[Said]] = ([], [], [])
    for row in dataset.examples:
        where = place[row.group]
        parts[0 if where < start else 1 if where < start + asked else 2].append(_of(row))
    Random(0).shuffle(parts[2])
    return Stream("bundled", parts[0], parts[2], parts[1])


def _of(row: Example) -> Said:
    return Said(row.input.subject, row.input.body, row.department)
