"""The documentation says what is so: links lead somewhere, configurations load, commands exist."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from ruamel.yaml import YAML

from config._learning import Learning
from config.cases import load_cases
from config.load import load
from config.reference import describe
from router.cli import root
from router.commandline.frame import Invocation
from router.metrics import Metrics
from router.plugins import channel_types, classifier_types
from router.records import State

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
HAND_WRITTEN = [page for page in PAGES if page.parent.name != "reference"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
PROGRAM = re.compile(r"^(?:\$ )?(?:[^|]*\| )?(?:\.venv/bin/)?signpost (.*)$")
STANDS_FOR = {"message.txt": __file__, "cases.yaml": __file__, "my-model": str(DOCS)}  # an example only names them
LOGGERS = {"debug", "info", "warning", "error", "exception"}


def _id(page):
    return str(page.relative_to(ROOT))


def _blocks(*languages):
    return [
        pytest.param(text, id=f"{_id(page)}-{number}")
        for page in HAND_WRITTEN
        for number, (language, text) in enumerate(FENCE.findall(page.read_text()), start=1)
        if language in languages
    ]


def _prose(page):
    return FENCE.sub("", page.read_text())


def _anchors(page):
    """Yield the anchors of a page's headings, the way code hosts make them."""
    for heading in re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _commands(command=root, path=()):
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _commands(command.get_command(context, name), (*path, name))


# --- links, words, make -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_links_lead_somewhere(page):
    """Every relative link of a page leads to a file that is there, and to a heading of it."""
    for link in LINK.findall(_prose(page)):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        assert not anchor or anchor in _anchors(file), link


def test_every_page_can_be_found():
    """Every page below docs is linked from docs/README.md, and that from README.md."""
    linked = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall(_prose(DOCS / "README.md"))}
    assert {page for page in PAGES if DOCS in page.parents} - {DOCS / "README.md"} <= linked
    assert "docs/README.md" in LINK.findall(_prose(ROOT / "README.md"))


def test_every_picture_is_shown():
    """Every picture is used by a page, and no page shows one that isn't there (see the test of links)."""
    shown = {(page.parent / link).resolve() for page in PAGES for link in LINK.findall(_prose(page))}
    assert set((DOCS / "images").glob("*")) <= shown


def test_the_commands_of_make_exist():
    """Every `make …` that a page names is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for page in PAGES for name in re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)}
    assert {"demo", "test"} <= named <= targets


# --- configurations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", _blocks("yaml"))
def test_configurations_in_the_pages_are_good(text, tmp_path):
    """A whole configuration loads without a problem; a fragment has only sections that there are; so do cases."""
    data = YAML(typ="safe", pure=True).load(text)
    if "cases" in data:
        (tmp_path / "cases.yaml").write_text(text)
        assert load_cases(tmp_path / "cases.yaml", load(ROOT / "config" / "signpost.yaml", env={}))
        return
    if "organization" not in data:
        assert set(data) <= {row.path.partition(".")[0] for row in describe()}
        return
    path = tmp_path / "signpost.yaml"
    path.write_text(text)
    assert load(path, env={}, secrets=False).warnings == ()


@pytest.mark.parametrize("text", [block for block in _blocks("yaml") if "channels:" in block.values[0]])
def test_channels_in_the_pages_are_good(text):
    """Every channel that a page shows is of a known type and has settings that type accepts."""
    types = channel_types()
    for block in YAML(typ="safe", pure=True).load(text)["channels"].values():
        name = block.pop("type")
        if name != "jsonl":  # the sample; it has a test of its own
            types.get(name).settings.model_validate(block)


# --- commands ---------------------------------------------------------------------------------------------------------


def _named_commands():
    """Return every command of the pages, in blocks and in sentences."""
    found = {}
    for page in HAND_WRITTEN:
        said = [f"signpost {words}" for words in re.findall(r"`signpost ([^`]+)`", _prose(page))]
        blocks = "\n".join(text for _language, text in FENCE.findall(page.read_text()))
        for line in [*said, *blocks.replace("\\\n", " ").splitlines()]:
            if match := PROGRAM.match(line):
                found.setdefault(match[1], _id(page))
    return [pytest.param(words, id=f"{page}: {words}") for words, page in found.items()]


@pytest.mark.parametrize("words", _named_commands())
def test_commands_in_the_pages_exist(words):
    """Every command that a page shows is understood: its name, its options, its arguments."""
    known = dict(_commands())
    arguments, path = [STANDS_FOR.get(word, word) for word in shlex.split(words)], ()
    if arguments[0] == "--config":
        arguments = arguments[2:]
    while arguments and (*path, arguments[0]) in known:
        path = (*path, arguments.pop(0))
    assert path, words
    if arguments:  # a sentence may name a command without them
        with known[path].make_context("signpost", arguments, obj=Invocation()):
            pass  # parsed, and nothing was done


def test_the_configuration_of_the_readme_demo_is_checked_by_the_command():
    """`signpost --config config/demo.yaml check`, as the quickstart means it, says that all is in order."""
    command = [sys.executable, "-m", "router", "--config", "config/demo.yaml", "check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "is in order" in done.stdout


# --- the reference ----------------------------------------------------------------------------------------------------


def test_the_reference_is_up_to_date(tmp_path):
    """What docs/generate.py writes now is what lies in docs/reference and in the corpus' README."""
    folder, readme = tmp_path / "reference", tmp_path / "README.md"
    command = [sys.executable, "docs/generate.py", str(folder), str(readme)]
    subprocess.run(command, cwd=ROOT, check=True, env={"PYTHONPATH": str(ROOT)})
    present = (ROOT / "classifiers" / "corpus" / "README.md").read_text()
    assert readme.read_text() == present, "run: python docs/generate.py"
    fresh = {path.name: path.read_text() for path in folder.iterdir()}
    present = {path.name: path.read_text() for path in (DOCS / "reference").iterdir()}
    assert fresh == present, "run: python docs/generate.py"


def test_every_setting_is_in_the_reference():
    """Settings of the file, of every channel type and of every classifier type."""
    pages = {
        name: (DOCS / "reference" / f"{name}.md").read_text() for name in ("configuration", "channels", "classifiers")
    }
    for row in describe():
        assert f"`{row.path}`" in pages["configuration"] or f"## {row.path}\n" in pages["configuration"]
    for page, types in (("channels", channel_types()), ("classifiers", classifier_types())):
        for name in types.names():
            section = pages[page].partition(f"## {name}\n")[2].partition("\n## ")[0]
            assert [row.path for row in describe(types.get(name).settings) if f"| `{row.path}` |" not in section] == []


def test_every_command_and_option_is_in_the_reference():
    """Commands, and their options apart from those that go with every command."""
    page = (DOCS / "reference" / "commands.md").read_text()
    for path, command in _commands():
        if not path:
            continue
        section = page.partition(f" signpost {' '.join(path)}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
        assert section, path
        for option in command.params:
            if isinstance(option, click.Option) and option.name not in ("config", "help"):
                assert f"`{option.opts[0]}" in section, (path, option.name)


def test_every_metric_is_in_the_reference():
    """Each family of metrics, by the name that Prometheus sees."""
    page = (DOCS / "reference" / "metrics.md").read_text()
    for family in Metrics().registry.collect():
        assert f"`{family.name}" in page


def test_every_setting_of_learning_is_acted_on():
    """Some part of the program reads each of them."""
    code = "\n".join(path.read_text() for path in (ROOT / "router").rglob("*.py"))
    unread = [name for name in Learning.model_fields if not re.search(rf"\blearning\.{name}\b", code)]
    assert not unread


# --- log events -------------------------------------------------------------------------------------------------------


def _events(tree):
    """Yield the names of the events that a module logs."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        logs = node.func.attr in LOGGERS and "log" in ast.unparse(node.func.value).lower()
        if not (logs or node.func.attr == "_changed"):
            continue
        match node.args[0]:
            case ast.Constant(value=str(name)):
                yield name
            case ast.JoinedStr(values=[ast.Constant(value=str(prefix)), *_]):
                yield from (f"{prefix}{state}" for state in (State.HELD, State.FILED))


def test_every_log_event_is_explained():
    """docs/howto/monitoring.md says what each event means that the program can log."""
    page = (DOCS / "howto" / "monitoring.md").read_text()
    files = [file for folder in ("router", "channels") for file in (ROOT / folder).rglob("*.py")]
    events = {event for file in files for event in _events(ast.parse(file.read_text()))}
    assert len(events) > 20
    assert {event for event in events if f"`{event}`" not in page} == set()
