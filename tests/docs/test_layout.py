"""The rules of the layout: short files, arrows that point one way, and help for every command."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from router.cli import COMMANDS, root

HERE = Path(__file__).parents[2]
SOURCES = ("router", "channels", "classifiers", "config")
PACKAGES = {
    "router",
    *SOURCES,
    "router.store",
    "router.learning",
    "router.routing",
    "router.web",
    "router.console",
    "router.demo",
}
LONGEST = 350
# Who puts everything together: only these may know the configuration and each other.
ROOTS = (
    "router.app", "router.assemble", "router.parts", "router.shift", "router.answers.build", "router.trial",
    "router.learning.build", "router.routing.build", "router.console.build", "router.cli",
    "router.commandline", "router.__main__",
)  # fmt: skip
NOUNS = {
    "router.again", "router.records", "router.errors", "router.findings", "router.news", "router.remarked",
    "router.whereabouts", "router.interfaces",
}  # fmt: skip
MAY_IMPORT = {
    "router.records": set(),
    "router.again": {"router.records"},
    "router.errors": set(),
    "router.findings": set(),
    "router.news": set(),
    "router.remarked": set(),
    "router.whereabouts": set(),
    "router.interfaces": {"router.records", "router.errors", "router.findings", "router.news", "router.whereabouts"},
    "router.aside": set(),
    "router.failpoints": NOUNS,
    "router.settings": {*NOUNS, "router.colours"},
    "router.secrets": {*NOUNS, "router.settings"},
    "router.contacts": NOUNS,
    "router.plugins": {*NOUNS, "channels", "classifiers"},
    "router.acknowledging": {*NOUNS, "router.settings"},
    "channels": {
        *NOUNS,
        "router.settings",
        "router.secrets",
        "router.acknowledging",
        "router.aside",
        "router.failpoints",
    },
    "classifiers": NOUNS,
    "config": {
        *NOUNS,
        "router.settings",
        "router.secrets",
        "router.acknowledging",
        "router.plugins",
        "router.contacts",
        "router.colours",
    },
}


def _files(*folders):
    return sorted(file for folder in folders for file in (HERE / folder).rglob("*.py"))


def _module(file):
    return ".".join(file.relative_to(HERE).with_suffix("").parts).removesuffix(".__init__")


def _imports(file):
    """Yield every one of our modules that a file imports, for types or in a function too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = node.module in PACKAGES
            names = [f"{node.module}.{alias.name}" if inside else node.module for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in SOURCES)


def _below(module, packages):
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _commands(command, path=()):
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _commands(command.get_command(context, name), (*path, name))


def test_no_file_is_longer_than_a_reader_can_take_in():
    """No source or test file has more than 350 lines."""
    files = [*_files(*SOURCES, "tests", "benchmarks"), HERE / "Makefile", *(HERE / "deploy").glob("*.sh")]
    long = {str(f.relative_to(HERE)): n for f in files if (n := len(f.read_text().splitlines())) > LONGEST}
    assert not long


def test_every_module_says_what_it_is_for():
    """Each module that holds anything has a docstring."""
    silent = [_module(f) for f in _files(*SOURCES) if f.read_text().strip() and not ast.get_docstring(_tree(f))]
    assert not silent


def _tree(file):
    return ast.parse(file.read_text())


@pytest.mark.parametrize("importer", MAY_IMPORT)
def test_arrows_point_one_way(importer):
    """Nouns know nothing, seams know nouns, channels and classifiers know seams; nobody looks back."""
    allowed = MAY_IMPORT[importer] | ({importer} if importer in SOURCES else set())
    wrong = [
        f"{_module(file)} imports {name}"
        for file in _files(*SOURCES)
        if _below(_module(file), [importer])
        for name in _imports(file)
        if not _below(name, allowed)
    ]
    assert not wrong


def test_only_the_roots_know_the_configuration_and_each_other():
    """What works in the middle takes what it needs as arguments, and never a whole configuration."""
    wrong = [
        f"{_module(file)} imports {name}"
        for file in _files("router")
        if not _below(_module(file), ROOTS)
        for name in _imports(file)
        if _below(name, [*ROOTS, "config"])
    ]
    assert not wrong


def test_nobody_imports_a_channel_or_classifier_type():
    """Types are found by the folder they are in: the core shares only their helpers, whose names begin with `_`."""
    wrong = [
        f"{_module(file)} imports {name}"
        for file in _files("router", "config")
        for name in _imports(file)
        if name.startswith(("channels.", "classifiers.")) and not name.split(".")[1].startswith("_")
    ]
    assert not wrong


def test_every_command_and_option_has_a_help_sentence():
    """`--help` explains everything, in sentences that end with a full stop."""
    silent = []
    for path, command in _commands(root):
        if not (command.help or "").split("\n")[0].rstrip().endswith("."):
            silent.append(" ".join(path))
        silent += [
            f"{' '.join(path)} {option.name}"
            for option in command.params
            if isinstance(option, click.Option) and not (option.help or "").rstrip(")").endswith(".")
        ]
    assert not silent


def test_the_table_of_commands_says_what_each_command_says():
    """The list under `signpost --help` repeats the first sentence of each command's own help."""
    told = {name: entry.help for name, entry in COMMANDS.items()}
    own = {path[0]: command.help.split("\n")[0] for path, command in _commands(root) if len(path) == 1}
    assert told == own


def test_every_command_takes_the_configuration():
    """`--config` goes with every command, before or after its name."""
    without = [path for path, command in _commands(root) if "config" not in {p.name for p in command.params}]
    assert not without


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    """Help needs neither the model's libraries nor the store's nor the web server's."""
    code = (
        "import json, sys\nfrom router.cli import run\nrun(sys.argv[1:])\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stderr.splitlines()[-1]))
    assert "signpost" in done.stdout
    assert not loaded & {"sklearn", "scipy", "numpy", "sqlalchemy", "aiohttp", "pydantic", "ruamel"}
