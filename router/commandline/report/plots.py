"""The plots over departments: which were confused, and how many of each one's messages were right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from classifiers._corpus import OUT_OF_SCOPE
from router.commandline.report.svg import Drawing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.commandline.report.numbers import Confusion, Fate

_LETTER = 6.4  # mean width of a letter, in pixels
_LONGEST_NAME = 34
_WIDTH = 880.0
NOBODY = "nobody's business"


def named(department: str) -> str:
    """Return what a department is called in a plot."""
    name = NOBODY if department == OUT_OF_SCOPE else department
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _room(names: Sequence[str]) -> float:
    return max((len(named(name)) for name in names), default=0) * _LETTER + 12


def confusion(table: Confusion) -> Drawing:
    """Draw how often a message of one department (row) was taken for another's (column)."""
    left, top = max(_room(table.rows) + 8, 160.0), _room(table.columns) * 0.72 + 30
    lean = _room(table.columns) * 0.72  # how far the slanted names reach beyond the last column
    cell = max(13.0, min(40.0, (_WIDTH - left - lean) / max(1, len(table.columns))))
    gap = 10.0 if OUT_OF_SCOPE in table.rows else 0.0
    width, height = left + cell * len(table.columns), top + cell * len(table.rows) + gap
    drawing = Drawing(
        max(_WIDTH, width + lean),
        height + 12,
        "Confusion matrix",
        "Rows: where messages belong. Columns: what the model chose. Numbers: how many messages.",
    )
    drawing.text((left - 8, top - 10), "belongs to ↓   chosen →", "axis", anchor="end")
    for column, name in enumerate(table.columns):
        drawing.text((left + (column + 0.62) * cell, top - 8), named(name), "name", turn=-45)
    for row, name in enumerate(table.rows):
        y = top + row * cell + (gap if name == OUT_OF_SCOPE else 0.0)
        drawing.text((left - 8, y + cell / 2 + 4), named(name), "name", anchor="end")
        _row(drawing, table, row, (left, y), cell)
    return drawing


def _row(drawing: Drawing, table: Confusion, row: int, start: tuple[float, float], cell: float) -> None:
    own, counts = table.rows[row], table.counts[row]
    total = sum(counts)
    for column, (chosen, count) in enumerate(zip(table.columns, counts, strict=True)):
        x, y = start[0] + column * cell, start[1]
        drawing.rect(x + 0.5, y + 0.5, cell - 1, cell - 1, "cell")
        if not count:
            continue
        right = own == chosen
        part = count / total
        strength = 0.15 + 0.85 * part if right else 0.12 + 0.88 * min(1.0, part * 3)
        tip = f"{count} of {total} for {named(own)}: the model chose {named(chosen)}"
        drawing.rect(x + 0.5, y + 0.5, cell - 1, cell - 1, "right" if right else "wrong", tip=tip, strength=strength)
        if cell >= 18:
            look = "count strong" if strength > 0.6 else "count"
            drawing.text((x + cell / 2, y + cell / 2 + 4), str(count), look, anchor="middle")


def departments(figures: Mapping[str, Mapping[str, Any]]) -> Drawing:
    """Draw two bars per department with their intervals: messages found, and choices that were right."""
    order = sorted(figures, key=lambda name: (figures[name]["recall"] is None, figures[name]["recall"] or 0.0, name))
    left, top, step = _room(order) + 46, 46.0, 26.0
    wide = (_WIDTH - left - 38 - 14) / 2
    drawing = Drawing(
        _WIDTH,
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
        _WIDTH,
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
        wide = _WIDTH * count / total
        drawing.rect(x, 0, wide - 2 if wide > 4 else wide, 40, look, tip=f"{count} of {total}: {what}")
        if wide > 56:
            drawing.text(
                (x + wide / 2, 25), f"{count / total:.0%}", "share" if look == "kept" else "share over", anchor="middle"
            )
        drawing.rect(legend, 57, 12, 12, look)
        told = f"{count / total:.1%} {what}"
        drawing.text((legend + 18, 67), told, "name")
        x, legend = x + wide, legend + 18 + len(told) * _LETTER + 28
    return drawing
