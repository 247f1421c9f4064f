"""How many urgent messages raise an alarm, and how many alarms are right: the table of `docs/howto/urgent.md`."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.accuracy import validation
from benchmarks.figures import Figure
from benchmarks.held_out import thirds
from benchmarks.model import bundled_model
from benchmarks.public import TRANSFER
from classifiers import linear
from classifiers._figures import share
from classifiers._text import readings
from router.records import Content
from router.routing.urgent import Urgent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from router.interfaces import Classifier

    Row = Mapping[str, Any]
    Said = tuple[Content, str]
    Judge = Callable[[Sequence[Said]], list[bool]]

LEAST_FOUND, LEAST_RIGHT = 0.95, 0.75  # of the validation set
_OF_EACH_SET = 3_000
_INNOCENT = "innocent"  # the tag of harmless messages that were written to sound urgent


def measure(*, quick: bool) -> list[Figure]:
    """Return what was found and what was right: on the validation set, on the corpus out of fold, and public sets.

    `quick` leaves out the corpus, for which three models are trained.
    """
    model = linear.load(bundled_model())
    figures = _validation(model)
    if not quick:
        figures += _corpus()
    return figures + _public(model)


def _both(model: Classifier) -> Judge:
    return lambda said: [bool(reason) for reason in Urgent(lambda: model, readings).reasons(said)]


def _words(said: Sequence[Said]) -> list[bool]:
    return [bool(reason) for reason in Urgent().reasons(said)]


def _alone(model: linear.LinearModel) -> Judge:
    sense = model.urgent
    if sense is None:
        return lambda said: [False] * len(said)
    return lambda said: [max(sense.likely(readings(*each))) >= sense.threshold for each in said]


def _said(row: Row) -> Said:
    subject, text, language = (str(row.get(name) or "") for name in ("subject", "body", "language"))
    medium = str(row.get("medium") or row.get("channel") or "")
    return Content(subject=subject, text=text, language=language), medium


def _validation(model: linear.LinearModel) -> list[Figure]:
    rows = validation()
    said, urgent = [_said(row) for row in rows], [bool(row.get("urgent")) for row in rows]
    note = "" if rows else "skipped: there is no validation set beside this repository"
    figures = []
    for name, judge in (("", _both(model)), (".words", _words), (".model", _alone(model))):
        limits = (LEAST_FOUND, LEAST_RIGHT) if not name else (None, None)
        figures += _pair(f"urgent.validation{name}", urgent, judge(said), limits, note)
    return figures


@dataclass(frozen=True, slots=True)
class _Judged:
    row: Row
    alarm: bool

    @property
    def urgent(self) -> bool:
        return bool(self.row.get("urgent"))


def _corpus() -> list[Figure]:
    judged = [
        _Judged(row, alarm)
        for third in thirds()
        for row, alarm in zip(third.rows, _both(third.model)([_said(row) for row in third.rows]), strict=True)
    ]
    figures = []
    for name, fits in _GROUPS.items():
        some = [each for each in judged if fits(each.row)]
        figures += _pair(f"urgent.corpus.{name}", [each.urgent for each in some], [each.alarm for each in some])
    for name, innocent in (("innocent", True), ("others", False)):
        rang = [each.alarm for each in judged if not each.urgent and (_INNOCENT in _tags(each.row)) is innocent]
        figures.append(_share(f"urgent.corpus.{name}.alarms", sum(rang), len(rang), better="lower"))
    return figures


_GROUPS: Mapping[str, Callable[[Row], bool]] = {
    "all": lambda _row: True,
    "en": lambda row: row["language"] == "en",
    "es": lambda row: row["language"] == "es",
    "other_languages": lambda row: row["language"] not in {"en", "es"},
    "email": lambda row: row["medium"] == "email",
    "sms": lambda row: row["medium"] == "sms",
}


def _tags(row: Row) -> Sequence[str]:
    return row.get("tags") or ()


def _public(model: linear.LinearModel) -> list[Figure]:
    """Of real messages to others nobody has marked which are urgent: hardly any."""
    figures = []
    for name, read in TRANSFER.items():
        try:
            found = read()
        except (OSError, StopIteration):
            note = f"skipped: there is no set {name} beside this repository"
            figures.append(Figure(name=f"urgent.public.{name}", value=None, unit="share", n=0, note=note))
            continue
        texts = [text for text, _label in (*found.train, *found.test)]
        random.Random(0).shuffle(texts)
        said = [(Content(text=text, language="en"), "sms") for text in texts[:_OF_EACH_SET]]
        figures.append(_share(f"urgent.public.{name}.alarms", sum(_both(model)(said)), len(said), better="lower"))
    return figures


def _pair(
    name: str,
    urgent: Sequence[bool],
    alarms: Sequence[bool],
    limits: tuple[float | None, float | None] = (None, None),
    note: str = "",
) -> list[Figure]:
    right = sum(is_so and said for is_so, said in zip(urgent, alarms, strict=True))
    return [
        _share(f"{name}.recall", right, sum(urgent), limit=limits[0], note=note),
        _share(f"{name}.precision", right, sum(alarms), limit=limits[1], note=note),
    ]


def _share(name: str, some: int, n: int, **more: Any) -> Figure:
    value, interval = share(some, n)
    return Figure(name=name, value=value, unit="share", n=n, detail={"interval_95": interval}, **more)
