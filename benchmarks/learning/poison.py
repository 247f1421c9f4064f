"""One person passes on messages that were where they belong: what it costs, with every safeguard and without."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import Figure
from benchmarks.learning.replay import Staff, replay
from benchmarks.learning.simulated import Mechanisms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from benchmarks.learning.replay import Course, Point
    from benchmarks.learning.streams import Said, Stream

SHARES = (0.0, 0.01, 0.05, 0.1)
LIMIT_SHARE = 0.05  # the limits are for this one
MOST_OVERALL, MOST_DEPARTMENT = 0.01, 0.03
TO = "communications"
_NORMAL = 1.96  # standard deviations on either side hold 95 %
_PLAIN = Mechanisms(classifier={"augment": False}, bundled=True)  # noisy copies take three quarters of the time
_WITHOUT = {
    "without the gate": replace(_PLAIN, gate=False),
    "without caps": replace(_PLAIN, caps=False),
    "without gate and caps": replace(_PLAIN, gate=False, caps=False),
}


async def courses(stream: Stream, batch: int, *, quick: bool = False) -> list[tuple[float, str, Course]]:
    """Return runs: the poisoned share of all messages, what is switched off, and what happened."""
    worst = SHARES[-1]
    to = TO if TO in stream.labels else stream.labels[0]
    planned = [(share, "", _PLAIN) for share in ((LIMIT_SHARE,) if quick else SHARES)]
    planned += [] if quick else [(worst, name, mechanisms) for name, mechanisms in _WITHOUT.items()]
    found = []
    for share, name, mechanisms in planned:
        staff = Staff(poison=share, poison_to=to)
        title = f"{share:.0%}{f', {name}' if name else ' wrong'}" if share else "without poison"
        found.append((share, name, await replay(title, stream, batch, staff, mechanisms)))
    return found


def figures(runs: Sequence[tuple[float, str, Course]], asked: Sequence[Said]) -> Iterator[Figure]:
    """Yield the most that any promoted model lost on the one before it, overall and in any department.

    The detail has the losses of the last model on the first one, and on the run without poison, with their intervals.
    """
    labels = np.array([row.label for row in asked])
    clean = next((course.points[-1] for share, _name, course in runs if not share), None)
    for share, name, course in runs:
        overall, department, which = losses(course)
        judged = share == LIMIT_SHARE and not name
        title = f"learning.poison_{100 * share:g}{'.' + name.replace(' ', '_') if name else ''}"
        first, last = course.points[0], course.points[-1]
        detail: dict[str, Any] = {
            "accuracy": [round(point.accuracy, 4) for point in course.points],
            "promoted": len({point.model for point in course.points}) - 1,
            "refused": sum(not verdict["passed"] for verdict in course.verdicts),
            "department": which,
            "lost_on_the_first": lost(first, last, labels),
            "lost_by_poison": lost(clean, last, labels) if clean and share else {},
        }
        note = f"one person passes {share:.0%} of all messages on to one department, and confirms it"
        note += f", {name}" * bool(name)
        yield Figure(
            name=f"{title}.overall", value=round(overall, 4), unit="share", n=len(asked), better="lower",
            limit=MOST_OVERALL if judged else None, note=note, detail=detail,
        )  # fmt: skip
        yield Figure(
            name=f"{title}.department", value=round(department, 4), unit="share", n=len(asked), better="lower",
            limit=MOST_DEPARTMENT if judged else None, note=note, detail={"department": which},
        )  # fmt: skip


def lost(before: Point, after: Point, labels: NDArray[np.str_]) -> dict[str, list[float]]:
    """Return loss, lower and upper end of its 95 % interval, by label and overall; a gain is below 0.

    Both answered the same messages: the interval is that of the mean of the differences (0, 1 or -1 each). The worst of
    many departments is worse by chance than any one alone.
    """
    difference = np.array(before.right, dtype=float) - np.array(after.right, dtype=float)
    parts = {"overall": difference} | {label: difference[labels == label] for label in np.unique(labels).tolist()}
    return {name: _interval(part) for name, part in parts.items() if len(part)}


def _interval(difference: NDArray[np.floating[Any]]) -> list[float]:
    middle, reach = difference.mean(), _NORMAL * difference.std() / np.sqrt(len(difference))
    return [round(float(each), 4) for each in (middle, middle - reach, middle + reach)]


def losses(course: Course) -> tuple[float, float, str]:
    """Return the most that any promoted model lost on the one before it: overall, in a department, and in which."""
    overall, department, which = 0.0, 0.0, ""
    for before, after in zip(course.points, course.points[1:], strict=False):
        overall = max(overall, before.accuracy - after.accuracy)
        for label, share in before.per_label.items():
            if share - after.per_label[label] > department:
                department, which = share - after.per_label[label], label
    return overall, department, which
