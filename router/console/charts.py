"""The console's charts: SVG without scripts, each with the table that says the same in words and numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.plots import confusion, reliability
from router.plots.pen import Drawing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

_WIDTH, _HALF, _HEIGHT = 880.0, 480.0, 240.0  # across the page, across half of it
_LEFT, _RIGHT, _TOP, _BOTTOM = 54.0, 12.0, 14.0, 30.0
_LETTER = 6.8  # mean width of a letter, in pixels
PARTS = 6  # looks of stacked parts (`.part0` to `.part5` in plots.css); what has no look of its own is one more
_STEPS = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing and its table: `columns` are its headings, the first one of each row is the row's."""

    title: str
    svg: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share with its interval, both None where there is nothing it could be a share of; of `n`."""

    value: float | None
    interval: Sequence[float] | None
    n: int


def ticks(most: float, about: int = 4) -> list[float]:
    """Return round values from 0 until at least `most`, about so many."""
    step = 1e-4
    while True:
        for factor in _STEPS:
            if most / (step * factor) <= about:
                size = step * factor
                return [number * size for number in range(max(1, -int(-most // size)) + 1)]
        step *= 10


class _Frame:
    """The axes of a chart over days: counts or shares upwards."""

    def __init__(
        self, drawing: Drawing, width: float, days: Sequence[date], top: float, told: Callable[[float], str]
    ) -> None:
        self.drawing = drawing
        self.right = width - _RIGHT
        self._marks = ticks(top)
        self._top = self._marks[-1] or 1.0
        self.step = (self.right - _LEFT) / max(1, len(days))
        self._draw(days, told)

    def x(self, number: float) -> float:
        """Return the middle of a day, by its number."""
        return _LEFT + (number + 0.5) * self.step

    def y(self, value: float) -> float:
        """Return the height of a value."""
        bottom = _HEIGHT - _BOTTOM
        return bottom - min(1.0, value / self._top) * (bottom - _TOP)

    def _draw(self, days: Sequence[date], told: Callable[[float], str]) -> None:
        for mark in self._marks:
            self.drawing.line((_LEFT, self.y(mark)), (self.right, self.y(mark)), "grid")
            self.drawing.text((_LEFT - 6, self.y(mark) + 4), told(mark), "tick", anchor="end")
        every = max(1, -(-len(days) // max(1, int(self.right // 90))))
        for number, day in enumerate(days):
            if number % every == 0 and self.x(number) < self.right - 12:
                self.drawing.text((self.x(number), _HEIGHT - 10), _short(day), "tick", anchor="middle")
        self.drawing.line((_LEFT, self.y(0)), (self.right, self.y(0)), "edge")


def stacked(title: str, days: Sequence[date], parts: Mapping[str, Sequence[int]], per: str = "day") -> Chart:
    """Draw a bar per day, of parts that add up; the largest parts have looks of their own, the rest is one.

    With another `per`, such as a week, each of `days` is the first one of it.
    """
    named = _largest(parts)
    totals = [sum(part[number] for part in parts.values()) for number in range(len(days))]
    said = f"A bar per {per} from {_span(days)}: {sum(totals)} in all, at most {max(totals, default=0)} per {per}."
    drawing = Drawing(_WIDTH, _HEIGHT + 26, title, said)
    frame = _Frame(drawing, _WIDTH, days, max([*totals, 1]), _count)
    for number, day in enumerate(days):
        below = 0
        for look, (name, part) in enumerate(named.items()):
            count = part[number]
            low, high = frame.y(below), frame.y(below + count)
            if count:
                tip = f"{_long(day)}, {name}: {count}"
                wide = max(1.0, frame.step * 0.78)
                drawing.rect(frame.x(number) - wide / 2, high, wide, low - high, f"part{look}", tip=tip)
            below += count
    _legend(drawing, list(named))
    rows = [(_long(day), *(str(part[n]) for part in named.values()), str(totals[n])) for n, day in enumerate(days)]
    return Chart(title, drawing.inline(), (per, *named, "all"), tuple(rows))


def _largest(parts: Mapping[str, Sequence[int]]) -> dict[str, Sequence[int]]:
    """Return the parts from the largest on; the small ones that have no look of their own together."""
    order = sorted(parts, key=lambda name: (-sum(parts[name]), name))
    if len(order) <= PARTS:
        return {name: parts[name] for name in order}
    kept, others = order[: PARTS - 1], order[PARTS - 1 :]
    rest = [sum(counts) for counts in zip(*(parts[name] for name in others), strict=True)]
    return {**{name: parts[name] for name in kept}, f"{len(others)} others": rest}


def _legend(drawing: Drawing, names: Sequence[str]) -> None:
    x = _LEFT
    for look, name in enumerate(names):
        shown = name if len(name) <= 22 else f"{name[:21]}…"
        drawing.rect(x, _HEIGHT + 8, 11, 11, f"part{look}")
        drawing.text((x + 16, _HEIGHT + 18), shown, "name")
        x += 30 + len(shown) * _LETTER


def rates(title: str, days: Sequence[date], values: Sequence[Rate], of: str, *, target: float | None = None) -> Chart:
    """Draw a share over periods, named by their first days, with its 95 % interval as a band and a target line."""
    known = [(number, rate) for number, rate in enumerate(values) if rate.value is not None]
    last = f"; last {_percent(known[-1][1].value)}" if known else "; nothing is known yet"
    drawing = Drawing(_HALF, _HEIGHT, title, f"From {_span(days)}{last}. The shaded band is the 95 % interval.")
    tops = [rate.interval[1] for _, rate in known if rate.interval]
    frame = _Frame(drawing, _HALF, days, min(1.0, max([*tops, target or 0.0, 0.02])), _percent)
    banded = [(number, rate.interval) for number, rate in known if rate.interval]
    upper = [(frame.x(number), frame.y(interval[1])) for number, interval in banded]
    lower = [(frame.x(number), frame.y(interval[0])) for number, interval in reversed(banded)]
    if len(banded) > 1:
        drawing.path([*upper, *lower], "band")
    elif banded:
        drawing.whisker(lower[0], upper[0])
    if target is not None:
        drawing.path([(_LEFT, frame.y(target)), (frame.right, frame.y(target))], "target")
        drawing.text((frame.right, frame.y(target) - 5), f"wanted: at most {_percent(target)}", "aside", anchor="end")
    if known:
        drawing.path([(frame.x(number), frame.y(rate.value or 0.0)) for number, rate in known], "series")
    for number, rate in known:
        tip = f"from {_long(days[number])}: {_percent(rate.value)} of {rate.n} ({_between(rate.interval)})"
        drawing.dot((frame.x(number), frame.y(rate.value or 0.0)), 3.5, "point", tip=tip)
    rows = [
        (_long(day), _percent(rate.value), _between(rate.interval), str(rate.n))
        for day, rate in zip(days, values, strict=True)
    ]
    return Chart(title, drawing.inline(), ("from", "share", "95 % interval", of), tuple(rows))


def bars(title: str, counts: Mapping[str, int], of: str, *, most: int = 20) -> Chart:
    """Draw a bar for each name, the longest first, with its count beside it."""
    order = sorted(counts, key=lambda name: (-counts[name], name))
    shown, total = order[:most], sum(counts.values())
    left = max([len(name[:34]) for name in shown] or [0]) * _LETTER + 18
    step, largest = 22.0, max([counts[name] for name in shown] or [1]) or 1
    wide = _HALF - left - 92
    said = f"{total} {of} in all." + (f" Most: {shown[0]}, {counts[shown[0]]}." if shown else "")
    drawing = Drawing(_HALF, step * max(1, len(shown)) + 6, title, said)
    for number, name in enumerate(shown):
        y = number * step
        label = name if len(name) <= 34 else f"{name[:33]}…"
        drawing.text((left - 8, y + 15), label, "name", anchor="end")
        tip = f"{name}: {counts[name]}"
        drawing.rect(left, y + 3, wide * counts[name] / largest, step - 6, "bar", tip=tip)
        share = f"{_count(counts[name])} ({_percent(counts[name] / total)})" if total else "0"
        drawing.text((left + wide * counts[name] / largest + 6, y + 15), share, "tick")
    rows = [(name, str(counts[name]), _percent(counts[name] / total) if total else "") for name in order]
    return Chart(title, drawing.inline(), ("", of, "share"), tuple(rows))


def _span(days: Sequence[date]) -> str:
    return f"{_long(days[0])} to {_long(days[-1])}" if days else "no day to none"


def _short(day: date) -> str:
    return f"{day:%b} {day.day}"


def _long(day: date) -> str:
    return f"{day:%a} {_short(day)}, {day.year}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else ""


def _percent(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" if 0 < value < 0.1 else f"{value:.0%}"


def _between(interval: Sequence[float] | None) -> str:
    return f"{_percent(interval[0])} to {_percent(interval[1])}" if interval else ""


def matrix(title: str, pairs: Mapping[tuple[str, str], int]) -> Chart:
    """Draw how often messages that belong to one department (first) were sent to another (second)."""
    table = confusion.counted(pairs)
    order = sorted(pairs, key=lambda pair: (pair[0] == pair[1], -pairs[pair], pair))
    rows = [(own, sent, str(pairs[own, sent])) for own, sent in order]
    return Chart(title, confusion.drawn(table, title).inline(), ("belongs to", "was sent to", "messages"), tuple(rows))


def honest(title: str, answers: Sequence[tuple[float, bool]]) -> Chart:
    """Draw how often the model was right when it was so sure."""
    bins = reliability.bins(answers)
    rows = [
        (_percent(each.confidence), _percent(each.right), _between(each.interval), str(each.n))
        for each in bins
        if each is not None
    ]
    columns = ("how sure", "how often right", "95 % interval", "messages")
    return Chart(title, reliability.drawn(bins, title).inline(), columns, tuple(rows))
