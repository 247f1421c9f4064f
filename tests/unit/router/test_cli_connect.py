"""`signpost check --connect` on the command line: exit statuses, what is printed, and that nothing is left behind."""

from __future__ import annotations

import json
import socket
from contextlib import contextmanager

import pytest

from router.cli import run
from tests.unit.router.commandline import write_district

RELAY = "  relay: {{type: smtp, host: 127.0.0.1, port: {port}, tls: none, from: contact@district.example}}\n"


@pytest.fixture
def district(tmp_path, monkeypatch, free_port):
    """A small district's configuration in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return write_district(tmp_path, free_port)


def add_relay(district, port):
    """Add a relay at a port of this machine."""
    text = district.read_text().replace("departments:\n", RELAY.format(port=port) + "departments:\n", 1)
    district.write_text(text)


@contextmanager
def silent_server():
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def ask(*arguments):
    """Run the check."""
    return run(["check", "--connect", "--config", "district.yaml", *arguments])


def test_all_is_well_before_the_first_start(district, capsys):
    """Exit status 0, a line for each thing, and no file is made."""
    assert ask() == 0
    captured = capsys.readouterr()
    assert "district.yaml is in order: " in captured.out
    assert f"  ok      There is no store yet: the first start makes {district.parent}/var/signpost.db." in captured.out
    assert captured.out.endswith("\nAll 4 are in order.\n")
    assert captured.err == "No daemon runs. Checking 4 things at once, each for at most 15 s.\n"
    assert list(district.parent.iterdir()) == [district]


def test_what_fails_comes_with_what_to_do(district, capsys, free_port):
    """Exit status 1; the failure is told with its remedy below it, and named at the end."""
    add_relay(district, free_port)
    assert ask() == 1
    out = capsys.readouterr().out
    assert (
        f"  FAILED  Nothing listens on 127.0.0.1, port {free_port}: the connection was refused.\n"
        "          What to do: correct the host or the port, or start the server there.\n" in out
    )
    assert out.endswith("\n4 of 5 are in order. To be mended: relay.\n")


def test_a_server_that_says_nothing_keeps_nobody(district, capsys):
    """The others' answers are there, the silent one is told apart, and the limit is kept."""
    with silent_server() as port:
        add_relay(district, port)
        assert ask("--within", "500ms", "--json") == 1
    checks = {each["name"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    assert [name for name, each in checks.items() if not each["ok"]] == ["relay"]
    assert checks["relay"]["findings"][-1]["what"] in {
        f"127.0.0.1, port {port} takes the connection and then says nothing.",
        f"There was no answer within 0.5 s while connecting to 127.0.0.1, port {port}.",
    }


def test_a_wrong_file_is_told_before_anything_is_opened(district, capsys):
    """Exit status 78, as without --connect."""
    district.write_text(district.read_text().replace("fallback: office", "fallback: ofice"))
    assert ask("--json") == 78
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"]
    assert "checks" not in told


def test_everything_as_json(district, capsys):
    """With --json there is one object and nothing on standard error."""
    assert ask("--json") == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert (told["ok"], told["daemon_runs"], captured.err) == (True, False, "")
    assert [each["name"] for each in told["checks"]] == ["store", "pages", "contact", "out"]
    for each in told["checks"]:
        assert set(each) == {"name", "type", "ok", "seconds", "findings"}
        assert all(set(finding) == {"level", "what", "mend"} for finding in each["findings"])


@pytest.mark.parametrize("within", ["0s", "5", "soon"])
def test_a_time_limit_needs_a_unit(district, within, capsys):
    """Wrong usage: status 2."""
    assert ask("--within", within) == 2
    assert "--within" in capsys.readouterr().err
