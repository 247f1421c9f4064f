"""The plots with two axes: can the confidence be believed, what does more coverage cost, do more messages help."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from router.plots.axes import FIFTHS, HEIGHT, TOP, WIDTH, Axes, steps
from router.plots.pen import Drawing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.commandline.report.numbers import Risk
    from router.learning.curve import Point


def risk_coverage(curve: Sequence[Risk], point: Risk | None, target_error: float) -> Drawing:
    """Draw the share of wrong answers over the share of messages routed, and where the thresholds lie."""
    drawing = Drawing(
        WIDTH,
        HEIGHT,
        "Risk and coverage",
        "The more messages are routed without a person, the larger the share of wrong ones among them.",
    )
    marks = [*(each.wrong for each in curve), target_error, *([point.high] if point else [])]
    top = min(1.0, max(0.1, ceil(max(marks) * 1.1 * 20) / 20))
    axes = Axes((0.0, 0.0), (1.0, top))
    axes.draw(
        drawing,
        "share of all messages that are routed without a person",
        "share of these that are wrong",
        FIFTHS,
        steps(0.0, top),
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


def _mark(drawing: Drawing, axes: Axes, point: Risk) -> None:
    """Draw the operating point with its interval, and say above what it is."""
    place = axes.at(point.coverage, point.wrong)
    told = axes.at(min(max(point.coverage, 0.3), 0.45), axes.high[1])[0], TOP + 16
    drawing.line((told[0], told[1] + 21), place, "leader")
    drawing.whisker(axes.at(point.coverage, point.low), axes.at(point.coverage, min(axes.high[1], point.high)))
    drawing.dot(place, 6.5, "here", tip=f"{point.coverage:.1%} routed, {point.wrong:.1%} of them wrong")
    drawing.text(told, "this model, as it is set:", "aside", anchor="middle")
    words = f"{point.coverage:.0%} routed, {point.wrong:.1%} of them wrong"
    drawing.text((told[0], told[1] + 15), words, "strongly", anchor="middle")


def learning(points: Sequence[Point]) -> Drawing:
    """Draw accuracy over how many messages were learnt from."""
    drawing = Drawing(
        WIDTH, HEIGHT, "Learning curve", "Accuracy of models that learnt from a part of the bundled messages only."
    )
    lowest = min((each.interval[0] for each in points), default=0.0)
    bottom = max(0.0, int(lowest * 10) / 10)
    most = max((each.messages for each in points), default=1)
    axes = Axes((0.0, bottom), (float(most), 1.0))
    axes.draw(
        drawing,
        "messages that it learnt from",
        "first choice right",
        [each.messages for each in points],
        steps(bottom, 1.0),
    )
    drawing.path([axes.at(each.messages, each.accuracy) for each in points], "series")
    for each in points:
        drawing.whisker(axes.at(each.messages, each.interval[0]), axes.at(each.messages, each.interval[1]))
        place = axes.at(each.messages, each.accuracy)
        drawing.dot(place, 4.5, "point", tip=f"{each.messages} messages: {each.accuracy:.1%}")
        drawing.text((place[0] - 8, place[1] - 10), f"{each.accuracy:.1%}", "strongly", anchor="end")
    return drawing
