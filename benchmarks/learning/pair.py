"""Fifty confirmed corrections on two departments that are taken for one another, and what is left of that.

Four cases: a pair that is confused where little is known of any label, and where enough is known of all others; a topic
that this district gives to another department than its known messages do; and a department that is hardly known.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

from benchmarks.district import folder
from benchmarks.figures import Figure
from benchmarks.learning.simulated import Mechanisms, simulated
from benchmarks.learning.streams import Stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.learning.simulated import Routed, Simulated
    from benchmarks.learning.streams import Said

    Pair = tuple[str, str]
    Flag = tuple[str, str, str]
    """Message id, department, person."""

CORRECTIONS, KNOWN = 50, 15
HARDLY_KNOWN = ("safety", "superintendent")  # of the first few messages are known, and many go to the second
MOVED = ("human-resources", "superintendent")  # complaints about staff go to the first here, to the second elsewhere
STAFF = re.compile(r"teacher|maestr|profesor|principal|director", re.IGNORECASE)
_PEOPLE = ("ana@maplevalley.example", "ben@maplevalley.example")
_BATCH = 500
_MECHANISMS = Mechanisms(
    audit=False, settings={"retrain_after": 1, "silence": {"weight": 0.3}}, classifier={"augment": False}
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How many asked messages of the pair went to the other one, and how many of the others were right."""

    confused: int
    others_right: float


# --- the four cases ---------------------------------------------------------------------------------------------------


def confused(stream: Stream) -> Stream:
    """Return the stream with its last third asked about, besides what is asked anyway: a pair has few of these."""
    end = 2 * len(stream.messages) // 3
    return Stream(stream.name, stream.start, stream.messages[:end], [*stream.asked, *stream.messages[end:]])


def else_known(stream: Stream, pair: Pair) -> Stream:
    """Return the same where the other labels are known from a third of what came: only the pair's comes from now on."""
    stream = confused(stream)
    known = [row for row in stream.messages[::2] if row.label not in pair]
    come = [row for row in stream.messages if row.label in pair]
    return Stream(stream.name, [*stream.start, *known], come, stream.asked)


def moved(stream: Stream, pair: Pair = MOVED, topic: re.Pattern[str] = STAFF) -> Stream:
    """Return a stream in which what comes of a topic, and what is asked, belongs to the pair's first department.

    What is known says the second: so it is with the bundled messages, and a district that cuts its work otherwise.
    """

    def here(row: Said) -> Said:
        of_topic = row.label == pair[1] and topic.search(f"{row.subject} {row.text}")
        return replace(row, label=pair[0]) if of_topic else row

    return Stream(stream.name, stream.start, list(map(here, stream.messages)), list(map(here, stream.asked)))


def thinned(stream: Stream, pair: Pair = HARDLY_KNOWN) -> Stream:
    """Return the stream with few known messages of the first department; what is left over comes with the others."""
    few = [row for row in stream.start if row.label == pair[0]]
    late = few[KNOWN:]
    come = [*stream.messages, *late]
    Random(0).shuffle(come)
    return Stream(stream.name, [row for row in stream.start if row not in late], come, stream.asked)


# --- the measurement --------------------------------------------------------------------------------------------------


async def measure(name: str, stream: Stream, pair: Pair | None = None, *, bundled: bool = False) -> list[Figure]:
    """Return which share of the confusion is mended, and what the other departments lose.

    Without a pair it is the one that is confused most often among the messages that come; what is asked doesn't count.
    `bundled`: what is known at the start comes with the product.
    """
    with folder() as where:
        async with simulated(where, stream, replace(_MECHANISMS, bundled=bundled)) as district:
            routed = await _routed(district, stream.messages)
            pair = pair or commonest(routed)
            before = _ended(district, stream, pair)
            await district.pass_time(timedelta(days=7, minutes=1))  # what nobody flagged teaches from here on
            given = await district.correct(flags(routed, pair)[:CORRECTIONS])
            await district.learn()
            after = _ended(district, stream, pair)
            verdict = district.verdicts[-1]
    detail = {
        "pair": list(pair),
        "corrections": given,
        "confused": [before.confused, after.confused],
        "others_right": [round(before.others_right, 4), round(after.others_right, 4)],
        "outvoted": verdict["outvoted"],
        "held_out": verdict["held_out"],
        "verdict": verdict["sentence"],
    }
    print(f"{name}: {detail}", file=sys.stderr)
    n = sum(row.label in pair for row in stream.asked)
    note = f"{given} confirmed corrections of messages that went to the other of two departments"
    return [
        Figure(name=f"learning.pair.{name}.mended", value=round(1 - after.confused / max(1, before.confused), 4),
               unit="share", n=n, limit=0.5, note=note, detail=detail),
        Figure(name=f"learning.pair.{name}.others_lose", value=round(before.others_right - after.others_right, 4),
               unit="share", n=len(stream.asked) - n, better="lower", limit=0.01,
               note="right answers about all other departments"),
    ]  # fmt: skip


async def _routed(district: Simulated, rows: Sequence[Said]) -> list[tuple[Said, Routed]]:
    parts = (rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH))
    return [each for part in parts for each in zip(part, await district.route(part), strict=True)]


def commonest(routed: Sequence[tuple[Said, Routed]]) -> Pair:
    """Return the two departments that are taken for one another most often."""
    wrong = Counter(tuple(sorted((row.label, to.department))) for row, to in routed if row.label != to.department)
    (one, other), _times = min(wrong.items(), key=lambda item: (-item[1], item[0]))
    return one, other


def flags(routed: Sequence[tuple[Said, Routed]], pair: Pair) -> list[Flag]:
    """Return what two people say of the messages of each department of the pair that went to the other."""
    wrong = [(to.id, row.label) for row, to in routed if {row.label, to.department} == {*pair}]
    return [(message, label, _PEOPLE[number % len(_PEOPLE)]) for number, (message, label) in enumerate(wrong)]


def _ended(district: Simulated, stream: Stream, pair: Pair) -> Ended:
    answers = Counter(zip((row.label for row in stream.asked), district.answers(stream.asked), strict=True))
    others = {(label, said): n for (label, said), n in answers.items() if label not in pair}
    right = sum(n for (label, said), n in others.items() if label == said)
    return Ended(
        confused=answers[pair[0], pair[1]] + answers[pair[1], pair[0]],
        others_right=right / max(1, sum(others.values())),
    )
