"""A third party's channel needs no change here: the sample is installed, found by its entry point, and used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "docs" / "samples" / "jsonl-channel"
CONFIGURATION = """\
organization: {name: A District, public_url: "http://127.0.0.1:1", timezone: America/Chicago}
routing: {fallback: office}
channels:
  contact: {type: web_form}
  lines: {type: jsonl, folder: out}
departments:
  office: {name: Office, covers: [], deliver: [{via: lines, to: office}]}
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment of a process that sees the installed sample."""
    target = tmp_path_factory.mktemp("site")
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*install, "--target", target, SAMPLE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return os.environ | {"PYTHONPATH": f"{target}{os.pathsep}{ROOT}"}


def run(environment, *command, cwd=ROOT):
    """Run Python with the sample installed."""
    return subprocess.run(
        [sys.executable, *command], env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


def test_its_type_is_listed(environment):
    """`signpost channels` shows a type that came by an entry point, with its settings."""
    done = run(environment, "-m", "router", "channels")

    assert "jsonl" in done.stdout, done.stderr
    assert "folder" in done.stdout


def test_a_configuration_can_use_it(environment, tmp_path):
    """`type: jsonl` is as good as a built-in type, and its own check of addresses counts."""
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(CONFIGURATION)
    bad.write_text(CONFIGURATION.replace("to: office", "to: ../office"))

    assert run(environment, "-m", "router", "--config", str(good), "check").returncode == 0
    refused = run(environment, "-m", "router", "--config", str(bad), "check")
    assert refused.returncode == 78
    assert "must be a file name" in refused.stderr + refused.stdout


def test_it_passes_the_contract_suite(environment):
    """The shipped suite runs outside the repository's own tests."""
    done = run(environment, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SAMPLE / "tests"))

    assert done.returncode == 0, done.stdout[-2000:]
    assert "passed" in done.stdout
