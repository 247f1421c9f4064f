"""`evaluate`: how good a model is on labelled messages, as JSON and as a report for people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from classifiers._corpus import OUT_OF_SCOPE, load_corpus
from classifiers._evaluate import answers_of, figures_of
from router.commandline import progress, show
from router.commandline.frame import Command, Invocation
from router.commandline.learning import DATA_HELP
from router.commandline.model import from_directory, serving, target_error
from router.commandline.report.page import Report, write
from router.errors import SignpostError
from router.interfaces import SystemClock
from router.learning.alarms import alarm_of
from router.learning.curve import learning_curve
from router.learning.district import District
from router.learning.files import read_files
from router.plugins import classifier_types
from router.serving import thresholds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from classifiers._evaluate import Answer
    from config.load import Configuration
    from router.interfaces import Classifier, ClassifierType, Settings
    from router.learning.curve import Point
    from router.learning.files import FileRow
    from router.records import Department
    from router.routing.policy import Thresholds

    Row = dict[str, Any]


@click.command(cls=Command, prints=True)
@click.option("--data", "files", multiple=True, required=True, metavar="FILE", help=f"{DATA_HELP} May be repeated.")
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Measure a model that stands outside the configuration.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Also write plots, with explanations, into this folder: open its index.html in any browser.",
)
@click.option(
    "--learning-curve",
    "curve",
    is_flag=True,
    help="Add to the report whether more messages would help; this trains five models, which takes minutes.",
)
@click.pass_obj
def evaluate(
    invocation: Invocation, files: tuple[str, ...], model: Path | None, report: Path | None, curve: bool
) -> None:
    """Measure a model on labelled messages.

    It prints the figures as JSON, each with its 95 % interval. Rows may carry "also_acceptable" (a list), "urgent",
    and the department "out_of_scope" (right when abstained).
    """
    if curve and report is None:
        raise click.UsageError("--learning-curve is a part of the report: name its folder with --report DIR")
    rows = _rows(files)
    measured = _outside(invocation, model) if model is not None else _district(invocation.configuration())
    rows = [measured.row(row) for row in rows]
    _remark_on_others(measured, rows)
    answers = measured.answers(rows)
    figures = figures_of(answers, rows, alarm_of(measured.classifier))
    if report is not None:
        said = Report(
            figures=figures,
            answers=answers,
            target_error=measured.target_error,
            model=measured.classifier.version,
            data=[Path(file.rpartition("=")[2]).name for file in files],
            made_at=SystemClock().now(),
            organization=measured.organization,
            points=_curve(measured, rows) if curve else (),
        )
        click.echo(f"The report is {write(said, report)}", err=True)
    show.as_json({"model": measured.classifier.version, **figures})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What is measured: a model that answers with a district's departments, or, without any, with its labels."""

    classifier: Classifier
    limits: Thresholds
    target_error: float
    kind: ClassifierType
    settings: Settings
    organization: str = ""
    departments: tuple[Department, ...] = ()

    def row(self, row: Row) -> Row:
        """Return a row with the labels that are measured by."""
        return District(self.classifier, self.departments).row(row) if self.departments else row

    @property
    def labels(self) -> Sequence[str]:
        """What an answer can be."""
        return self._used(self.classifier).labels

    def answers(self, rows: Sequence[Row]) -> list[Answer]:
        """Return what the model says, and what would be routed."""
        stricter = {desk.id: desk.min_confidence for desk in self.departments if desk.min_confidence is not None}
        limits = self.limits
        return answers_of(self._used(self.classifier), rows, limits.min_confidence, limits.min_score, stricter)

    def right(self, rows: Sequence[Row], classifier: Classifier) -> tuple[int, int]:
        """Return of how many of how many in-scope rows another model's first choice is right."""
        answers = answers_of(self._used(classifier), rows, 0.0, 0.0)
        inside = [answer for answer in answers if answer.department != OUT_OF_SCOPE]
        return sum(answer.right for answer in inside), len(inside)

    def _used(self, classifier: Classifier) -> Classifier:
        return District(classifier, self.departments) if self.departments else classifier


def _remark_on_others(measured: _Measured, rows: Sequence[Row]) -> None:
    """Name the departments that no answer can be: a slip of the pen, or the fallback."""
    labels = {*measured.labels, OUT_OF_SCOPE}
    others = [str(row["department"]) for row in rows if row["department"] not in labels]
    if others:
        names = ", ".join(f"'{name}'" for name in sorted(set(others)))
        remark = f"remark: no answer can be {names}, so {len(others)} of {len(rows)} messages count as wrong; "
        click.echo(f"{remark}what is to be left to people is called '{OUT_OF_SCOPE}'", err=True)


def _district(configuration: Configuration) -> _Measured:
    """Return the model that serves, as the district uses it."""
    classifier, meta = serving(configuration)
    return _Measured(
        classifier=classifier,
        limits=thresholds(meta, configuration.routing.target_error),
        target_error=configuration.routing.target_error,
        kind=configuration.classifier.classifier,
        settings=configuration.classifier.settings,
        organization=configuration.organization.name,
        departments=tuple(configuration.departments),
    )


def _outside(invocation: Invocation, model: Path) -> _Measured:
    """Return a model that stands outside any configuration, with its own labels."""
    classifier, meta = from_directory(model)
    wanted = target_error(invocation.configuration_if_any())
    kind = classifier_types().get("linear")
    return _Measured(
        classifier=classifier,
        limits=thresholds(meta, wanted),
        target_error=wanted,
        kind=kind,
        settings=kind.settings(),
    )


def _curve(measured: _Measured, rows: Sequence[Row]) -> list[Point]:
    """Draw the learning curve of the bundled corpus."""
    with progress.shown("Learning curve") as tell:
        return learning_curve(measured.kind, measured.settings, load_corpus(), partial(measured.right, rows), tell)


def _rows(files: Sequence[str]) -> list[Row]:
    """Return the labelled rows as they stand in the files; what stood in a mailbox, as it was prepared.

    Raise `SignpostError` if there is none: figures about nothing would look like an answer.
    """
    rows = [{**(dict(row.row) or _prepared(row)), "urgent": row.urgent} for row in read_files(files, whole=True)]
    if not rows:
        raise SignpostError(f"there is no labelled message to measure by in {', '.join(files)}")
    return rows


def _prepared(row: FileRow) -> Row:
    said = row.input
    return {"subject": said.subject, "body": said.body, "language": said.language, "department": row.department}
