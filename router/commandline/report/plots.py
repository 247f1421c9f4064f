"""The plots over departments: how many of each one's messages were right, and what becomes of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.plots.confusion import LETTER, WIDTH, named, room
from router.plots.pen import Drawing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.commandline.report.numbers import Fate


def departments(figures: Mapping[str, Mapping[str, Any]]) -> Drawing:
    """Draw two bars per department with their intervals: messages found, and choices that were right."""
    order = sorted(figures, key=lambda name: (figures[name]["recall"] is None, figures[name]["recall"] or 0.0, name))
    left, top, step = room(order) + 46, 46.0, 26.0
    wide = (WIDTH - left - 38 - 14) / 2
    drawing = Drawing(
        WIDTH,
        top + step * len(order) + 26,
        "Departments",
        "Per department: the share of its messages that the model found, and of its choices that were right.",
    )
    halves = (
        ("recall", "its messages that the model found", left),
        ("precision", "of what it chose, right", left + wide + 38),
    )
    bottom = top + step * len(order)
    for _figure, title, x in halves:
        drawing.text((x, 16), title, "axis")
        for percent in range(0, 101, 25):
            place = x + wide * percent / 100
            drawing.line((place, top - 6), (place, bottom), "grid")
            drawing.text((place, top - 12), f"{percent}", "tick", anchor="middle")
    for number, name in enumerate(order):
        y = top + number * step
        drawing.text((0, y + step / 2 + 4), named(name), "name")
        drawing.text((left - 8, y + step / 2 + 4), str(figures[name]["n"]), "tick", anchor="end")
        for figure, _title, x in halves:
            _bar(drawing, figures[name], figure, (x, y + step / 2), wide)
    return drawing


def _bar(drawing: Drawing, figures: Mapping[str, Any], figure: str, start: tuple[float, float], wide: float) -> None:
    value, interval = figures[figure], figures["intervals"][figure]
    x, y = start
    if value is None or interval is None:
        drawing.text((x + 4, y + 4), "none", "tick")
        return
    tip = f"{value:.0%}, between {interval[0]:.0%} and {interval[1]:.0%}"
    drawing.rect(x, y - 7, wide * value, 14, "bar", tip=tip)
    drawing.whisker((x + wide * interval[0], y), (x + wide * interval[1], y))


def fates(fate: Fate) -> Drawing:
    """Draw one bar of all messages: routed rightly, routed wrongly, left to people."""
    total = max(1, fate.right + fate.wrong + fate.kept)
    drawing = Drawing(
        WIDTH,
        86,
        "What happens to the messages",
        "The share that is routed to the right department, to a wrong one, and left to people.",
    )
    parts = (
        (fate.right, "right", "routed, and rightly"),
        (fate.wrong, "wrong", "routed, but wrongly"),
        (fate.kept, "kept", "left to people"),
    )
    x, legend = 0.0, 0.0
    for count, look, what in parts:
        wide = WIDTH * count / total
        drawing.rect(x, 0, wide - 2 if wide > 4 else wide, 40, look, tip=f"{count} of {total}: {what}")
        if wide > 56:
            drawing.text(
                (x + wide / 2, 25), f"{count / total:.0%}", "share" if look == "kept" else "share over", anchor="middle"
            )
        drawing.rect(legend, 57, 12, 12, look)
        told = f"{count / total:.1%} {what}"
        drawing.text((legend + 18, 67), told, "name")
        x, legend = x + wide, legend + 18 + len(told) * LETTER + 28
    return drawing
