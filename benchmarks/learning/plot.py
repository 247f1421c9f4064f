"""Draw runs as lines: the share of misrouted messages over the messages handled."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from router.plots.pen import Drawing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.learning.replay import Course

_WIDTH, _HEIGHT = 720.0, 400.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 190.0, 18.0, 52.0
_LOOKS = ("series", "target", "honest", "leader")  # the first run is the one with everything switched on
_STEPS, _MOST_STEPS = (1, 10, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000), 10  # between ticks
_APART = 15.0  # pixels between two names


def misrouted(courses: Sequence[Course], title: str) -> Drawing:
    """Return a plot of each batch's share of misrouted messages; names stand at the ends of the lines."""
    drawing = Drawing(_WIDTH, _HEIGHT, title, "Share of each batch that went wrong, over the messages handled so far.")
    most = max(point.messages for course in courses for point in course.points)
    worst = max(point.misrouted or 0.0 for course in courses for point in course.points)
    top = ceil(worst * 20 + 0.2) / 20
    _axes(drawing, most, top)
    ends = []
    for number, course in enumerate(courses):
        points = [(point.messages, point.misrouted) for point in course.points if point.misrouted is not None]
        places = [_at(messages / most, share / top) for messages, share in points]
        drawing.path(places, _LOOKS[number % len(_LOOKS)])
        for place, (messages, share) in zip(places, points, strict=True):
            drawing.dot(place, 3.0, "point" if number == 0 else "kept", tip=f"{course.name}, {messages}: {share:.1%}")
        ends.append((places[-1][1], f"{course.name}: {points[-1][1]:.1%}", number))
    _name(drawing, ends)
    return drawing


def _axes(drawing: Drawing, most: int, top: float) -> None:
    step = next(step for step in _STEPS if most / step <= _MOST_STEPS)
    for messages in range(0, most + 1, step):
        below = _at(messages / most, 0.0)
        drawing.text((below[0], below[1] + 18), f"{messages:,}", "tick", anchor="middle")
    for number in range(6):
        place = _at(0.0, number / 5)
        drawing.line(place, _at(1.0, number / 5), "grid")
        drawing.text((place[0] - 8, place[1] + 4), f"{top * number / 5:.0%}", "tick", anchor="end")
    drawing.line(_at(0.0, 0.0), _at(1.0, 0.0), "edge")
    middle = _at(0.5, 0.0)
    drawing.text((middle[0], middle[1] + 42), "messages handled", "axis", anchor="middle")
    drawing.text((14, _at(0.0, 0.5)[1]), "misrouted", "axis", anchor="middle", turn=-90)


def _name(drawing: Drawing, ends: Sequence[tuple[float, str, int]]) -> None:
    """Write the names beside the ends, far enough apart."""
    free = 0.0
    for end, name, number in sorted(ends):
        height = max(end, free)
        drawing.text((_WIDTH - _RIGHT + 10, height + 4), name, "strongly" if number == 0 else "name")
        free = height + _APART


def _at(across: float, up: float) -> tuple[float, float]:
    return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP)
