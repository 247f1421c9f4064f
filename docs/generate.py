"""Write the reference from the code itself: `python docs/generate.py [FOLDER README]`.

By default docs/reference and the bundled corpus' README, which gets its counts. Settings come from pydantic models,
commands from click, metrics from their registry; a test compares the result.
"""  # noqa: INP001  a program beside the pages it writes, not a package

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click
from prometheus_client.metrics import MetricWrapperBase

from classifiers._corpus import OUT_OF_SCOPE, load_corpus
from config.reference import describe, json_schema
from router.cli import root
from router.metrics import Metrics
from router.plugins import channel_types, classifier_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from config.reference import Row
    from router.interfaces import Channel

_NOTE = "<!-- Written by docs/generate.py: change the code, then run it again. -->"
_EVERYWHERE = ("`--config", "`--help", "`-h")
# Settings that are read and checked, but that nothing acts on yet; a test looks whether that is still so.
_DURATIONS = (
    "A duration is written with its unit (`30s`, `5m`, `2h`, `1d`), a rate as `30/min`, a time of day as `07:00`.\n"
    "Text that looks like a number, such as a telephone number, needs quotes."
)


def pages() -> dict[str, str]:
    """Return the text of every file of the reference, by file name."""
    return {
        "configuration.md": _configuration(),
        "channels.md": _channels(),
        "classifiers.md": _classifiers(),
        "commands.md": _commands(),
        "metrics.md": _metrics(),
        "signpost.schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
    }


def _page(title: str, *parts: str) -> str:
    return "\n\n".join([f"# {title}", _NOTE, *(part.strip() for part in parts if part.strip())]) + "\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


# --- settings ---------------------------------------------------------------------------------------------------------


def _settings(rows: Iterable[Row]) -> str:
    columns = ["setting", "value", "default", "what it is for"]
    shown = [
        [_code(row.path), row.type, "**required**" if row.required else _code(row.default), row.description]
        for row in rows
    ]
    return _table(columns, shown) if shown else "It has no settings."


def _configuration() -> str:
    rows = describe()
    sections = [row for row in rows if "." not in row.path.replace("[]", "")]
    parts = []
    for section in sections:
        below = [row for row in rows if row.path.startswith((f"{section.path}.", f"{section.path}[]"))]
        table = _settings(below) if below else _elsewhere(section.path)
        need = " **Required.**" if section.required else ""
        parts.append(f"## {section.path}\n\n{section.description}{need}\n\n{table}")
    intro = (
        "One YAML 1.2 file, by default `config/signpost.yaml`, which is commented throughout.\n"
        "`NAME` stands for a name of your own, `[]` for each item of a list.\n"
        f"{_DURATIONS}\n\n"
        "Editors that know YAML language servers check while you type, with this first line "
        "(the path as seen from your file):\n"
        "`# yaml-language-server: $schema=../docs/reference/signpost.schema.json`."
    )
    return _page("Reference: configuration", intro, *parts)


def _elsewhere(section: str) -> str:
    page = {"channels": "channels", "classifier": "classifiers"}[section]
    return f"`type` chooses one of the [{page}]({page}.md); the other settings are that type's own."


def _channels() -> str:
    types = channel_types()
    intro = (
        "Each entry under `channels:` has a name of your own, a `type`, and that type's settings.\n"
        "A *source* fetches or listens, a *webhook* is called over HTTP, a *sink* delivers.\n"
        f"{_DURATIONS}"
    )
    parts = []
    for name in types.names():
        channel = types.get(name)
        parts.append(f"## {name}\n\n{_ways(channel)}: {channel.summary}\n\n{_settings(describe(channel.settings))}")
    return _page("Reference: channel types", intro, *parts)


def _ways(channel: Channel) -> str:
    ways = {"Source": channel.source, "webhook": channel.webhook, "sink": channel.sink}
    said = " and ".join(name for name, factory in ways.items() if factory)
    return said[:1].upper() + said[1:]


def _classifiers() -> str:
    types = classifier_types()
    parts = []
    for name in types.names():
        kind = types.get(name)
        parts.append(f"## {name}\n\n{kind.summary}\n\n{_settings(describe(kind.settings))}")
    return _page(
        "Reference: classifier types", "The block `classifier:` has a `type` and that type's settings.", *parts
    )


# --- commands ---------------------------------------------------------------------------------------------------------


def _commands() -> str:
    intro = (
        "Commands that look or change something reach the running daemon through its control socket;\n"
        "if none runs, they open the store themselves.\n"
        "`--config PATH` may stand before or after the command's name; the environment variable `SIGNPOST_CONFIG` "
        "does the same.\n"
        "`--help` goes with every command.\n\n"
        "Exit status: 0 done, 1 the answer is no (a gate refused, there is no such message), 2 wrong usage, "
        "78 the configuration is wrong."
    )
    context = click.Context(root, info_name="signpost")
    found = [_command(command, context) for command, context in _walk(root, context) if context.parent is not None]
    return _page("Reference: commands", intro, *found)


def _walk(command: click.Command, context: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    yield command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from _walk(below, click.Context(below, parent=context, info_name=name))


def _command(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    heading = "#" * (2 + context.command_path.count(" ") - 1)
    records = [record for param in command.get_params(context) if (record := param.get_help_record(context))]
    shown = [[_code(name.replace("INTEGER RANGE", "NUMBER")), text] for name, text in records if text]
    shown = [row for row in shown if not row[0].startswith(_EVERYWHERE)]
    table = "" if isinstance(command, click.Group) or not shown else _table(["option", "what it does"], shown)
    return f"{heading} {context.command_path}\n\n```\n{usage}\n```\n\n{_paragraphs(command.help or '')}\n\n{table}"


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


# --- metrics ----------------------------------------------------------------------------------------------------------


def _metrics() -> str:
    intro = (
        "`/metrics` answers in Prometheus' text format. "
        "Counts are by channel, department and reason, never by person.\n"
        "Counters begin again at 0 when the daemon starts; gauges show the store as it is."
    )
    collectors = Metrics().registry._collector_to_names
    made = [metric for metric in collectors if isinstance(metric, MetricWrapperBase)]
    rows = [_metric(metric) for metric in made]
    return _page("Reference: metrics", intro, _table(["metric", "kind", "labels", "what it says"], rows))


def _metric(metric: MetricWrapperBase) -> list[str]:
    family = next(iter(metric.describe()))
    suffix = "_total" if family.type == "counter" else ""
    labels = ", ".join(_code(name) for name in metric._labelnames)  # prometheus_client has no public way to ask
    return [_code(family.name + suffix), family.type, labels, f"{family.documentation}."]


# --- the corpus -------------------------------------------------------------------------------------------------------

CORPUS = Path(__file__).parents[1] / "classifiers" / "corpus"
_COUNTS = ("<!-- counts: written by docs/generate.py -->\n", "<!-- end of counts -->")


def corpus_readme() -> str:
    """Return the README of the bundled corpus with the counts as they are now."""
    before, begin, rest = (CORPUS / "README.md").read_text(encoding="utf-8").partition(_COUNTS[0])
    return f"{before}{begin}\n{_counts()}\n\n{_COUNTS[1]}{rest.partition(_COUNTS[1])[2]}"


def _counts() -> str:
    corpus = load_corpus(CORPUS)
    counts: Counter[tuple[str, str]] = Counter()
    for row in corpus.rows:
        language = row["language"] if row["language"] in {"en", "es"} else "other languages"
        facts = ["all", language, row["medium"], *(["urgent"] if row["urgent"] else [])]
        counts.update((name, fact) for name in (row["department"], "**all**") for fact in facts)
    for department, language, _term in set(corpus.terms):
        counts.update((name, f"terms {language}") for name in (department, "**all**"))
    columns = ["all", "en", "es", "other languages", "email", "sms", "web_form", "urgent", "terms en", "terms es"]
    departments = sorted({name for name, _fact in counts} - {OUT_OF_SCOPE, "**all**"})
    rows = [
        [name, *(f"{counts[name, column]:,}" for column in columns)] for name in (*departments, OUT_OF_SCOPE, "**all**")
    ]
    return _table(["department", *columns], rows)


def main(folder: Path, readme: Path) -> None:
    """Write every page into the folder, and the corpus' README with its counts."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
    readme.write_text(corpus_readme(), encoding="utf-8")


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    main(*(given or (Path(__file__).with_name("reference"), CORPUS / "README.md")))
