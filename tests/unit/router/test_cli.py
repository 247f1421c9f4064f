"""The command line itself: options, exit statuses, errors as sentences. The commands are tested beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from router.cli import run
from router.commandline import show
from router.commandline.demo import demo_path, redirected
from router.commandline.frame import Invocation
from router.settings import Address
from tests.unit.router.commandline import write_district

SHIPPED = Path(__file__).parents[3] / "config" / "signpost.yaml"


@pytest.fixture
def district(tmp_path, monkeypatch):
    """The path of a small district's configuration, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return write_district(tmp_path)


def test_the_configuration_is_named_before_or_after_the_command(district, capsys):
    """`--config` may stand anywhere, the last one counts, and the environment is asked when it stands nowhere."""
    assert run(["--config", "district.yaml", "check"]) == 0
    assert run(["check", "--config", "district.yaml"]) == 0
    assert run(["--config", "nowhere.yaml", "check", "--config", "district.yaml"]) == 0
    assert run(["check"]) == 78
    assert "config/signpost.yaml:1: the file can't be read" in capsys.readouterr().err


def test_a_missing_configuration_gave_no_next_step(district, capsys):
    """Where there is no file, the sentence says how to name another one, and what to start from."""
    assert run(["status"]) == 78
    said = capsys.readouterr().err
    assert said.startswith(
        "config/signpost.yaml:1: the file can't be read: No such file or directory; name yours with "
    )
    assert "copy Signpost's own config/signpost.yaml there" in said


def test_the_demo_took_one_port_for_two_listeners(capsys):
    """Mail and pages can't come in by the same port: wrong usage, told before anything starts."""
    assert run(["demo", "--port", "8123", "--smtp-port", "8123"]) == 2
    assert "--port and --smtp-port must differ" in capsys.readouterr().err


def test_the_environment_names_the_configuration(district, capsys, monkeypatch):
    """SIGNPOST_CONFIG stands for `--config`."""
    monkeypatch.setenv("SIGNPOST_CONFIG", str(district))
    assert run(["check"]) == 0
    assert "3 departments" in capsys.readouterr().out


def test_every_problem_of_a_configuration_is_listed(district, capsys):
    """A wrong configuration ends with 78 and a line for each problem, with its place in the file."""
    district.write_text(
        district.read_text().replace("fallback: office", "fallback: ofice").replace("web_form", "webform")
    )
    assert run(["check", "--config", "district.yaml"]) == 78
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("district.yaml:") for line in lines)
    assert "did you mean" in lines[0]


def test_problems_as_json(district, capsys):
    """With --json `check` prints the problems as an object; the exit status stays."""
    district.write_text(district.read_text().replace("fallback: office", "fallback: ofice"))
    assert run(["check", "--json", "--config", "district.yaml"]) == 78
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["path"] == "routing.fallback"
    assert problem["line"] == 5


def test_check_remarks_on_what_no_department_covers(district, capsys):
    """A label that no department covers is remarked on, and so is one that the model doesn't know; both are allowed."""
    assert run(["check", "--json", "--config", "district.yaml"]) == 0
    remarks = "\n".join(json.loads(capsys.readouterr().out)["remarks"])
    assert "abstains on 'athletics'" in remarks
    assert "doesn't know 'rooms', which meals-and-rooms covers" in remarks


def test_the_shipped_configuration_is_in_order(capsys):
    """What a newcomer starts from has no problem and nothing to remark on."""
    assert run(["check", "--json", "--config", str(SHIPPED)]) == 0
    assert json.loads(capsys.readouterr().out)["remarks"] == []


@pytest.mark.parametrize(
    "arguments",
    [["chek"], ["messages"], ["misroute", "X"], ["deliveries", "retry"], ["messages", "list", "--state", "lost"], []],
)
def test_wrong_usage_ends_with_2(arguments, capsys):
    """An unknown command, a missing argument or option, a value that isn't one: status 2 and a hint on usage."""
    assert run(arguments) == 2
    assert "Usage: signpost" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["status"], ["messages", "list"], ["misroute", "0WE3CYSYMMK8", "--to", "buses"], ["models", "list"]]
)
def test_without_a_store_nothing_is_made(district, arguments, capsys):
    """A command that looks at the store says that there is none, and leaves no file behind."""
    assert run([*arguments, "--config", "district.yaml"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("signpost: there is no store yet")
    assert len(said.splitlines()) == 1
    assert list(district.parent.iterdir()) == [district]


def test_a_missing_file_is_a_sentence(district, capsys):
    """An error of the operating system is told with the file's name, without a traceback."""
    assert run(["evaluate", "--data", "nowhere.jsonl", "--config", "district.yaml"]) == 1
    assert capsys.readouterr().err.strip() == "signpost: nowhere.jsonl: can't be read: No such file or directory"


def test_types_are_listed_with_their_settings(capsys):
    """`channels` and `classifiers` show every type; with a type's name its settings, with --json their schema."""
    assert run(["channels"]) == 0
    assert "web_form" in capsys.readouterr().out
    assert run(["channels", "maildir"]) == 0
    assert "(required)" in capsys.readouterr().out
    assert run(["channels", "--json"]) == 0
    schema = json.loads(capsys.readouterr().out)["maildir"]
    assert schema["source"]
    assert schema["sink"]
    assert "path" in schema["settings"]["properties"]
    assert run(["classifiers", "linear"]) == 0
    assert "word_weight" in capsys.readouterr().out


def test_an_unknown_type_is_told_beside_the_known_ones(capsys):
    """A type that can't be loaded doesn't hide the others."""
    assert run(["channels", "maildir", "pigeon"]) == 1
    captured = capsys.readouterr()
    assert "maildir" in captured.out
    assert captured.err == "signpost: there is no channel type 'pigeon'\n"


def test_only_the_demo_knows_the_simulated_text_line(district, capsys):
    """The demo's own channel type is known for the demo's own configuration, so that commands work beside it."""
    copy = district.with_name("demo.yaml")
    copy.write_text(demo_path().read_text())
    assert run(["check", "--config", str(demo_path())]) == 0
    assert run(["check", "--config", str(copy)]) == 78
    assert "simulated_text_line" in capsys.readouterr().err


def test_the_demo_listens_where_it_is_told():
    """Other ports change where the demo listens and what its links say, and nothing else."""
    shipped = Invocation(config=demo_path()).configuration()
    moved = redirected(shipped, 9001, 9002)
    assert moved.organization.public_url == "http://127.0.0.1:9001"
    assert moved.http.listen == Address("127.0.0.1", 9001)
    assert moved.channels["mail-in"].settings.listen == Address("127.0.0.1", 9002)
    same = {"http": shipped.http, "organization": shipped.organization, "channels": shipped.channels}
    assert replace(moved, **same) == shipped


def test_what_strangers_wrote_cannot_command_a_terminal(capsys):
    """Escape sequences and other control characters are shown as a replacement character."""
    show.table(["subject"], [["\x1b[2Jred\x07 [bold]alert[/bold]\u202e"]])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "�[2Jred� [bold]alert[/bold]�" in out
