"""`train`: from corrections to a challenger, and to a champion if the gate passes."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from config._learning import Learning
from router.commandline import progress, show
from router.commandline.frame import DONE, NO, Command, Invocation
from router.commandline.model import TARGET_ERROR
from router.commandline.reach import ask_there, ask_whom, look, require_store, store_exists, store_place
from router.control import socket_path
from router.learning import turn
from router.learning.build import order_of
from router.learning.lessons import Rules
from router.learning.order import Order
from router.learning.outvote import told
from router.learning.retrain import train_apart
from router.store import models as registered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from config.load import Configuration
    from router.interfaces import Progress
    from router.learning.train import Trained
    from router.store.engine import Store

DATA_HELP = (
    "A .jsonl or .csv file of labelled messages; DEPT=PATH for a Maildir, mbox or folder of .eml files; or a folder "
    "whose subfolders are named after departments."
)
_FIGURES = ("accuracy", "macro_f1", "selective_accuracy", "ece")


@click.command(cls=Command, prints=True)
@click.option("--data", "files", multiple=True, metavar="FILE", help=f"{DATA_HELP} May be repeated.")
@click.option("--no-corpus", is_flag=True, help="Leave the bundled corpus out.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the model here and touch no registry: any labels, no gate.",
)
@click.option(
    "--compare-sources",
    "compare",
    is_flag=True,
    help="Also tell what each source of messages helped, by department: it trains once more without each of them.",
)
@click.option("--shadow", is_flag=True, help="Let it answer beside the champion first, as `learning.shadow` says.")
@click.pass_obj
def train(  # noqa: PLR0917  click passes each option
    invocation: Invocation, files: tuple[str, ...], no_corpus: bool, out: Path | None, compare: bool, shadow: bool
) -> int:
    """Train a challenger; it is promoted if the gate passes.

    It learns from the bundled corpus, the confirmed corrections, the files of `learning.data` and those named here, and
    is measured on messages that no model trains on. Exit status 1 if the gate refuses it.
    """
    began = datetime.now(UTC)
    configuration = invocation.configuration_if_any() if out else invocation.configuration()
    if configuration is not None and not (out and no_corpus):
        _look_for_store(configuration, out)
    if out is not None:
        order, within_s = _order_outside(configuration, files, no_corpus=no_corpus, out=out, compare=compare)
        with progress.shown("Training") as tell:
            model = asyncio.run(train_apart(order, within_s, tell))
        return _told(invocation, model, {"version": model.version, "state": "saved", "path": str(out)})
    assert configuration is not None
    order = _order(configuration, files, no_corpus=no_corpus, compare=compare)
    with progress.shown("Training") as tell:
        model = asyncio.run(_train_apart(configuration, order, tell))
    return _told(invocation, model, _registered(configuration, model, began, shadow=shadow))


def _look_for_store(configuration: Configuration, out: Path | None) -> None:
    """Say before anything is learnt that corrections, champion and registry aren't where the command looks."""
    if out is None:
        require_store(configuration, "start `signpost run` first, or train into a folder with --out")
    elif not store_exists(configuration):
        click.echo(f"remark: no correction is learnt: there is no store at {store_place(configuration)}", err=True)


def _order(configuration: Configuration, files: Sequence[str], *, no_corpus: bool, compare: bool) -> Order:
    learning = configuration.learning
    return replace(
        order_of(configuration),
        files=(*learning.data, *files),
        corpus=learning.corpus and not no_corpus,
        by_hand=True,
        compare=compare,
    )


async def _train_apart(configuration: Configuration, order: Order, tell: Progress) -> Trained:
    """Train as a daemon does: under the same limits, behind everything else, and not while another training is on."""

    async def say(step: str) -> None:
        await ask_there(configuration, turn.COMMAND, {"step": step})

    async with turn.turn(say):
        return await train_apart(order, configuration.learning.retrain_within.total_seconds(), tell)


def _order_outside(
    configuration: Configuration | None, files: Sequence[str], *, no_corpus: bool, out: Path, compare: bool
) -> tuple[Order, float]:
    """Return how to train into a folder, and within how many seconds; without a configuration by the defaults.

    Without the corpus nothing is learnt but the files: no correction, and none of `learning.data`.
    """
    if configuration is None:
        learning = Learning()
        order = Order(
            store_url="",
            classifier="linear",
            settings={},
            departments=(),
            fallback="",
            target_error=TARGET_ERROR,
            rules=Rules(),
            memory=learning.retrain_memory << 20,
        )
    else:
        learning = configuration.learning
        order = order_of(configuration, of_store=not no_corpus and look(configuration, _is_there, False))
    return replace(
        order,
        files=tuple(files) if no_corpus else (*learning.data, *files),
        corpus=learning.corpus and not no_corpus,
        by_hand=True,
        compare=compare,
        out=str(out.absolute()),
    ), learning.retrain_within.total_seconds()


async def _is_there(_store: Store) -> bool:
    return True


def _registered(configuration: Configuration, model: Trained, began: datetime, *, shadow: bool) -> dict[str, Any]:
    """Hand the model over in a file beside the store, where the daemon can read it whatever /tmp it sees."""
    folder = socket_path(configuration.store.url).parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".trained-") as file:
        file.write(model.artifact)
        file.flush()
        row, whom = ask_whom(
            configuration,
            "models_register",
            path=str(Path(file.name).absolute()),
            sha256=model.sha256,
            verdict=model.verdict.to_json(),
            parent=model.parent,
            shadow=shadow,
            began_at=began.isoformat(),
        )
    return {**row, "registered_in": whom}


def _told(invocation: Invocation, model: Trained, row: dict[str, Any]) -> int:
    status = DONE if model.verdict.passed else NO
    if invocation.json:
        show.as_json({**row, "metrics": dict(model.metrics), "verdict": model.verdict.to_json()})
        return status
    figures = model.metrics.get("held_out") or model.metrics.get("metrics") or {}
    print_figures(figures)
    used = ", ".join(f"{source} {count}" for source, count in model.metrics.get("counts", {}).items())
    click.echo(f"\nMessages by where they came from: {used or 'none'}.")
    for why, count in model.metrics.get("left_out", {}).items():
        click.echo(f"Left out: {count} ({show.plain(why)}).")
    for sentence in told(model.metrics.get("outvoted") or ()):
        click.echo(show.plain(sentence))
    if compared := model.metrics.get("sources"):
        _print_sources(compared)
    click.echo(f"\n{model.verdict.sentence}")
    if model.verdict.remark:
        click.echo(show.plain(model.verdict.remark))
    click.echo(_outcome(model, row))
    return status


def _print_sources(compared: Sequence[Mapping[str, Any]]) -> None:
    """Print what each source helped: overall with its interval, then by department, one column per source."""
    show.heading(f"What each source helped, on {compared[0]['held_out']} messages that nothing was learnt from:")
    columns = ["", "source", ">messages", ">with all", ">without it", ">helped by", ">between"]
    rows = [
        [
            _letter(number),
            each["source"].removeprefix("file "),
            each["messages"],
            show.percent(each["with"]),
            show.percent(each["without"]),
            _points(each["difference"]),
            " and ".join(map(_points, each["interval"] or ())),
        ]
        for number, each in enumerate(compared)
    ]
    show.table(columns, rows)
    click.echo()
    names = [f">without {_letter(number)}" for number in range(len(compared))]
    first = compared[0]["per_department"]
    by_department = (
        [name, figures["n"], show.percent(figures["with"])]
        + [show.percent(each["per_department"][name]["without"]) for each in compared]
        for name, figures in first.items()
    )
    show.table(["department", ">messages", ">with all", *names], by_department)


def _letter(number: int) -> str:
    return chr(ord("A") + number) if number < 26 else str(number + 1)


def _points(difference: float | None) -> str:
    return "" if difference is None else f"{100 * difference:+.1f}"


def _outcome(model: Trained, row: dict[str, Any]) -> str:
    if row["state"] == "saved":
        return f"The model {model.version} is in {row['path']}."
    return f"The model {model.version} {_standing(model, row['state'])}\nIt is registered in {row['registered_in']}."


def _standing(model: Trained, state: str) -> str:
    all_the_same = f"to use it all the same:  signpost models promote {model.version}"
    if state == registered.CHAMPION and model.version == model.parent:
        return "serves already: there was nothing new to learn."
    if not model.verdict.passed:
        return f"is {state}; what served before goes on serving."
    return {
        registered.CHAMPION: "is the champion now. To go back:  signpost models rollback",
        registered.SHADOW: "answers beside the champion now, and takes over if all is well:  signpost models shadow",
        registered.ROLLED_BACK: f"isn't promoted: you went back from this version; {all_the_same}",
        registered.CHALLENGER: f"isn't promoted: a person has to judge; {all_the_same}"
        if model.verdict.waits
        else "isn't promoted: another became champion meanwhile, or it has learnt what one had learnt that you went "
        f"back from, and little else; {all_the_same}",
    }.get(state, f"isn't promoted: it was known before, as {state}; {all_the_same}")


def print_figures(figures: dict[str, Any]) -> None:
    """Print a table by department, and the figures of the whole."""
    departments = figures.get("per_department", {})
    columns = ["department", ">messages", ">precision", ">recall"]
    rows = [[name, f["n"], show.percent(f["precision"]), show.percent(f["recall"])] for name, f in departments.items()]
    show.table(columns, rows, empty="There are no figures.")
    known = [(name, show.percent(figures.get(name))) for name in _FIGURES] + [("coverage", coverage(figures))]
    click.echo("\n" + ", ".join(f"{name.replace('_', ' ')} {text}" for name, text in known if text))


def coverage(figures: Mapping[str, Any]) -> str:
    """Return how much would be routed, and the share of wrong answers that its thresholds were meant for."""
    share, wrong = show.percent(figures.get("coverage")), figures.get("target_error")
    return f"{share} at {100 * wrong:g}% wrong" if share and wrong else share
