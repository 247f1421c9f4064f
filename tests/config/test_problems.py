"""What is wrong with a file is said at its line, in plain words, all at once, and without a secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import channels
from config.load import load
from router.errors import ConfigError, SignpostError
from router.interfaces import Channel
from router.plugins import Plugins

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.errors import Problem

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yaml"))
EXPECT = re.compile(r"# expect: (\d+): (.*?): (.*)")
PASSWORD = "hunter2-hunter2"


def problems_of(path: Path, types: dict[str, Any]) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(path, **types, env={"SIGNPOST_SET": PASSWORD})
    return caught.value.problems


def expected_of(path: Path) -> list[tuple[int, str, str]]:
    found = [EXPECT.fullmatch(line) for line in path.read_text().splitlines()]
    return [(int(match[1]), match[2], match[3]) for match in found if match]


def agree(problems: tuple[Problem, ...], expected: list[tuple[int, str, str]]) -> bool:
    return len(problems) == len(expected) and all(
        (problem.line, problem.path) == (line, path) and piece in f"{problem.what}; {problem.hint}"
        for problem, (line, path, piece) in zip(problems, expected, strict=True)
    )


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_each_fault_is_one_problem_at_its_line(path: Path, types: dict[str, Any]) -> None:
    """A file with one fault gives exactly the problem that its first line announces."""
    problems = problems_of(path, types)
    assert agree(problems, expected_of(path)), "\n".join(map(str, problems))


def test_there_are_many_kinds_of_faults() -> None:
    """The folder of faulty files covers at least sixty kinds."""
    assert len(BAD) >= 60


def test_ten_faults_are_ten_problems(types: dict[str, Any]) -> None:
    """All faults of a file are told at once, in the order of their lines."""
    path = HERE / "ten_faults.yaml"
    problems = problems_of(path, types)
    assert agree(problems, expected_of(path)), "\n".join(map(str, problems))
    assert len(problems) == 10


def test_a_wrong_setting_does_not_hide_what_else_is_wrong_with_its_block(types: dict[str, Any]) -> None:
    """An unknown or missing setting leaves secrets that aren't there, and what doesn't fit together, to be told too."""
    path = HERE / "faults_together.yaml"
    problems = problems_of(path, types)
    assert agree(problems, expected_of(path)), "\n".join(map(str, problems))


def test_a_problem_reads_file_line_path_what_and_hint(types: dict[str, Any]) -> None:
    """The text of a problem starts with `file:line: path: ` and ends with what was probably meant."""
    path = HERE / "bad" / "undefined_via.yaml"
    (problem,) = problems_of(path, types)
    told = (
        f"{path}:24: departments.buses.deliver[0].via: there is no channel 'realy' in this file; did you mean 'relay'?"
    )
    assert str(problem) == told


def test_a_secret_in_the_wrong_place_is_never_repeated(types: dict[str, Any]) -> None:
    """Wherever a password was pasted, neither the error nor anything hanging on it shows it."""
    files = [path for path in (*BAD, HERE / "ten_faults.yaml") if PASSWORD in path.read_text()]
    assert len(files) >= 4
    for path in files:
        with pytest.raises(ConfigError) as caught:
            load(path, **types, env={})
        error: BaseException | None = caught.value
        while error is not None:
            assert PASSWORD not in f"{error} {error!r} {vars(error)}"
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize(
    ("write", "line", "what"),
    [
        (lambda path: None, 1, "can't be read: No such file or directory"),
        (lambda path: path.mkdir(), 1, "can't be read: Is a directory"),
        (lambda path: path.write_text(""), 1, "is empty"),
        (lambda path: path.write_text("# nothing but this\n"), 1, "is empty"),
        (lambda path: path.write_text("- a\n"), 1, "must be settings"),
        (lambda path: path.write_text("\nmoin\n"), 2, "must be settings"),
        (lambda path: path.write_bytes(b"a: 1\nb: caf\xe9\n"), 2, "must be UTF-8"),
        (lambda path: path.write_text("a: 1\nb: \x00\n"), 2, "isn't YAML"),
        (lambda path: path.write_text("[" * 5000), 1, "nested too deeply"),
        (lambda path: path.write_text("a: " + "b" * 2_000_000), 1, "larger than 1 MiB"),
    ],
)
def test_what_is_no_configuration_file_is_said_in_a_sentence(
    write: Callable[[Path], object], line: int, what: str, tmp_path: Path, types: dict[str, Any]
) -> None:
    """A file that is missing, unreadable, empty, no YAML or no settings is one problem, not a traceback."""
    path = tmp_path / "signpost.yaml"
    write(path)
    (problem,) = problems_of(path, types)
    assert (problem.file, problem.line, problem.path) == (str(path), line, "")
    assert what in problem.what


def test_aliases_that_multiply_are_stopped(tmp_path: Path, types: dict[str, Any]) -> None:
    """A small file whose aliases expand to a billion parts is refused at once."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 10)]
    path = tmp_path / "signpost.yaml"
    path.write_text("\n".join(lines))
    (problem,) = problems_of(path, types)
    assert "too many parts" in problem.what


def test_a_name_cannot_command_the_terminal(tmp_path: Path, types: dict[str, Any]) -> None:
    """Control characters of a name in the file don't get into the text of a problem."""
    path = tmp_path / "signpost.yaml"
    path.write_text('"a\\e[2J": 1\n')
    assert all(str(problem).isprintable() for problem in problems_of(path, types))


def test_a_plugin_that_fails_is_a_problem_at_its_type(tmp_path: Path, types: dict[str, Any]) -> None:
    """A third party's type that can't be loaded is reported where it is used, not raised."""

    class Broken(Plugins[Channel]):
        def get(self, name: str) -> Channel:
            if name == "letterbox":
                raise SignpostError("the plugin letterbox can't be loaded: no module named post")
            return super().get(name)

    van = types["channel_types"].get("van")
    broken = Broken(channels, "CHANNEL", Channel, {"letterbox": van, "van": van})
    text = (HERE / "bad" / "wrong_channel_type.yaml").read_text().replace("vam", "van")
    path = tmp_path / "signpost.yaml"
    path.write_text(text)
    (problem,) = problems_of(path, {**types, "channel_types": broken})
    assert (problem.line, problem.path) == (10, "channels.inbox.type")
    assert "no module named post" in problem.what
