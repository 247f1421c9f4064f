"""`signpost reload`, and `status` beside a file with problems: what is shown, and the exit status."""

from __future__ import annotations

import asyncio
import json

import pytest

from router import control
from router.cli import run
from tests.unit.router.commandline import write_district

APPLIED = {"applied": True, "invalid": False, "problems": [], "started": ["new"], "stopped": ["old"], "changed": ["r"]}
REFUSED = {"applied": False, "invalid": False, "problems": ["Signpost is stopping"]}
STATUS = {
    "messages": {"received": 1},
    "deliveries": {},
    "oldest_waiting_s": 0.0,
    "misroutes": {"days": 30, "audited": {"n": 0}, "flagged": {"flagged": 0, "routed": 1}},
    "audits": {"waiting": 0},
    "configuration": {"since": "12:03", "refused_at": "12:10", "problems": ["d.yaml:4: x: y"]},
}


@pytest.fixture
def district(tmp_path, monkeypatch):
    """A district's configuration; its store is in the working directory."""
    monkeypatch.chdir(tmp_path)
    return write_district(tmp_path)


async def answered(answer, log, *arguments):
    """Run a command while a daemon gives this answer; return the exit status and what was asked."""
    asked = []

    async def give(command, _arguments):
        asked.append(command)
        return answer

    async with control.serve(control.socket_path("sqlite:///var/signpost.db"), give, log):
        return await asyncio.to_thread(run, list(arguments)), asked


async def test_what_changed_is_shown(district, log, capsys):
    """Channel by channel, and the exit status is 0."""
    assert await answered(APPLIED, log, "reload", "--config", str(district)) == (0, ["reload"])
    assert capsys.readouterr().out.splitlines() == [
        "The configuration is in force.",
        "new now runs",
        "old is gone",
        "r runs with its new settings",
    ]


@pytest.mark.parametrize(("invalid", "status"), [(False, 1), (True, 78)])
async def test_a_refusal_is_shown(district, log, capsys, invalid, status):
    """With its reasons, and what goes on; the exit status tells a problem of the file from another one."""
    answer = REFUSED | {"invalid": invalid}
    assert (await answered(answer, log, "reload", "--config", str(district)))[0] == status
    assert capsys.readouterr().err.splitlines() == ["Signpost is stopping", "The daemon goes on with what it has."]
    assert (await answered(answer, log, "reload", "--json", "--config", str(district)))[0] == status
    assert json.loads(capsys.readouterr().out) == answer


def test_without_a_daemon_there_is_nothing_to_reload(district, capsys):
    """A sentence says so, and nothing is started or opened."""
    assert run(["reload", "--config", str(district)]) == 1
    assert "no daemon runs here" in capsys.readouterr().err
    assert not (district.parent / "var").exists()


def test_a_problem_is_found_before_the_daemon_is_asked(district, capsys):
    """As `check` finds it."""
    district.write_text(district.read_text().replace("fallback: office", "fallback: nobody"))
    assert run(["reload", "--config", str(district)]) == 78
    assert "routing.fallback" in capsys.readouterr().err
    assert run(["reload", "--json", "--config", str(district)]) == 78
    assert json.loads(capsys.readouterr().out)["invalid"] is True


async def test_the_daemons_status_is_shown_beside_a_file_with_problems(district, log, capsys):
    """Which configuration it runs, and what is wrong with the newer one; without a daemon only the problems."""
    district.write_text(district.read_text().replace("fallback: office", "fallback: nobody"))
    assert await answered(STATUS, log, "status", "--config", str(district)) == (0, ["status"])
    shown = capsys.readouterr().out
    assert "that of 12:03; the file of 12:10 isn't used:\n  d.yaml:4: x: y\n" in shown
    assert await asyncio.to_thread(run, ["status", "--config", str(district)]) == 78
