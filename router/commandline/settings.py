"""`check`, `channels` and `classifiers`: what the configuration says, and what it may say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from classifiers._corpus import OUT_OF_SCOPE, load_corpus
from config.load import uncovered
from config.reference import describe, schema_of
from router import plugins
from router.commandline import show
from router.commandline.frame import CONFIG_ERROR, DONE, NO, Command, Invocation
from router.commandline.model import champion
from router.errors import ConfigError, SignpostError

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.load import Configuration
    from router.errors import Problem
    from router.interfaces import Channel, ClassifierType
    from router.plugins import Plugins


@click.command(cls=Command, prints=True)
@click.pass_obj
def check(invocation: Invocation) -> int:
    """Check the configuration and list every problem.

    Nothing is opened and nothing is sent. Exit status 78 if there is a problem; remarks are no problem.
    """
    try:
        configuration = invocation.configuration(secrets=True)
    except ConfigError as error:
        if not invocation.json:
            raise
        show.as_json({"ok": False, "problems": [_problem(problem) for problem in error.problems], "remarks": []})
        return CONFIG_ERROR
    remarks = [*map(str, configuration.warnings), *_coverage(configuration)]
    if invocation.json:
        show.as_json({"ok": True, "problems": [], "remarks": remarks})
        return DONE
    for remark in remarks:
        click.echo(f"remark: {show.plain(remark)}")
    click.echo(
        f"{configuration.path} is in order: {len(configuration.channels)} channels, "
        f"{len(configuration.departments)} departments, {len(configuration.schools)} schools, "
        f"{len(configuration.rules)} rules."
    )
    return DONE


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "path": problem.path,
        "what": problem.what,
        "hint": problem.hint,
    }


def _coverage(configuration: Configuration) -> list[str]:
    """Return what the model knows and no department covers, and the other way round."""
    meets = uncovered(_labels(configuration), configuration)
    remarks = [f"the model abstains on '{label}': no department covers it" for label in meets.unclaimed]
    return remarks + [
        f"the model doesn't know '{label}', which {department} covers, until it has learnt it from corrections or files"
        for department, label in meets.unknown
    ]


def _labels(configuration: Configuration) -> set[str]:
    """Return the labels of the champion; where the store has none (or can't be read), those of the bundled corpus."""
    try:
        found = champion(configuration)
    except SignpostError:
        found = None
    if found:
        return set(found[0].labels)
    return {str(row["department"]) for row in load_corpus().rows} - {OUT_OF_SCOPE}


@click.command(cls=Command, prints=True)
@click.argument("names", metavar="[TYPE]...", nargs=-1)
@click.pass_obj
def channels(invocation: Invocation, names: tuple[str, ...]) -> int:
    """List the channel types, their settings and defaults.

    With TYPE, the settings of that type; with --json, all as JSON schema.
    """
    return _types(invocation, plugins.channel_types(), names, _ways)


def _ways(channel: Channel) -> dict[str, bool]:
    return {
        "source": channel.source is not None,
        "webhook": channel.webhook is not None,
        "sink": channel.sink is not None,
    }


@click.command(cls=Command, prints=True)
@click.argument("names", metavar="[TYPE]...", nargs=-1)
@click.pass_obj
def classifiers(invocation: Invocation, names: tuple[str, ...]) -> int:
    """List the classifier types, their settings and defaults.

    With TYPE, the settings of that type; with --json, all as JSON schema.
    """
    return _types(invocation, plugins.classifier_types(), names, lambda _type: {})


def _types(
    invocation: Invocation, types: Plugins[Any], names: tuple[str, ...], ways: Callable[[Any], dict[str, bool]]
) -> int:
    found, broken = _load(types, names or tuple(types.names()))
    if invocation.json:
        show.as_json(
            {
                name: {"summary": each.summary, **ways(each), "settings": schema_of(each.settings)}
                for name, each in found.items()
            }
        )
    elif names:
        for name, each in found.items():
            _print_settings(name, each)
    else:
        columns = ["type", "is", "what it is"]
        rows = [
            [name, ", ".join(w for w, on in ways(each).items() if on), each.summary] for name, each in found.items()
        ]
        with_ways = any(row[1] for row in rows)
        show.table(
            columns if with_ways else [columns[0], columns[2]], rows if with_ways else [[r[0], r[2]] for r in rows]
        )
    for problem in broken:
        click.echo(f"signpost: {problem}", err=True)
    return NO if broken else DONE


def _load(types: Plugins[Any], names: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
    """Return the types that load, and what is wrong with the others: one broken plugin doesn't hide the rest."""
    found: dict[str, Any] = {}
    broken: list[str] = []
    for name in names:
        try:
            found[name] = types.get(name)
        except SignpostError as error:
            broken.append(str(error))
    return found, broken


def _print_settings(name: str, each: Channel | ClassifierType) -> None:
    show.heading(f"{name}: {each.summary}")
    rows = [
        [row.path, row.type, "(required)" if row.required else row.default, row.description]
        for row in describe(each.settings)
    ]
    show.table(["setting", "value", "default", "what it is for"], rows, empty="It has no settings.")
