"""The control socket: commands reach the running daemon, errors come back as what they were."""

from __future__ import annotations

import asyncio
import os
import stat

import pytest

from router import control
from router.commands import Commands
from router.errors import NotFound, SignpostError
from router.testing_sinks import RecordingSink
from tests.unit.router.district import District


@pytest.fixture
async def socket(sqlite_store, log, rng, tmp_path):
    """A served control socket of a district with one routed message; yields its path and the message's id."""
    district = District(sqlite_store, log, rng, sink=RecordingSink())
    message_id = await district.route()
    path = tmp_path / "signpost.sock"
    async with control.serve(path, Commands(sqlite_store, district.corrections).run, log):
        yield path, message_id


async def test_an_answer_comes_back(socket):
    """A command's result is what the daemon says."""
    path, message_id = socket

    status = await control.ask(path, "status", {})
    moved = await control.ask(path, "misroute", {"message_id": message_id.lower(), "to": "meals", "by": "jo@d.example"})

    assert status["messages"]["routed"] == 1
    assert (moved["department"], moved["disputed"]) == ("meals", False)


async def test_errors_keep_their_kind_and_sentence(socket):
    """What the daemon refuses is refused to the command in the same words."""
    path, _ = socket

    with pytest.raises(NotFound, match="no message"):
        await control.ask(path, "messages_show", {"message_id": "nope"})
    with pytest.raises(SignpostError, match="no command"):
        await control.ask(path, "frobnicate", {})
    with pytest.raises(SignpostError, match="TypeError"):
        await control.ask(path, "misroute", {"wrong": 1})


async def test_only_the_owner_may_connect(socket):
    """The socket is closed to other users of the machine."""
    path, _ = socket

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_rubbish_does_not_hurt(socket):
    """A client that says something absurd gets an answer, and the next one too."""
    path, _ = socket
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"\xff\xfe rubbish\n")
    answer = await reader.readline()
    writer.close()

    assert b'"error"' in answer
    assert (await control.ask(path, "status", {}))["messages"]["received"] == 1


async def test_nobody_there_is_noticed(tmp_path):
    """Without a daemon the command learns so at once."""
    with pytest.raises((FileNotFoundError, ConnectionError)):
        await control.ask(tmp_path / "none.sock", "status", {})


async def test_a_stopping_daemon_removed_the_socket_of_the_next(sqlite_store, log, rng, tmp_path):
    """On PostgreSQL two daemons may share the name: the last one keeps it, and its end removes it."""
    district = District(sqlite_store, log, rng, sink=RecordingSink())
    path = tmp_path / "signpost.sock"
    commands = Commands(sqlite_store, district.corrections)

    async with control.serve(path, commands.run, log):
        first = control.serve(path, commands.run, log)
        await first.__aenter__()
    kept = path.exists()
    answer = await control.ask(path, "status", {})
    await first.__aexit__(None, None, None)

    assert kept
    assert answer["messages"]["received"] == 0
    assert not path.exists()


def test_the_socket_had_a_guessable_name_in_everybodys_folder(monkeypatch):
    """Without a run-time directory it lies in a folder of the user's own."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)

    path = control.socket_path("postgresql://signpost@db/signpost")

    assert path.parent.name == f"signpost-{os.geteuid()}"


def test_the_folder_of_the_socket_is_closed_to_others(tmp_path):
    """It is made for its user alone, and closed if it was open."""
    folder = tmp_path / "own"

    control.claim_folder(folder)
    made = stat.S_IMODE(folder.stat().st_mode)
    folder.chmod(0o755)
    control.claim_folder(folder)

    assert (made, stat.S_IMODE(folder.stat().st_mode)) == (0o700, 0o700)


@pytest.mark.parametrize("kind", ["link", "dangling", "file"])
def test_a_folder_that_somebody_else_laid_out_is_not_used(tmp_path, kind):
    """What can be led elsewhere is refused: a socket in it could be anybody's."""
    folder, target = tmp_path / "own", tmp_path / "target"
    if kind == "file":
        folder.touch()
    else:
        folder.symlink_to(target)
    if kind == "link":
        target.mkdir()

    with pytest.raises(SignpostError, match="own folder"):
        control.claim_folder(folder)


def test_a_long_path_still_gets_a_socket(tmp_path):
    """Unix socket names are short; a store deep in the file system is reached by another name."""
    deep = tmp_path / ("x" * 120)

    path = control.socket_path(f"sqlite:///{deep}/signpost.db")

    assert len(bytes(path)) <= 107
    assert path == control.socket_path(f"sqlite:///{deep}/signpost.db")


def test_a_long_run_time_directory_kept_the_daemon_from_starting(tmp_path, monkeypatch):
    """Its socket lies in the user's own folder then, under a name that tells one such directory from another."""
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    paths = set()
    for name in ("one", "other"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / ("x" * 120) / name))
        paths.add(control.socket_path("postgresql://signpost@db/signpost"))

    assert len(paths) == 2
    assert all(len(bytes(path)) <= 107 for path in paths)
    assert {path.parent.name for path in paths} == {f"signpost-{os.geteuid()}"}
