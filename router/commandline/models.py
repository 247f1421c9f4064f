"""`models`: the registry, what a challenger would do, promoting one, and going back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from classifiers._corpus import load_corpus
from router.commandline import show
from router.commandline.desk import said_by
from router.commandline.frame import CommandGroup, Invocation
from router.commandline.learning import coverage, print_figures
from router.commandline.reach import ask
from router.learning.basis import basis, is_older
from router.learning.card import card as card_of
from router.learning.outvote import told
from router.store import models as registered

if TYPE_CHECKING:
    from collections.abc import Mapping


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
            row["state"] + (", pinned" if row["pinned"] else ""),
            row["type"],
            row["created_at"],
            show.percent(row["accuracy"]),
            coverage(row),
            row["parent"],
        ]
        for row in rows
    )
    show.table(columns, shown, empty="No model has been registered yet; the daemon does so at its first start.")
    champion = next((row["version"] for row in rows if row["state"] == registered.CHAMPION), "")
    if champion and _is_older(invocation, champion):
        click.echo(
            "\nA newer bundled model exists than the champion goes back to. What has learnt from your own messages "
            "stays; the next training learns from the newer bundled ones, too (signpost train)."
        )


def _is_older(invocation: Invocation, version: str) -> bool:
    """Return whether a model has learnt from the bundled messages of a former version."""
    configured = invocation.configuration().classifier
    metrics = ask(invocation.configuration(), "models_show", version=version)["metrics"]
    return is_older(metrics, lambda: basis(configured.classifier, configured.settings, load_corpus()))


@models.command("show", prints=True)
@click.argument("version", default="", required=False)
@click.option("--card", is_flag=True, help="Print a model card in Markdown: what it is for, was made of, and can do.")
@click.pass_obj
def models_show(invocation: Invocation, version: str, card: bool) -> None:
    """Show one model's figures, what it learnt from, and the gate's verdict (default: the champion)."""
    view = ask(invocation.configuration(), "models_show", version=version)
    if invocation.json:
        show.as_json(view)
    elif card:
        click.echo(show.plain(card_of(view)), nl=False)
    else:
        _print(view)


def _print(view: dict[str, Any]) -> None:
    metrics, verdict, history = view.pop("metrics"), view.pop("verdict"), view.pop("history")
    show.facts(view.items())
    click.echo()
    print_figures(metrics.get("held_out") or {})
    if urgent := metrics.get("urgent"):
        recall, precision, least = (show.percent(urgent[name]) for name in ("recall", "precision", "threshold"))
        click.echo(f"\nurgent from {least} on, which finds {recall} of {urgent['rows']}, {precision} of them rightly")
    for sentence in told(metrics.get("outvoted") or ()):
        click.echo(show.plain(sentence))
    show.heading(f"The gate: {verdict.get('sentence', '')}")
    if remark := verdict.get("remark"):
        click.echo(f"{show.plain(remark)}\n")
    columns = ["check", ">messages", ">before", ">this model", "outcome"]
    checks = verdict.get("checks", [])
    rows = [
        [c["what"], c["n"], show.percent(c["champion"]), show.percent(c["challenger"]), c["outcome"]] for c in checks
    ]
    if rows:
        show.table(columns, rows)
    show.heading("What became of it:")
    show.table(["at", "what", "by", "why"], [[each["at"], each["what"], each["by"], each["why"]] for each in history])


@models.command("shadow", prints=True)
@click.argument("version", default="", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many messages.")
@click.pass_obj
def models_shadow(invocation: Invocation, version: str, limit: int) -> None:
    """Show what a challenger would do with live messages, beside the champion (default: the one being tried)."""
    view = ask(invocation.configuration(), "models_shadow", version=version, limit=limit)
    if invocation.json:
        show.as_json(view)
        return
    click.echo(
        f"The model {view['version']} ({view['state']}) beside {view['champion']}: {view['n']} messages compared, "
        f"{view['different']} to another department or person."
    )
    _print_counts(view)
    columns = ["message", "decided", "champion", ">sure", "challenger", ">sure", "alarm"]
    rows = [
        [
            each["message_id"],
            each["decided_at"],
            each["before"] or "(a person)",
            show.percent(each["before_confidence"]),
            each["after"] or "(a person)",
            show.percent(each["after_confidence"]),
            "lost" if each["alarm_lost"] else "",
        ]
        for each in view["differences"]
    ]
    show.table(columns, rows, empty="They have agreed on every message so far.")


def _print_counts(view: Mapping[str, Any]) -> None:
    click.echo(f"Left to a person: {view['before_abstained']} by the champion, {view['after_abstained']} by it.")
    if view["judged"]:
        click.echo(
            f"People have said where {view['judged']} of them belong: the champion had {view['before_right']} right, "
            f"it {view['after_right']}; it would have treated {view['better']} better and {view['worse']} worse."
        )
    click.echo()


@models.command("promote", prints=True)
@click.argument("version")
@said_by
@click.pass_obj
def models_promote(invocation: Invocation, version: str, by: str) -> None:
    """Make a model the champion, whatever the gate said; a running daemon uses it at once."""
    _now_serves(invocation, ask(invocation.configuration(), "models_promote", version=version, by=by))


@models.command("rollback", prints=True)
@said_by
@click.option("--why", default="", metavar="TEXT", help="For those who look at the history later.")
@click.pass_obj
def models_rollback(invocation: Invocation, by: str, why: str) -> None:
    """Go back to the model that served before; a running daemon uses it at once."""
    _now_serves(invocation, ask(invocation.configuration(), "models_rollback", by=by, why=why))


@models.command("pin", prints=True)
@click.argument("version")
@click.option("--off", is_flag=True, help="Let it be dropped again.")
@said_by
@click.pass_obj
def models_pin(invocation: Invocation, version: str, off: bool, by: str) -> None:
    """Keep a model for good, whatever `learning.keep_models` says."""
    row = ask(invocation.configuration(), "models_pin", version=version, pinned=not off, by=by)
    if invocation.json:
        show.as_json(row)
    else:
        click.echo(f"The model {row['version']} " + ("may be dropped again." if off else "is kept for good."))


def _now_serves(invocation: Invocation, row: dict[str, Any]) -> None:
    if invocation.json:
        show.as_json(row)
    else:
        click.echo(f"The model {row['version']} is the champion now.")
