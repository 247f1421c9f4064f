"""`replay`: what another model or configuration would have done with past messages. Reads only, sends nothing."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from router.commandline import progress, show
from router.commandline.frame import Command, Invocation
from router.commandline.model import Loaded, from_directory, quiet_log, serving
from router.commandline.reach import look, require_store
from router.errors import NotFound, SignpostError
from router.interfaces import SystemClock
from router.learning import registry
from router.learning.heirs import heirs
from router.plugins import classifier_types
from router.replaying import Comparison
from router.serving import thresholds
from router.store import decided as past
from router.trial import BATCH, Trial

if TYPE_CHECKING:
    from datetime import datetime

    from config.load import Configuration
    from router.interfaces import Progress
    from router.store.engine import Store

_DAY = click.DateTime(["%Y-%m-%d"])
_MOST_CHANGES = 30  # rows of the table


@click.command(cls=Command, prints=True)
@click.option(
    "--model",
    metavar="VERSION|DIR",
    default="",
    help="Decide by this version of the registry, or a model in a folder (default: the champion).",
)
@click.option("--since", type=_DAY, metavar="DATE", help="Only messages received from this day on.")
@click.option("--limit", type=click.IntRange(1), help="At most so many messages, the newest (default: all).")
@click.pass_obj
def replay(invocation: Invocation, model: str, since: datetime | None, limit: int | None) -> None:
    """Decide past messages again by another model or configuration, and show what would change.

    Nothing is written or sent, and a running daemon isn't disturbed. For another configuration name it with --config:
    its `store` is the one that is read. What followed a conversation stays with it, and is left out.
    """
    configuration = invocation.configuration()
    require_store(configuration, "there is nothing to replay")
    trial, name = _trial(configuration, model)
    start = since.replace(tzinfo=ZoneInfo(configuration.organization.timezone)) if since else None
    with progress.shown_later("Replaying") as tell:
        work = partial(_replay, trial=trial, since=start, limit=limit, comparison=_comparison(configuration), tell=tell)
        compared = look(configuration, work, None)
    assert compared is not None  # there is a store
    view = {"model": name, "since": start.isoformat() if start else None, **compared.view()}
    if invocation.json:
        show.as_json(view)
    else:
        _print(view)


def _trial(configuration: Configuration, model: str) -> tuple[Trial, str]:
    classifier, meta = _model(configuration, model)
    limits = thresholds(meta, configuration.routing.target_error)
    made = Trial(classifier, limits, clock=SystemClock(), log=quiet_log(), configuration=configuration)
    return made, classifier.version


def _model(configuration: Configuration, model: str) -> Loaded:
    """Return the champion, a version of the registry, or a model in a folder."""
    if not model:
        return serving(configuration)
    if Path(model).is_dir():
        return from_directory(Path(model))

    async def registered(store: Store) -> Loaded:
        row = await registry.find(store, model)
        return await registry.load_version(store, row, classifier_types())

    try:
        found = look(configuration, registered, None)
    except NotFound as error:
        raise SignpostError(f"{error}. Nor is there a folder '{model}'") from error
    assert found is not None
    return found


def _comparison(configuration: Configuration) -> Comparison:
    return Comparison(heirs=heirs(configuration.departments))


async def _replay(
    store: Store, *, trial: Trial, since: datetime | None, limit: int | None, comparison: Comparison, tell: Progress
) -> Comparison:
    """Go through the messages, newest first, a batch at a time: each is read, decided and counted, and forgotten."""
    total, seen, last = await store.read(lambda c: past.count(c, since, limit)), 0, None
    while seen < total:
        most = min(BATCH, total - seen)
        batch = await store.read(partial(past.page, since=since, before=last, limit=most))
        if not batch:
            break  # fewer than there were: some were passed on or held meanwhile
        asked = [each for each in batch if not comparison.leaves_out(each)]
        verdicts = await asyncio.to_thread(trial.verdicts, [each.message for each in asked]) if asked else []
        for each, verdict in zip(asked, verdicts, strict=True):
            comparison.add(each, verdict)
        seen, last = seen + len(batch), batch[-1].message
        tell(f"{seen} of {total} messages", seen / total)
    return comparison


# --- what people read -------------------------------------------------------------------------------------------------


def _print(view: dict[str, Any]) -> None:
    n, changed, left_out = view["messages"], view["changed"], view["left_out"]
    click.echo(f"{n} messages decided again by the model {view['model']}: {changed} would go elsewhere.")
    apart = {"conversations": "follow a conversation", "people": "were decided about by people alone"}
    for why, count in left_out.items():
        if count:
            click.echo(f"Left out: {count} that {apart[why]}.")
    _print_summary(view)
    rows = [[each["department"], each["before"], each["after"], each["same"]] for each in view["departments"]]
    if rows:
        click.echo()
        show.table(["department", ">then", ">now", ">the same messages"], rows)
    if view["changes"]:
        click.echo()
        _print_changes(view["changes"])


def _print_summary(view: dict[str, Any]) -> None:
    left, urgent, said = view["abstained"], view["urgent"], view["corrections"]
    alarms = [
        f"{urgent[what]['n']} {words} ({', '.join(urgent[what]['examples'])})"
        for what, words in (("gained", "would be urgent now"), ("lost", "wouldn't be any more"))
        if urgent[what]["n"]
    ]
    right = f"of {said['n']} confirmed ones {said['after']} would be right, {said['before']} were" if said["n"] else ""
    show.facts(
        [
            ("left to a person", f"{left['before']} then, {left['after']} now"),
            ("urgent", ", ".join(alarms) or "the same"),
            ("corrections", right or "none is confirmed"),
        ]
    )


def _print_changes(changes: list[dict[str, Any]]) -> None:
    rows = [[each["from"], each["to"], each["n"], " ".join(each["examples"])] for each in changes[:_MOST_CHANGES]]
    show.table(["from", "to", ">messages", "such as"], rows)
    if len(changes) > _MOST_CHANGES:
        rest = sum(each["n"] for each in changes[_MOST_CHANGES:])
        click.echo(f"and {rest} more in other ways: --json has them all.")
    click.echo("\nLook at one:  signpost explain ID")
