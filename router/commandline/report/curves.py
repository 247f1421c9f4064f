"""The plots with two axes: can the confidence be believed, what does more coverage cost, do more messages help."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from router.commandline.report.numbers import BINS
from router.commandline.report.svg import Drawing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.commandline.report.numbers import Bin, Risk
    from router.learning.curve import Point

_WIDTH, _HEIGHT = 560.0, 380.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 24.0, 18.0, 52.0


@dataclass(frozen=True, slots=True)
class _Axes:
    """Maps values onto the drawing; `low` and `high` are the corners' values (x, y)."""

    low: tuple[float, float]
    high: tuple[float, float]
    height: float = _HEIGHT

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.low[0]) / (self.high[0] - self.low[0])
        up = (y - self.low[1]) / (self.high[1] - self.low[1])
        bottom = self.height - _BOTTOM
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), bottom - up * (bottom - _TOP)

    def draw(
        self, drawing: Drawing, x_title: str, y_title: str, x_ticks: Sequence[float], y_ticks: Sequence[float]
    ) -> None:
        for y in y_ticks:
            start, end = self.at(self.low[0], y), self.at(self.high[0], y)
            drawing.line(start, end, "grid")
            drawing.text((start[0] - 8, start[1] + 4), f"{y:.0%}", "tick", anchor="end")
        for x in x_ticks:
            place = self.at(x, self.low[1])
            drawing.text(
                (place[0], place[1] + 18), f"{x:.0%}" if self.high[0] <= 1 else f"{x:,.0f}", "tick", anchor="middle"
            )
        drawing.line(self.at(*self.low), self.at(self.high[0], self.low[1]), "edge")
        middle = self.at((self.low[0] + self.high[0]) / 2, self.low[1])
        drawing.text((middle[0], middle[1] + 42), x_title, "axis", anchor="middle")
        side = self.at(self.low[0], (self.low[1] + self.high[1]) / 2)
        drawing.text((14, side[1]), y_title, "axis", anchor="middle", turn=-90)


_TENTHS = tuple(n / 5 for n in range(6))


def reliability(bins: Sequence[Bin | None]) -> Drawing:
    """Draw the share of right answers over the confidence, and below how many messages had which confidence."""
    drawing = Drawing(
        _WIDTH,
        _HEIGHT + 76,
        "Reliability diagram",
        "How often answers of a given confidence are right; on the dashed line confidence and reality agree.",
    )
    axes = _Axes((0.0, 0.0), (1.0, 1.0))
    axes.draw(drawing, "how sure the model says it is", "how often it is right", _TENTHS, _TENTHS)
    drawing.path([axes.at(0, 0), axes.at(1, 1)], "honest")
    too_modest, too_sure = axes.at(0.03, 0.93), axes.at(0.97, 0.06)
    drawing.text(too_modest, "too modest", "aside")
    drawing.text(too_sure, "too sure", "aside", anchor="end")
    known = [each for each in bins if each is not None]
    drawing.path([axes.at(each.confidence, each.right) for each in known], "series")
    for each in known:
        drawing.whisker(axes.at(each.confidence, each.interval[0]), axes.at(each.confidence, each.interval[1]))
        tip = f"{each.n} messages at {each.confidence:.0%} on average: {each.right:.0%} right"
        drawing.dot(axes.at(each.confidence, each.right), 4.5, "point", tip=tip)
    _strip(drawing, axes, bins)
    return drawing


def _strip(drawing: Drawing, axes: _Axes, bins: Sequence[Bin | None]) -> None:
    """Draw how many messages each bin holds."""
    most = max((each.n for each in bins if each is not None), default=1)
    floor = _HEIGHT + 56
    for number, each in enumerate(bins):
        left, right = axes.at(number / BINS, 0)[0], axes.at((number + 1) / BINS, 0)[0]
        count = each.n if each is not None else 0
        tall = 34 * count / most
        drawing.rect(left + 1, floor - tall, right - left - 2, tall, "kept", tip=f"{count} messages")
        drawing.text(((left + right) / 2, floor + 14), f"{count}", "tick", anchor="middle")
    drawing.text((_LEFT - 6, floor + 14), "messages", "tick", anchor="end")


def risk_coverage(curve: Sequence[Risk], point: Risk | None, target_error: float) -> Drawing:
    """Draw the share of wrong answers over the share of messages routed, and where the thresholds lie."""
    drawing = Drawing(
        _WIDTH,
        _HEIGHT,
        "Risk and coverage",
        "The more messages are routed without a person, the larger the share of wrong ones among them.",
    )
    marks = [*(each.wrong for each in curve), target_error, *([point.high] if point else [])]
    top = min(1.0, max(0.1, ceil(max(marks) * 1.1 * 20) / 20))
    axes = _Axes((0.0, 0.0), (1.0, top))
    axes.draw(
        drawing,
        "share of all messages that are routed without a person",
        "share of these that are wrong",
        _TENTHS,
        _steps(0.0, top),
    )
    upper = [axes.at(each.coverage, min(top, each.high)) for each in curve]
    lower = [axes.at(each.coverage, each.low) for each in reversed(curve)]
    if curve:
        drawing.path([*upper, *lower], "band")
        drawing.path([axes.at(each.coverage, each.wrong) for each in curve], "series")
    drawing.path([axes.at(0, target_error), axes.at(1, target_error)], "target")
    place = axes.at(1, target_error)
    drawing.text((place[0], place[1] - 6), f"wanted: at most {target_error:.1%} wrong", "aside", anchor="end")
    if point is not None:
        _mark(drawing, axes, point)
    return drawing


def _mark(drawing: Drawing, axes: _Axes, point: Risk) -> None:
    """Draw the operating point with its interval, and say above what it is."""
    place = axes.at(point.coverage, point.wrong)
    told = axes.at(min(max(point.coverage, 0.3), 0.45), axes.high[1])[0], _TOP + 16
    drawing.line((told[0], told[1] + 21), place, "leader")
    drawing.whisker(axes.at(point.coverage, point.low), axes.at(point.coverage, min(axes.high[1], point.high)))
    drawing.dot(place, 6.5, "here", tip=f"{point.coverage:.1%} routed, {point.wrong:.1%} of them wrong")
    drawing.text(told, "this model, as it is set:", "aside", anchor="middle")
    words = f"{point.coverage:.0%} routed, {point.wrong:.1%} of them wrong"
    drawing.text((told[0], told[1] + 15), words, "strongly", anchor="middle")


def learning(points: Sequence[Point]) -> Drawing:
    """Draw accuracy over how many messages were learnt from."""
    drawing = Drawing(
        _WIDTH, _HEIGHT, "Learning curve", "Accuracy of models that learnt from a part of the bundled messages only."
    )
    lowest = min((each.interval[0] for each in points), default=0.0)
    bottom = max(0.0, int(lowest * 10) / 10)
    most = max((each.messages for each in points), default=1)
    axes = _Axes((0.0, bottom), (float(most), 1.0))
    axes.draw(
        drawing,
        "messages that it learnt from",
        "first choice right",
        [each.messages for each in points],
        _steps(bottom, 1.0),
    )
    drawing.path([axes.at(each.messages, each.accuracy) for each in points], "series")
    for each in points:
        drawing.whisker(axes.at(each.messages, each.interval[0]), axes.at(each.messages, each.interval[1]))
        place = axes.at(each.messages, each.accuracy)
        drawing.dot(place, 4.5, "point", tip=f"{each.messages} messages: {each.accuracy:.1%}")
        drawing.text((place[0] - 8, place[1] - 10), f"{each.accuracy:.1%}", "strongly", anchor="end")
    return drawing


def _steps(low: float, high: float) -> list[float]:
    """Return ticks that people would choose: every 2, 5, 10 or 20 per cent."""
    step = next(step for step in (0.02, 0.05, 0.1, 0.2) if (high - low) / step <= 6 or step == 0.2)
    return [low + number * step for number in range(int((high - low) / step + 1e-6) + 1)]
