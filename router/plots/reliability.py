"""The reliability diagram: whether a model is right as often as it says it is sure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from classifiers._figures import share
from router.plots.axes import FIFTHS, HEIGHT, LEFT, WIDTH, Axes
from router.plots.pen import Drawing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about the same confidence: the mean of it, the share that was right with its interval, how many."""

    confidence: float
    right: float
    interval: tuple[float, float]
    n: int


def bins(answers: Iterable[tuple[float, bool]]) -> list[Bin | None]:
    """Return ten bins of equal width over the confidence; None for an empty one. An answer: how sure, whether right."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for confidence, right in answers:
        members[min(int(confidence * BINS), BINS - 1)].append((confidence, right))
    return [_bin(each) if each else None for each in members]


def _bin(members: Sequence[tuple[float, bool]]) -> Bin:
    part, interval = share(sum(right for _, right in members), len(members))
    assert part is not None
    assert interval is not None
    confidence = sum(confidence for confidence, _ in members) / len(members)
    return Bin(confidence, part, (interval[0], interval[1]), len(members))


def drawn(bins: Sequence[Bin | None], title: str = "Reliability diagram") -> Drawing:
    """Draw the share of right answers over the confidence, and below how many messages had which confidence."""
    drawing = Drawing(
        WIDTH,
        HEIGHT + 76,
        title,
        "How often answers of a given confidence are right; on the dashed line confidence and reality agree.",
    )
    axes = Axes((0.0, 0.0), (1.0, 1.0))
    axes.draw(drawing, "how sure the model says it is", "how often it is right", FIFTHS, FIFTHS)
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


def _strip(drawing: Drawing, axes: Axes, bins: Sequence[Bin | None]) -> None:
    """Draw how many messages each bin holds."""
    most = max((each.n for each in bins if each is not None), default=1)
    floor = HEIGHT + 56
    for number, each in enumerate(bins):
        left, right = axes.at(number / BINS, 0)[0], axes.at((number + 1) / BINS, 0)[0]
        count = each.n if each is not None else 0
        tall = 34 * count / most
        drawing.rect(left + 1, floor - tall, right - left - 2, tall, "kept", tip=f"{count} messages")
        drawing.text(((left + right) / 2, floor + 14), f"{count}", "tick", anchor="middle")
    drawing.text((LEFT - 6, floor + 14), "messages", "tick", anchor="end")
