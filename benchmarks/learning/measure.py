"""Everything about learning in one measurement: with and without each mechanism, poison, a pair, traffic.

Plots and all points go into the folder that SIGNPOST_BENCH_OUT names, if it names one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from benchmarks.learning import pair, plot, poison, streams, traffic
from benchmarks.learning.replay import Staff, replay
from benchmarks.learning.simulated import Mechanisms
from benchmarks.model import ENCODER
from benchmarks.public import DATA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.learning.replay import Course
    from benchmarks.learning.streams import Stream

OUT = "SIGNPOST_BENCH_OUT"
SOON = 3_000  # messages within which the first limit is to be reached
LIMITS = {"pure": (0.84, 0.865), "embed": (0.85, 0.88)}  # by then, and at the end of the stream
BEFORE = 0.858  # measured before at the end of the stream, on every message, nothing held out
CLINC_MESSAGES = 6_000
_BATCH, _POISON_BATCH, _QUICK_BATCH, _QUICK_PART = 1_000, 837, 150, 5
_ABSENT = "skipped because the public sets aren't beside this repository (they are for measuring and aren't shipped)"
_NO_ENCODER = "skipped because there is no encoder in var/encoders/minilm (docs/howto/embed.md)"
_WEAKEST = {"silence": {"weight": 0.3}}
_PLAIN = {"augment": False}  # noisy copies take three quarters of the time
_ALL = Mechanisms(settings=_WEAKEST, classifier=_PLAIN)
_WITHOUT: Mapping[str, Mechanisms] = {
    "without silence": replace(_ALL, silence=False),
    "without audits": replace(_ALL, audit=False),
    "without the gate": replace(_ALL, gate=False),
    "without rehearsals": replace(_ALL, rehearsals=False),
    "without caps": replace(_ALL, caps=False),
    "without learning": replace(_ALL, learning=False),
}

Part = Callable[..., Awaitable[list[Figure]]]


async def measure(*, quick: bool = False) -> list[Figure]:
    """Return all figures; with `quick` a tiny run of each kind that needs no data beside the repository."""
    figures = [] if quick else [*await traffic.switching(), *await traffic.training()]  # first: these can fail
    figures += await few_shots(quick=quick)
    figures += await poisoned(quick=quick)
    return figures if quick else [*figures, *await pairs()]


async def pairs() -> list[Figure]:
    """Return what fifty corrections do about two departments that are taken for one another, in four cases."""
    figures = await pair.measure("moved", pair.moved(streams.bundled(start=0.45, asked=0.2)), pair.MOVED, bundled=True)
    hardly = pair.thinned(streams.bundled(start=0.65, asked=0.25))
    figures += await pair.measure("hardly_known", hardly, pair.HARDLY_KNOWN, bundled=True)
    if not (DATA / "intents").is_dir():
        return [*figures, Figure(name="learning.pair.confused", value=None, unit="share", n=0, note=_ABSENT)]
    figures += await pair.measure("confused", pair.confused(streams.hwu64()))
    one, other = figures[-2].detail["pair"]
    known = pair.else_known(streams.hwu64(), (one, other))
    return [*figures, *await pair.measure("else_known", known, (one, other))]


async def few_shots(*, quick: bool = False) -> list[Figure]:
    """Return the figures of the streams that begin with ten messages of each label; in a quick run of a tiny one."""
    if quick:
        stream = streams.bundled().every(_QUICK_PART).first(2 * _QUICK_BATCH)
        return _tiny(await replay("tiny", stream, _QUICK_BATCH, mechanisms=_ALL))
    if not (DATA / "intents").is_dir():
        return [Figure(name="learning.hwu64", value=None, unit="share", n=0, note=_ABSENT)]
    stream, clinc = streams.hwu64(), streams.clinc150().first(CLINC_MESSAGES)
    planned = {"everything on": _ALL, **_WITHOUT}
    runs = [await _streamed(name, stream, each) for name, each in planned.items()]
    _keep("few-shots", runs, "HWU64 from ten messages of each label; half of the misroutes are corrected")
    figures = [*_accuracy("hwu64", "pure", stream, runs[0]), *map(_without, runs)]
    figures += await _embedded(stream)
    return [*figures, *_accuracy("clinc150", "", clinc, await _streamed("clinc150", clinc, _ALL))]


async def _streamed(name: str, stream: Stream, mechanisms: Mechanisms) -> Course:
    return await replay(name, stream, _BATCH, Staff(), mechanisms, halved=SOON)


async def _embedded(stream: Stream) -> list[Figure]:
    if not ENCODER.is_dir():
        return [Figure(name="learning.hwu64.embed", value=None, unit="share", n=0, note=_NO_ENCODER)]
    mechanisms = replace(_ALL, classifier={**_PLAIN, "encoder": str(ENCODER)})
    return _accuracy("hwu64", "embed", stream, await _streamed("embed", stream, mechanisms))


async def poisoned(*, quick: bool = False) -> list[Figure]:
    """Return what one person does who passes messages on wrongly."""
    stream = streams.bundled()
    stream = stream.every(_QUICK_PART).first(_QUICK_BATCH) if quick else stream
    runs = await poison.courses(stream, _QUICK_BATCH if quick else _POISON_BATCH, quick=quick)
    if not quick:
        _keep("poison", [course for _share, _name, course in runs],
              "One person passes a share of all messages on to one department, and confirms it")  # fmt: skip
    return list(poison.figures(runs, stream.asked))


def _tiny(course: Course) -> list[Figure]:
    return [Figure(name="learning.tiny", value=round(course.points[-1].accuracy, 4), unit="share", n=_QUICK_BATCH,
                   detail=_detail(course))]  # fmt: skip


def _accuracy(name: str, kind: str, stream: Stream, course: Course) -> list[Figure]:
    """Return how often the model is right on the asked messages, soon and at the end."""
    limits = LIMITS.get(kind, (None, None))
    title, end = f"learning.{name}{'.' + kind if kind else ''}", len(stream.messages)
    note = "first choice right on the set's test messages; staff correct half of the misroutes; a part is held out"
    return [
        Figure(name=f"{title}.{when}", value=round(course.at(by).accuracy, 4), unit="share", n=len(stream.asked),
               limit=limit, note=note, detail=_detail(course) if when == "end" else {})
        for when, by, limit in (("soon", SOON, limits[0]), ("end", end, limits[1]))
    ]  # fmt: skip


def _without(course: Course) -> Figure:
    return Figure(
        name=f"learning.hwu64.misrouted.{course.name.replace(' ', '_')}",
        value=round(course.misrouted, 4),
        unit="share",
        n=course.points[-1].messages,
        better="lower",
        note="share of the whole stream that went wrong",
        detail=_detail(course),
    )


def _detail(course: Course) -> dict[str, object]:
    return {
        "messages": [point.messages for point in course.points],
        "accuracy": [round(point.accuracy, 4) for point in course.points],
        "misrouted": [point.misrouted for point in course.points],
        "corrections": course.points[-1].corrections,
        "trainings": len(course.verdicts),
        "refused": sum(not verdict["passed"] for verdict in course.verdicts),
        "left_to_a_person": sum(bool(verdict["waits"]) for verdict in course.verdicts),
    }


def _keep(name: str, courses: Sequence[Course], title: str) -> None:
    """Write the plot, all runs beside the first, and its points, if a folder was named."""
    if not (named := os.environ.get(OUT)):
        return
    folder = Path(named)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.svg").write_text(plot.misrouted(courses[0], courses[1:], title).alone(), encoding="utf-8")
    (folder / f"{name}.json").write_text(json.dumps([asdict(course) for course in courses], indent=1), encoding="utf-8")
