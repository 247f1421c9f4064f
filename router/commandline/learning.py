"""`train`, `evaluate` and `models`: from corrections to a champion, and back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from classifiers._evaluate import evaluate as measure
from router.commandline import progress, show
from router.commandline.frame import DONE, NO, Command, CommandGroup, Invocation
from router.commandline.model import from_directory, serving, target_error
from router.commandline.reach import ask, look
from router.control import socket_path
from router.learning import registry
from router.learning.district import District
from router.learning.files import read_files
from router.learning.train import Trained
from router.learning.train import train as train_model
from router.plugins import classifier_types
from router.routing.urgent import urgent_reason
from router.serving import thresholds
from router.store import corrections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from config.load import Configuration
    from router.interfaces import Classifier, Progress, Settings
    from router.learning.files import FileRow
    from router.store.engine import Store

_DATA_HELP = "A .jsonl or .csv file of labelled messages, or DEPT=PATH for a Maildir or mbox."
_FIGURES = ("accuracy", "macro_f1", "coverage", "selective_accuracy", "ece")


@click.command(cls=Command, prints=True)
@click.option("--data", "files", multiple=True, metavar="FILE", help=f"{_DATA_HELP} May be repeated.")
@click.option("--no-corpus", is_flag=True, help="Leave the bundled corpus out.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the model here and touch no registry: any labels, no gate.",
)
@click.pass_obj
def train(invocation: Invocation, files: tuple[str, ...], no_corpus: bool, out: Path | None) -> int:
    """Train a challenger; it is promoted if the gate passes.

    It learns from the bundled corpus, the confirmed corrections and the named files, and is measured on messages
    that no model trains on. Exit status 1 if the gate refuses it.
    """
    configuration = invocation.configuration_if_any() if out else invocation.configuration()
    with progress.shown("Training") as tell:
        model = _train(configuration, files, no_corpus=no_corpus, out=out, tell=tell)
    if out is not None:
        return _told(invocation, model, {"version": model.version, "state": "saved", "path": str(out)})
    assert configuration is not None
    return _told(invocation, model, _registered(configuration, model))


def _train(
    configuration: Configuration | None, files: Sequence[str], *, no_corpus: bool, out: Path | None, tell: Progress
) -> Trained:
    """Train with what the configuration says; without one, with the defaults."""
    if configuration is None:
        linear = classifier_types().get("linear")
        settings: Settings = linear.settings()
        return train_model(linear, settings, progress=tell, files=files, no_corpus=no_corpus, out_dir=out)
    nothing: tuple[list[Any], Classifier | None] = [], None
    rows, champion = nothing if out and no_corpus else look(configuration, _learnt_so_far, nothing)
    return train_model(
        configuration.classifier.classifier,
        configuration.classifier.settings,
        configuration.departments,
        configuration.routing.fallback,
        progress=tell,
        store_rows=rows,
        files=files,
        champion=champion,
        no_corpus=no_corpus,
        out_dir=out,
        target_error=configuration.routing.target_error,
    )


async def _learnt_so_far(store: Store) -> tuple[list[Any], Classifier | None]:
    """Return the confirmed corrections and the champion."""
    rows = await store.read(corrections.confirmed_rows)
    champion = await registry.load_champion(store, classifier_types())
    return rows, champion[0] if champion else None


def _registered(configuration: Configuration, model: Trained) -> dict[str, Any]:
    """Hand the model over in a file beside the store, where the daemon can read it whatever /tmp it sees."""
    folder = socket_path(configuration.store.url).parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".trained-") as file:
        file.write(model.artifact)
        file.flush()
        row: dict[str, Any] = ask(
            configuration,
            "models_register",
            may_create=True,
            path=str(Path(file.name).absolute()),
            sha256=model.sha256,
            verdict=model.verdict.to_json(),
            parent=model.parent,
        )
    return row


def _told(invocation: Invocation, model: Trained, row: dict[str, Any]) -> int:
    status = DONE if model.verdict.passed else NO
    if invocation.json:
        show.as_json({**row, "metrics": dict(model.metrics), "verdict": model.verdict.to_json()})
        return status
    figures = model.metrics.get("held_out") or model.metrics.get("metrics") or {}
    _print_figures(figures)
    used = ", ".join(f"{source} {count}" for source, count in model.metrics.get("counts", {}).items())
    click.echo(f"\nMessages by where they came from: {used or 'none'}.")
    for why, count in model.metrics.get("left_out", {}).items():
        click.echo(f"Left out: {count} ({show.plain(why)}).")
    click.echo(f"\n{model.verdict.sentence}")
    click.echo(_outcome(model, row))
    return status


def _outcome(model: Trained, row: dict[str, Any]) -> str:
    said = {
        "saved": f"The model {model.version} is in {row.get('path')}.",
        "champion": f"The model {model.version} is the champion now. To go back:  signpost models rollback",
        "challenger": f"The model {model.version} is registered, but another became champion meanwhile. "
        f"To use it all the same:  signpost models promote {model.version}",
    }
    state = row["state"]
    return said.get(state, f"The model {model.version} is registered as {state}; what served before goes on serving.")


def _print_figures(figures: dict[str, Any]) -> None:
    departments = figures.get("per_department", {})
    columns = ["department", ">messages", ">precision", ">recall"]
    rows = [[name, f["n"], show.percent(f["precision"]), show.percent(f["recall"])] for name, f in departments.items()]
    show.table(columns, rows, empty="There are no figures.")
    known = [(name, show.percent(figures.get(name))) for name in _FIGURES]
    click.echo("\n" + ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in known if text))


# --- evaluate ---------------------------------------------------------------------------------------------------------


@click.command(cls=Command, prints=True)
@click.option("--data", "files", multiple=True, required=True, metavar="FILE", help=f"{_DATA_HELP} May be repeated.")
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="Measure a model that stands outside the configuration.",
)
@click.pass_obj
def evaluate(invocation: Invocation, files: tuple[str, ...], model: Path | None) -> None:
    """Measure a model on labelled messages.

    It prints the figures as JSON, each with its 95 % interval. Rows may carry "also_acceptable" (a list), "urgent",
    and the department "out_of_scope" (right when abstained).
    """
    rows = _rows(files)
    if model is not None:
        configuration = invocation.configuration_if_any()
        classifier, meta = from_directory(model)
    else:
        configuration = invocation.configuration()
        classifier, meta = serving(configuration)
    limits = thresholds(meta, target_error(configuration))
    if configuration is not None and model is None:
        district = District(classifier, configuration.departments)
        classifier, rows = district, [district.row(row) for row in rows]
    figures = measure(classifier, rows, limits.min_confidence, limits.min_score, _is_urgent)
    show.as_json({"model": classifier.version, **figures})


def _is_urgent(row: Any) -> bool:
    return bool(urgent_reason(str(row.get("subject") or ""), str(row.get("body") or "")))


def _rows(files: Sequence[str]) -> list[dict[str, Any]]:
    """Return the labelled rows as they stand in the files; what stood in a mailbox, as it was prepared."""
    return [{**(dict(row.row) or _prepared(row)), "urgent": row.urgent} for row in read_files(files)]


def _prepared(row: FileRow) -> dict[str, Any]:
    said = row.input
    return {"subject": said.subject, "body": said.body, "language": said.language, "department": row.department}


# --- models -----------------------------------------------------------------------------------------------------------


@click.group(cls=CommandGroup)
def models() -> None:
    """Look at the registry of models, promote one, or go back."""


@models.command("list", prints=True)
@click.pass_obj
def models_list(invocation: Invocation) -> None:
    """List every model that was registered, newest first."""
    rows = ask(invocation.configuration(), "models_list")
    if invocation.json:
        show.as_json(rows)
        return
    columns = ["version", "state", "type", "created", ">accuracy", ">coverage", "compared with"]
    shown = (
        [
            row["version"],
            row["state"],
            row["type"],
            row["created_at"],
            show.percent(row["accuracy"]),
            show.percent(row["coverage"]),
            row["parent"],
        ]
        for row in rows
    )
    show.table(columns, shown, empty="No model has been registered yet; the daemon does so at its first start.")


@models.command("show", prints=True)
@click.argument("version", default="", required=False)
@click.pass_obj
def models_show(invocation: Invocation, version: str) -> None:
    """Show one model's figures, what it learnt from, and the gate's verdict (default: the champion)."""
    view = ask(invocation.configuration(), "models_show", version=version)
    if invocation.json:
        show.as_json(view)
        return
    metrics, verdict = view.pop("metrics"), view.pop("verdict")
    show.facts(view.items())
    click.echo()
    _print_figures(metrics.get("held_out") or {})
    show.heading(f"The gate: {verdict.get('sentence', '')}")
    columns = ["check", ">messages", ">before", ">this model", "outcome"]
    checks = verdict.get("checks", [])
    rows = [
        [c["what"], c["n"], show.percent(c["champion"]), show.percent(c["challenger"]), c["outcome"]] for c in checks
    ]
    if rows:
        show.table(columns, rows)


@models.command("promote", prints=True)
@click.argument("version")
@click.pass_obj
def models_promote(invocation: Invocation, version: str) -> None:
    """Make a model the champion, whatever the gate said; a running daemon uses it at once."""
    _now_serves(invocation, ask(invocation.configuration(), "models_promote", version=version))


@models.command("rollback", prints=True)
@click.pass_obj
def models_rollback(invocation: Invocation) -> None:
    """Go back to the model that served before; a running daemon uses it at once."""
    _now_serves(invocation, ask(invocation.configuration(), "models_rollback"))


def _now_serves(invocation: Invocation, row: dict[str, Any]) -> None:
    if invocation.json:
        show.as_json(row)
    else:
        click.echo(f"The model {row['version']} is the champion now.")
