"""The report of `signpost evaluate --report DIR`: one self-contained page, and its plots as files."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

from classifiers._corpus import OUT_OF_SCOPE
from router.commandline.report import curves, numbers, plots
from router.errors import SignpostError
from router.plots import confusion, reliability
from router.plots.pen import look

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from classifiers._evaluate import Answer
    from router.learning.curve import Point
    from router.plots.pen import Drawing

PAGE = "index.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is reported on. `figures` are those of `signpost evaluate`; `points` the learning curve, if it was drawn."""

    figures: Mapping[str, Any]
    answers: Sequence[Answer]
    target_error: float
    model: str
    data: Sequence[str]
    made_at: datetime
    organization: str = ""
    points: Sequence[Point] = ()

    def drawings(self) -> dict[str, Drawing]:
        """Return the plots by name."""
        answers = self.answers
        risk = curves.risk_coverage(numbers.risk_curve(answers), numbers.operating_point(answers), self.target_error)
        drawings = {
            "messages": plots.fates(numbers.fate(answers)),
            "risk-coverage": risk,
            "reliability": reliability.drawn(numbers.reliability(answers)),
            "departments": plots.departments(self.figures["per_department"]),
            "confusion": confusion.drawn(numbers.confusion(answers)),
        }
        return drawings | ({"learning": curves.learning(self.points)} if self.points else {})


def write(report: Report, folder: Path) -> Path:
    """Write the page and the plots into a folder (made if missing) and return the page's path.

    Raise `SignpostError` if the folder can't be written to.
    """
    drawings = report.drawings()
    page = folder / PAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, drawing in drawings.items():
            (folder / f"{name}.svg").write_text(drawing.alone(), encoding="utf-8")
        page.write_text(html(report, drawings), encoding="utf-8")
    except OSError as error:
        raise SignpostError(f"the report can't be written: {error.filename}: {error.strerror or error}") from error
    return page


def html(report: Report, drawings: Mapping[str, Drawing]) -> str:
    """Return the page; it needs nothing beside itself and runs nothing."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": _percent, "between": _between, "desk": confusion.named}
    source = (files(__package__) / "page.html").read_text(encoding="utf-8")
    names = {answer.department for answer in report.answers} - {OUT_OF_SCOPE}
    return environment.from_string(source).render(
        report=report,
        figures=report.figures,
        plots={name: drawing.inline() for name, drawing in drawings.items()},
        look=look(),
        point=numbers.operating_point(report.answers),
        fate=numbers.fate(report.answers),
        pairs=numbers.worst_pairs(report.answers),
        left_out=numbers.confusion(report.answers).left_out,
        departments=len(names),
        languages=_languages(report.figures),
    )


def _languages(figures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the figures of each language that has a name, commonest first; nothing where there is only one."""
    known = [(name, each) for name, each in figures["per_language"].items() if name]
    return sorted(known, key=lambda pair: -pair[1]["n"]) if len(figures["per_language"]) > 1 else []


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _between(interval: Sequence[float] | None) -> str:
    return "" if interval is None else f"between {interval[0]:.0%} and {interval[1]:.0%}"
