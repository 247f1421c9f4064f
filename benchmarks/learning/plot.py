"""Draw runs beside one of them: the share of misrouted messages over the messages handled, a small panel for each."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from router.plots.pen import Drawing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.learning.replay import Course
    from router.plots.pen import Point

_COLUMNS, _WIDE, _HIGH = 3, 284.0, 190.0  # panels: how many in a row, and their size in pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 42.0, 10.0, 30.0, 24.0  # what surrounds a panel's lines
_HEAD, _FOOT = 34.0, 26.0  # what all panels share: what the lines mean, what lies along them
_REFERENCE, _OTHER = "series", "target"
_STEPS, _MOST_STEPS = (1, 10, 50, 100, 200, 500, 1_000, 2_000, 3_000, 10_000, 100_000, 1_000_000), 4  # between ticks
_LEVELS = 4  # lines across


def misrouted(reference: Course, others: Sequence[Course], title: str) -> Drawing:
    """Return a plot of each batch's share of misrouted messages: every other run in a panel, beside the reference."""
    rows = ceil(len(others) / _COLUMNS)
    width, height = _COLUMNS * _WIDE, _HEAD + rows * _HIGH + _FOOT
    told = "Share of each batch that went wrong, over the messages handled so far."
    drawing = Drawing(width, height, title, told)
    runs = (reference, *others)
    most = max(point.messages for course in runs for point in course.points)
    worst = max(point.misrouted or 0.0 for course in runs for point in course.points)
    for number, course in enumerate(others):
        row, column = divmod(number, _COLUMNS)
        panel = _Panel((column * _WIDE, _HEAD + row * _HIGH), most, ceil(worst * 10 + 0.1) / 10)
        panel.frame(drawing, f"{course.name}: {course.misrouted:.1%}")
        panel.line(drawing, course, _OTHER)
        panel.line(drawing, reference, _REFERENCE)
    drawing.path([(_LEFT, 16), (_LEFT + 28, 16)], _REFERENCE)
    drawing.text((_LEFT + 36, 20), f"{reference.name}: {reference.misrouted:.1%} of all went wrong", "name")
    drawing.path([(width / 2, 16), (width / 2 + 28, 16)], _OTHER)
    drawing.text((width / 2 + 36, 20), "the run that the panel names", "name")
    drawing.text(
        (width / 2, height - 8), "messages handled; upwards: misrouted, of each batch", "axis", anchor="middle"
    )
    return drawing


@dataclass(frozen=True, slots=True)
class _Panel:
    """One panel: its upper left corner, and what its right and its upper edge stand for."""

    corner: Point
    most: int
    top: float

    def frame(self, drawing: Drawing, title: str) -> None:
        """Draw all but the lines."""
        drawing.text((self.corner[0] + _LEFT, self.corner[1] + 20), title, "strongly")
        step = next(step for step in _STEPS if self.most / step <= _MOST_STEPS)
        for messages in range(0, self.most + 1, step):
            x, y = self._at(messages, 0.0)
            drawing.text((x, y + 16), f"{messages:,}", "tick", anchor="middle")
        for number in range(_LEVELS + 1):
            share = self.top * number / _LEVELS
            x, y = self._at(0, share)
            drawing.line((x, y), self._at(self.most, share), "grid" if number else "edge")
            drawing.text((x - 6, y + 4), f"{share:.0%}", "tick", anchor="end")

    def line(self, drawing: Drawing, course: Course, look: str) -> None:
        """Draw one run; a batch's share is told where the pointer rests."""
        points = [(point.messages, point.misrouted) for point in course.points if point.misrouted is not None]
        places = [self._at(messages, share) for messages, share in points]
        drawing.path(places, look)
        for place, (messages, share) in zip(places, points, strict=True):
            drawing.dot(place, 2.2, "point" if look == _REFERENCE else "wrong",
                        tip=f"{course.name}, {messages:,}: {share:.1%}")  # fmt: skip

    def _at(self, messages: int, share: float) -> Point:
        across, up = messages / self.most, share / self.top
        wide, high = _WIDE - _LEFT - _RIGHT, _HIGH - _TOP - _BOTTOM
        return self.corner[0] + _LEFT + across * wide, self.corner[1] + _HIGH - _BOTTOM - up * high
