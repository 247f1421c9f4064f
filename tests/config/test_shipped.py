"""Every configuration that ships loads with the channel and classifier types that ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import classifiers
import config
from config.load import Configuration, load, uncovered
from router.interfaces import Channel, Settings
from router.plugins import channel_types

FOLDER = Path(config.__file__).parent
CASES = FOLDER / "examples" / "cases.yaml"  # of messages, for `signpost test`
SHIPPED = sorted({*FOLDER.glob("*.yaml"), *FOLDER.glob("examples/*.yaml")} - {CASES})
CREDENTIALS = str(Path(__file__).with_name("credentials"))
ENV = {"SIGNPOST_DB_PASSWORD": "a", "SMTP_PASSWORD": "b", "CREDENTIALS_DIRECTORY": CREDENTIALS}
ENV |= {"M365_CLIENT_SECRET": "c", "TWILIO_AUTH_TOKEN": "d", "GOOGLE_CLIENT_SECRET": "e"}
CORPUS = Path(classifiers.__file__).parent / "corpus"


class TextLineSettings(Settings):
    """The demo's text line has no settings."""


def _built(*_args: object) -> Any:
    raise AssertionError("loading a configuration builds nothing")


def labels() -> set[str]:
    rows = (json.loads(line) for path in CORPUS.glob("*.jsonl") for line in path.read_text().splitlines() if line)
    return {row["department"] for row in rows} - {"out_of_scope"}


def loaded(path: Path) -> Configuration:
    line = Channel(summary="a telephone on the demo's page", settings=TextLineSettings, webhook=_built, sink=_built)
    return load(path, channel_types=channel_types({"simulated_text_line": line}), env=ENV)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_configuration_loads_without_a_warning(path: Path) -> None:
    """The default, the demo and every example have no problem and no warning."""
    assert loaded(path).warnings == ()


def test_the_default_needs_no_secret_and_no_edit() -> None:
    """`config/signpost.yaml` loads in a fresh clone with nothing set."""
    assert load(FOLDER / "signpost.yaml", env={}).routing.fallback == "front-office"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_label_of_the_bundled_corpus_has_a_desk(path: Path) -> None:
    """No message of the bundled model's labels has to abstain for want of a department, in any shipped file."""
    assert uncovered(labels(), loaded(path)).unclaimed == ()


def test_the_default_and_the_demo_have_the_same_desks_and_schools() -> None:
    """What a newcomer tries in the demo is what the default file sets up."""
    default, demo = loaded(FOLDER / "signpost.yaml"), loaded(FOLDER / "demo.yaml")
    assert [(d.id, d.name, d.description) for d in default.departments] == [
        (d.id, d.name, d.description) for d in demo.departments
    ]
    assert [(s.id, s.name, s.aliases) for s in default.schools] == [(s.id, s.name, s.aliases) for s in demo.schools]
    assert (len(default.departments), len(default.schools)) == (18, 7)


def test_the_examples_are_of_different_sizes() -> None:
    """There is an example with five departments that share all labels, and one with thirty."""
    sizes = {path.stem: len(loaded(path).departments) for path in SHIPPED}
    assert sizes["small-district"] == 5
    assert sizes["thirty-departments"] == 30


def test_the_demo_stays_on_this_machine() -> None:
    """Everything the demo listens on is loopback, and everything it writes lies under var/demo."""
    demo = loaded(FOLDER / "demo.yaml")
    assert demo.http.listen.host == "127.0.0.1"
    assert demo.store.url == "sqlite:///var/demo/signpost.db"
    settings = {name: channel.settings.model_dump_json() for name, channel in demo.channels.items()}
    assert json.loads(settings["departments-mail"])["path"] == "var/demo/departments"
    assert "127.0.0.1:2525" in settings["mail-in"]
