"""Failpoints: what the environment may ask for, that nothing happens without it, and that every place is passed."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from router import failpoints
from router.errors import ConfigError
from router.failpoints import PLACES, parse, reach, switch_on

SOURCES = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def off_again(log):
    """After each test nothing is on."""
    yield
    switch_on({}, log)


def on(rules, log):
    """Switch on what a tester would."""
    switch_on({failpoints.VARIABLE: rules}, log)


def test_without_the_variable_nothing_happens(log):
    """Every place, and even one that there isn't, is passed."""
    switch_on({}, log)
    for place in [*PLACES, "nowhere"]:
        reach(place)


def test_it_fails_when_it_is_time(log):
    """`@2` means the second time, and no other."""
    on("committed=fail@2", log)
    reach("committed")
    reach("settled")
    with pytest.raises(OSError, match="a failpoint says so"):
        reach("committed")
    reach("committed")


def test_it_fails_from_then_on(log):
    """`@2+` means the second time and each one after it."""
    on("settled = fail".replace(" ", "") + "@2+, leased=slow", log)
    reach("settled")
    for _ in range(3):
        with pytest.raises(OSError, match="a failpoint says so"):
            reach("settled")


@pytest.mark.parametrize("action", ["kill", "freeze"])
def test_it_dies_or_freezes(action):
    """The process itself gets the signal, at once: the next line isn't reached."""
    code = (
        "import sys, structlog; from router.failpoints import *\n"
        f"switch_on({{VARIABLE: 'parsed={action}'}}, structlog.get_logger())\n"
        "reach('parsed'); print('and on')"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=SOURCES, stdout=subprocess.PIPE) as process:
        if action == "freeze":
            _pid, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            process.send_signal(signal.SIGCONT)
        said, _ = process.communicate(timeout=60)
        assert (process.returncode == -signal.SIGKILL) == (action == "kill")
        assert (b"and on" in said) == (action == "freeze")
        assert b"failpoints_on" in said


@pytest.mark.parametrize(
    "rules", ["nowhere=kill", "committed=explode", "committed", "committed=kill@0", "committed=kill@-1", "a=b,"]
)
def test_what_cannot_be_understood_is_refused(rules, log):
    """A tester hears what there is, rather than testing nothing."""
    with pytest.raises(ConfigError, match=r"committed, .*actions: kill, freeze, fail, slow"):
        parse(rules)


def test_every_place_is_passed_and_every_place_passed_has_a_name():
    """The list and the code agree."""
    passed = {
        node.args[0].value
        for folder in ("router", "channels")
        for file in (SOURCES / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "reach"
    }
    assert passed == set(PLACES)
