"""Whatever a file holds, loading it either works or raises `ConfigError`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.load import load
from router.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

BASE = """\
organization: {name: Test District, public_url: "https://contact.test.example", timezone: America/Chicago}
routing: {fallback: office, urgent: {escalate_after: 5m}}
store: {url: "sqlite:///var/signpost.db"}
channels:
  inbox: {type: letterbox, listen: "127.0.0.1:2525", every: 30s}
  relay: {type: van, host: mail.test.example, rate: 30/min, oauth: {}}
departments:
  office: {name: Office, covers: [], deliver: [{via: relay, to: office@test.example}]}
  buses: {name: Buses, deliver: [{via: relay, to: buses@test.example}], min_confidence: 0.5}
schools:
  lincoln: {name: Lincoln, aliases: [LES], deliver: {buses: [{via: relay, to: a@test.example}]}}
rules:
  - {name: bus, when: {text: bus}, to: buses}
"""
QUICK = settings(
    max_examples=150,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],  # the file is written anew
)
SCALARS = st.sampled_from(
    [
        "",
        "~",
        "1",
        "-1",
        "1e999",
        "0x1F",
        "0o7",
        ".nan",
        "on",
        "true",
        "2026-01-01",
        "'x'",
        r'"\ud800"',
        r'"\0"',
        "*z",
        "&a {b: *a}",
        "[]",
        "{}",
        "[[]]",
        "{a: 1}",
        "? x",
        "- y",
        "<<",
        "9" * 5000,
        "relay",
        "office",
        "!!int x",
        "!x",
    ]
)


def load_or_complain(path: Path, types: dict[str, Any]) -> None:
    try:
        problems = load(path, **types, env={}).warnings
    except ConfigError as error:
        problems = error.problems
    assert problems
    assert all(problem.line >= 1 and problem.what for problem in problems)
    "\n".join(map(str, problems)).encode()


@QUICK
@given(data=st.binary(max_size=300))
def test_random_bytes_are_a_problem(data: bytes, tmp_path: Path, types: dict[str, Any]) -> None:
    """Bytes that are no configuration raise `ConfigError` and nothing else."""
    path = tmp_path / "signpost.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError):
        load(path, **types, env={})


@QUICK
@given(text=st.text(alphabet="abc:-[]{}&*!|>'\"%@`#?, \n\t\\1.~<=", max_size=200))
def test_random_yaml_is_a_problem(text: str, tmp_path: Path, types: dict[str, Any]) -> None:
    """Text made of YAML's own characters raises `ConfigError` and nothing else."""
    path = tmp_path / "signpost.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load(path, **types, env={})


@QUICK
@given(data=st.data())
def test_a_file_with_anything_in_the_place_of_a_value_loads_or_complains(
    data: st.DataObject, tmp_path: Path, types: dict[str, Any]
) -> None:
    """Whatever stands where a setting's value, name or line was, the answer is a configuration or its problems."""
    parts = BASE.split(" ")
    for _ in range(data.draw(st.integers(1, 3))):
        parts[data.draw(st.integers(0, len(parts) - 1))] = data.draw(SCALARS)
    path = tmp_path / "signpost.yaml"
    path.write_text(" ".join(parts))
    load_or_complain(path, types)


@QUICK
@given(data=st.data())
def test_a_tree_with_anything_in_the_place_of_a_part_loads_or_complains(
    data: st.DataObject, tmp_path: Path, types: dict[str, Any]
) -> None:
    """Whatever kind of value a section or setting has, the answer is a configuration or its problems."""
    lines = BASE.splitlines()
    index = data.draw(st.integers(0, len(lines) - 1))
    key = lines[index].split(":")[0]
    lines[index] = f"{key}: {data.draw(SCALARS)}"
    path = tmp_path / "signpost.yaml"
    path.write_text("\n".join(lines))
    load_or_complain(path, types)
