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
from router.settings import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from config.load import Configuration
    from router.errors import Problem
    from router.interfaces import Channel, ClassifierType
    from router.plugins import Plugins


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float):
            return value
        try:
            seconds = parse_duration(value).total_seconds()
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return seconds or self.fail("must be longer than 0s", param, ctx)


@click.command(cls=Command, prints=True)
@click.option("--connect", is_flag=True, help="Also open the store, the pages and every channel, and say what to mend.")
@click.option("--within", type=_Duration(), default="15s", help="With --connect: how long each may take (default 15s).")
@click.pass_obj
def check(invocation: Invocation, connect: bool, within: float) -> int:
    """Check the configuration and list every problem.

    Nothing is opened, unless --connect says so, and nothing is sent in any case. Exit status 78 if the configuration
    has a problem, 1 if something can't be connected to; remarks are no problem.
    """
    try:
        configuration = invocation.configuration(secrets=True)
    except ConfigError as error:
        if not invocation.json:
            raise
        show.as_json({"ok": False, "problems": [_problem(problem) for problem in error.problems], "remarks": []})
        return CONFIG_ERROR
    return _connected(invocation, configuration, within) if connect else _in_order(invocation, configuration)


def _in_order(invocation: Invocation, configuration: Configuration) -> int:
    remarks = [*map(str, configuration.warnings), *_coverage(configuration), *_lacking(configuration)]
    if invocation.json:
        show.as_json({"ok": True, "problems": [], "remarks": remarks})
        return DONE
    _say_in_order(configuration, remarks)
    return DONE


def _lacking(configuration: Configuration) -> Iterable[str]:
    """Yield what is missing on this machine to train the model that is asked for."""
    configured = configuration.classifier
    if what := configured.classifier.lacks(configured.settings):
        yield f"{configuration.path}: classifier: {what}"


def _say_in_order(configuration: Configuration, remarks: Iterable[str]) -> None:
    for remark in remarks:
        click.echo(f"remark: {show.plain(remark)}")
    click.echo(
        f"{configuration.path} is in order: {len(configuration.channels)} channels, "
        f"{len(configuration.departments)} departments, {len(configuration.schools)} schools, "
        f"{len(configuration.rules)} rules."
    )


def _connected(invocation: Invocation, configuration: Configuration, within_s: float) -> int:
    from router.commandline import connecting  # noqa: PLC0415  what a daemon is made of: not for a mere look at a file

    remarks = [str(warning) for warning in configuration.warnings]
    if not invocation.json:
        _say_in_order(configuration, remarks)
    connected = connecting.connect(configuration, within_s, quiet=invocation.json)
    if invocation.json:
        show.as_json({"ok": connected.ok, "problems": [], "remarks": remarks, **connecting.as_json(connected)})
    else:
        click.echo(f"\n{connecting.summary(connected)}")
    return DONE if connected.ok else NO


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
    labels = ", ".join(repr(label) for label in meets.unclaimed)
    them = "it" if len(meets.unclaimed) == 1 else "them"
    remarks = [f"the model abstains on {labels}: no department covers {them}"] if labels else []
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
