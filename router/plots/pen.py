"""A small pen for SVG: shapes with classes, no colours. The look is in `static/plots.css`: light, dark, print."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Point = tuple[float, float]


def look() -> str:
    """Return the style sheet of the plots."""
    return (files("router.web") / "static" / "plots.css").read_text(encoding="utf-8")


class Drawing:
    """One plot. Coordinates are pixels of a screen at its natural size; it scales with the page."""

    def __init__(self, width: float, height: float, title: str, description: str) -> None:
        self._size = f"{_n(width)} {_n(height)}"
        self._title, self._description = title, description
        self._marks: list[str] = []

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        look: str,
        *,
        tip: str = "",
        strength: float | None = None,
    ) -> None:
        """Draw a rectangle; `tip` is shown where the pointer rests, `strength` (0..1) is how strong its colour is."""
        size = f'width="{_n(max(0.0, width))}" height="{_n(max(0.0, height))}"'
        self._mark("rect", f'x="{_n(x)}" y="{_n(y)}" {size}', look, tip=tip, strength=strength)

    def line(self, start: Point, end: Point, look: str) -> None:
        """Draw a straight line."""
        ends = f'x1="{_n(start[0])}" y1="{_n(start[1])}" x2="{_n(end[0])}" y2="{_n(end[1])}"'
        self._mark("line", ends, look)

    def dot(self, centre: Point, radius: float, look: str, *, tip: str = "") -> None:
        """Draw a dot."""
        self._mark("circle", f'cx="{_n(centre[0])}" cy="{_n(centre[1])}" r="{_n(radius)}"', look, tip=tip)

    def path(self, points: Iterable[Point], look: str) -> None:
        """Draw a line through points; a look that fills makes an area of it."""
        path = "L".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._mark("path", f'd="M{path}"', look)

    def text(self, place: Point, text: str, look: str = "", *, anchor: str = "start", turn: float = 0) -> None:
        """Write a text; `turn` in degrees around its place."""
        turned = f' transform="rotate({_n(turn)} {_n(place[0])} {_n(place[1])})"' if turn else ""
        where = f'x="{_n(place[0])}" y="{_n(place[1])}" text-anchor="{anchor}"{turned}'
        self._marks.append(f'<text class="{look}" {where}>{escape(text)}</text>')

    def whisker(self, low: Point, high: Point) -> None:
        """Draw an interval: a line with a short bar at both ends."""
        self.line(low, high, "whisker")
        upright = low[0] == high[0]
        for x, y in (low, high):
            self.line((x - 3, y) if upright else (x, y - 3), (x + 3, y) if upright else (x, y + 3), "whisker")

    def _mark(self, name: str, shape: str, look: str, *, tip: str = "", strength: float | None = None) -> None:
        faint = f' fill-opacity="{_n(strength)}"' if strength is not None else ""
        inside = f"<title>{escape(tip)}</title>" if tip else ""
        self._marks.append(f'<{name} class="{look}" {shape}{faint}>{inside}</{name}>')

    def inline(self) -> str:
        """Return the element for a page that has the style sheet."""
        return self._element("")

    def alone(self) -> str:
        """Return a file of its own."""
        return (
            self._element(f'\n<style>{look()}</style>\n<rect class="ground" width="100%" height="100%"></rect>') + "\n"
        )

    def _element(self, first: str) -> str:
        head = f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {self._size}" role="img">'
        told = f"<title>{escape(self._title)}</title><desc>{escape(self._description)}</desc>"
        return "\n".join([f"{head}{told}{first}", *self._marks, "</svg>"])


def _n(value: float) -> str:
    """Return a number with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
