"""Replay a stream: batch by batch it is routed, staff correct some of it, the model learns, and is asked."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from benchmarks.district import folder
from benchmarks.learning.simulated import FALLBACK, Mechanisms, simulated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.learning.simulated import Routed, Simulated
    from benchmarks.learning.streams import Said, Stream

_PEOPLE = tuple(f"{name}@maplevalley.example" for name in ("ana", "ben", "cem", "dee", "eli", "fay", "gus", "hoa"))
POISONER = "zed@maplevalley.example"
_AUDITOR = "ira@maplevalley.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """How people correct: which share of the misroutes, how often wrongly, and after how many batches at most.

    `poison` is the share of all messages that one person besides passes on to `poison_to`, wherever they belong, and
    confirms.
    """

    fixes: float = 0.5
    errs: float = 0.0
    delay: int = 0
    poison: float = 0.0
    poison_to: str = ""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """After so many messages: how many of the last batch went wrong, what the model answers rightly when asked.

    `per_label` is the share of right answers by label, `right` tells of each asked message; `model` is the version that
    serves from here on.
    """

    messages: int
    misrouted: float | None
    accuracy: float
    per_label: Mapping[str, float]
    model: str
    corrections: int = 0
    right: Sequence[bool] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A whole run."""

    name: str
    points: Sequence[Point]
    verdicts: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def at(self, messages: int) -> Point:
        """Return the last point by then."""
        return [point for point in self.points if point.messages <= messages][-1]

    @property
    def misrouted(self) -> float:
        """The share of all messages that went wrong."""
        sizes = [b.messages - a.messages for a, b in zip(self.points, self.points[1:], strict=False)]
        wrong = sum(size * (point.misrouted or 0) for size, point in zip(sizes, self.points[1:], strict=True))
        return wrong / max(1, sum(sizes))


async def replay(
    name: str,
    stream: Stream,
    batch: int,
    staff: Staff | None = None,
    mechanisms: Mechanisms | None = None,
    *,
    halved: int = 0,
) -> Course:
    """Replay a stream in batches, a week apart each; the first so many messages in batches of half the size."""
    staff, mechanisms = staff or Staff(), mechanisms or Mechanisms()
    with folder() as where:
        async with simulated(where, stream, mechanisms) as district:
            run = _Run(district, stream, staff)
            points = [run.point(0, None)]
            for start, end in _parts(len(stream.messages), batch, halved):
                rows = stream.messages[start:end]
                misrouted = await run.batch(rows, learning=mechanisms.learning)
                points.append(run.point(end, misrouted))
                last = points[-1]
                _say(f"{name}: {last.messages} messages, {last.misrouted:.1%} misrouted, {last.accuracy:.1%} right")
            return Course(name=name, points=points, verdicts=district.verdicts)


def _parts(count: int, batch: int, halved: int) -> Iterator[tuple[int, int]]:
    """Yield where each batch starts and ends."""
    start = 0
    while start < count:
        end = min(count, start + (batch // 2 if start < halved else batch))
        yield start, end
        start = end


class _Run:
    """The state of one replay."""

    def __init__(self, district: Simulated, stream: Stream, staff: Staff) -> None:
        self._district, self._stream, self._staff = district, stream, staff
        self._random = Random(staff.seed)
        self._due: list[tuple[int, tuple[str, str, str]]] = []
        self._truth: dict[str, str] = {}
        self._batches = 0
        self._corrections = 0
        self._asked: tuple[str, list[bool], dict[str, float]] = ("", [], {})

    async def batch(self, rows: Sequence[Said], *, learning: bool) -> float:
        """Route one batch, correct, learn; return which share went wrong."""
        routed = await self._district.route(rows)
        pairs = list(zip(rows, routed, strict=True))
        self._truth |= {where.id: row.label for row, where in pairs}
        wrong = sum(where.department != row.label for row, where in pairs)
        for row, where in pairs:
            self._notice(row, where)
        self._batches += 1
        if learning:
            await self._let_learn()
        return wrong / len(rows)

    def _notice(self, row: Said, where: Routed) -> None:
        """Decide whether somebody flags a message, when and how."""
        staff, draw = self._staff, self._random
        fixed, erring, person, late = draw.random(), draw.random(), draw.choice(_PEOPLE), draw.randint(0, staff.delay)
        poisoned, other = draw.random() < staff.poison, draw.choice(self._stream.labels)
        if poisoned and staff.poison_to not in {where.department, row.label}:
            self._due.append((self._batches, (where.id, staff.poison_to, POISONER)))
        elif where.department != row.label and fixed < staff.fixes:
            to = other if erring < staff.errs else row.label
            if to != where.department:
                self._due.append((self._batches + late, (where.id, to, person)))

    async def _let_learn(self) -> None:
        await self._district.pass_time(timedelta(days=7, minutes=1))
        now = [flag for batch, flag in self._due if batch < self._batches]
        self._due = [each for each in self._due if each[0] >= self._batches]
        self._corrections += await self._district.correct(now)
        await self._district.audit(self._truth, _AUDITOR)
        await self._district.learn()

    def point(self, messages: int, misrouted: float | None) -> Point:
        """Ask the model that serves now."""
        version = self._district.serving
        if self._asked[0] != version:
            asked = self._stream.asked
            right = [row.label == said for row, said in zip(asked, self._district.answers(asked), strict=True)]
            total = Counter(row.label for row in asked)
            known = Counter(row.label for row, fine in zip(asked, right, strict=True) if fine)
            self._asked = (version, right, {label: known[label] / n for label, n in total.items()})
        return Point(
            messages=messages,
            misrouted=misrouted,
            accuracy=sum(self._asked[1]) / len(self._asked[1]),
            per_label=self._asked[2],
            model=version,
            corrections=self._corrections,
            right=self._asked[1],
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


__all__ = ["FALLBACK", "Course", "Point", "Staff", "replay"]
