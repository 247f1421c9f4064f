"""The confusion matrix: which departments are taken for which others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from classifiers._corpus import OUT_OF_SCOPE
from router.plots.pen import Drawing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MOST_NAMES = 40  # of a matrix that can still be read
LETTER = 6.4  # mean width of a letter, in pixels
_LONGEST_NAME = 34
WIDTH = 880.0
NOBODY = "nobody's business"


def named(department: str) -> str:
    """Return what a department is called in a plot."""
    name = NOBODY if department == OUT_OF_SCOPE else department
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def room(names: Sequence[str]) -> float:
    """Return how wide the longest of some names is, in pixels."""
    return max((len(named(name)) for name in names), default=0) * LETTER + 12


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often a message for one department was taken for another's.

    `counts[row][column]`: the messages that belong to `rows[row]` and for which the model chose `columns[column]`.
    The rows are the columns and, where the data hold such messages, `out_of_scope`. `left_out` departments had no
    room: the ones with the fewest mistakes.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    left_out: int


def counted(pairs: Mapping[tuple[str, str], int]) -> Confusion:
    """Return the matrix of how often a message of one department (first) was taken for another's (second)."""
    mistakes: Counter[str] = Counter()
    for (own, chosen), count in pairs.items():
        mistakes[own] += count * (own != chosen)
        mistakes[chosen] += count * (own != chosen)
    every = {name for pair in pairs for name in pair} - {OUT_OF_SCOPE}
    names = tuple(sorted(sorted(every, key=lambda name: (-mistakes[name], name))[:_MOST_NAMES]))
    strangers = any(own == OUT_OF_SCOPE for own, _ in pairs)
    rows = (*names, OUT_OF_SCOPE) if strangers else names
    counts = tuple(tuple(pairs.get((own, chosen), 0) for chosen in names) for own in rows)
    return Confusion(rows, names, counts, len(every) - len(names))


def drawn(table: Confusion, title: str = "Confusion matrix") -> Drawing:
    """Draw how often a message of one department (row) was taken for another's (column)."""
    left, top = max(room(table.rows) + 8, 160.0), room(table.columns) * 0.72 + 30
    lean = room(table.columns) * 0.72  # how far the slanted names reach beyond the last column
    cell = max(13.0, min(40.0, (WIDTH - left - lean) / max(1, len(table.columns))))
    gap = 10.0 if OUT_OF_SCOPE in table.rows else 0.0
    width, height = left + cell * len(table.columns), top + cell * len(table.rows) + gap
    drawing = Drawing(
        max(WIDTH, width + lean),
        height + 12,
        title,
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
