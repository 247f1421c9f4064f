"""Two axes with ticks: where a value lies in a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.plots.pen import Drawing

WIDTH, HEIGHT = 560.0, 380.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 24.0, 18.0, 52.0
FIFTHS = tuple(n / 5 for n in range(6))


@dataclass(frozen=True, slots=True)
class Axes:
    """Maps values onto the drawing; `low` and `high` are the corners' values (x, y)."""

    low: tuple[float, float]
    high: tuple[float, float]
    height: float = HEIGHT

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the place of a value."""
        across = (x - self.low[0]) / (self.high[0] - self.low[0])
        up = (y - self.low[1]) / (self.high[1] - self.low[1])
        bottom = self.height - BOTTOM
        return LEFT + across * (WIDTH - LEFT - RIGHT), bottom - up * (bottom - TOP)

    def draw(
        self, drawing: Drawing, x_title: str, y_title: str, x_ticks: Sequence[float], y_ticks: Sequence[float]
    ) -> None:
        """Draw both, with their titles and ticks; an axis that ends at 1 or below is of shares."""
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


def steps(low: float, high: float) -> list[float]:
    """Return ticks that people would choose: every 2, 5, 10 or 20 per cent."""
    step = next(step for step in (0.02, 0.05, 0.1, 0.2) if (high - low) / step <= 6 or step == 0.2)
    return [low + number * step for number in range(int((high - low) / step + 1e-6) + 1)]
