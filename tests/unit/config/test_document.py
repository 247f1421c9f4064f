"""Reading YAML 1.2 with the line and the text of every part."""

from __future__ import annotations

from typing import Any

import pytest

from config._document import dotted, parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("no", "no"),
        ("07:30", "07:30"),
        ("2026-01-01", "2026-01-01"),
        ("'12'", "12"),
        ("12", 12),
        ("-1_000", -1000),
        ("0x1F", 31),
        ("0o17", 15),
        ("017", 17),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("true", True),
        ("~", None),
        ("", None),
        ("[a, 1]", ["a", 1]),
        ("{b: {c: d}}", {"b": {"c": "d"}}),
    ],
)
def test_values_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    """`on`, `no`, times and dates are text; numbers, true, false and nothing are what they look like."""
    assert parse(f"a: {text}\n", "f").data == {"a": value}


def test_every_part_has_its_line_and_scalars_their_text() -> None:
    """A value's line is that of its key, an item's its own; the text is as it stood in the file."""
    document = parse("a:\n  - b: +1\n    c: >\n      folded\n  - x\n", "f")
    assert document.lines == {("a",): 1, ("a", 0): 2, ("a", 0, "b"): 2, ("a", 0, "c"): 3, ("a", 1): 5}
    assert document.texts[("a", 0, "b")] == "+1"


def test_aliases_repeat_a_part() -> None:
    """An alias stands for what its anchor marks."""
    assert parse("a: &x {b: 1}\nc: *x\n", "f").data == {"a": {"b": 1}, "c": {"b": 1}}


def test_a_problem_below_what_is_there_has_the_line_of_its_parent() -> None:
    """A missing setting is reported where it would have to be added."""
    document = parse("a:\n  b:\n    c: 1\n", "f")
    problem = document.problem(("a", "b", "d", "e"), "is missing")
    assert (problem.line, problem.path) == (2, "a.b.d.e")


def test_places_are_written_the_way_people_write_them() -> None:
    """Keys are joined by dots, indexes stand in brackets."""
    assert dotted(("departments", "buses", "deliver", 0, "via")) == "departments.buses.deliver[0].via"
    assert dotted(()) == ""
