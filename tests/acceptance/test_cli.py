"""The main job through the installed command: run, write, look, flag, confirm, learn, go back, stop, survive."""

from __future__ import annotations

import asyncio
import json
import signal
import socket

import aiohttp
import pytest

from classifiers.linear import CLASSIFIER
from router.learning.bundled import is_cached
from tests.acceptance.conftest import COMMAND, PATIENCE_S
from tests.acceptance.fixtures import training_alone
from tests.unit.router.commandline import saying, write_rows


async def _write(installed, text, session):
    """Send a message by the form's JSON way and return its reference."""
    sent = {"name": "Ana", "email": "ana@home.example", "message": text}
    async with session.post(f"http://127.0.0.1:{installed.port}/forms/contact", json=sent) as answer:
        assert answer.status == 202, await answer.text()
        return (await answer.json())["reference"]


async def test_a_message_reaches_its_desk_is_flagged_and_becomes_a_lesson(installed, rng):
    """Written, routed, explained, flagged, delivered anew, confirmed, learnt from, rolled back: all while it runs."""
    async with installed.daemon() as daemon, aiohttp.ClientSession() as session:
        reference = await _write(installed, saying("buses", rng), session)
        await installed.arrived("buses")
        assert (await installed.ask("explain", reference))["model"]["words"]["buses"]

        moved = await installed.ask("misroute", reference, "--to", "meals-and-rooms", "--by", "dana@d.example")
        await installed.arrived("meals")
        confirmed = await installed.ask("corrections", "confirm", str(moved["correction"]), "--by", "lee@d.example")
        assert confirmed[0]["state"] == "confirmed"

        rows = write_rows(installed.folder / "more.jsonl", count=60)
        trained = await installed.ask("train", "--no-corpus", "--data", str(rows))
        assert trained["metrics"]["counts"]["correction"] == 1
        assert (trained["state"], trained["registered_in"]) == ("champion", "the running daemon")
        await daemon.until(f'"model":"{trained["version"]}"')
        back = await installed.ask("models", "rollback")
        assert back["version"] == trained["parent"]
        ledger = await installed.ask("status")
        assert ledger["messages"] == {"received": 1, "routed": 1, "held": 0, "filed": 0, "undecided": 0}
        assert ledger["deliveries"]["delivered"] == 2


async def test_a_stop_finishes_what_is_under_way(installed, rng):
    """SIGTERM ends the daemon with status 0, nothing half done, and without a word of what families wrote."""
    async with installed.daemon() as daemon, aiohttp.ClientSession() as session:
        for _ in range(20):
            await _write(installed, saying("rooms", rng), session)
        assert await daemon.end(signal.SIGTERM) == 0
    log = "\n".join(daemon.lines)
    assert '"event":"stopped"' in log
    assert "ana@home.example" not in log
    assert not any(word in log for word in ("classroom", "leak"))
    ledger = (await installed.ask("status"))["messages"]
    assert ledger["received"] == 20 == ledger["routed"] + ledger["undecided"]


async def test_what_was_accepted_survives_a_kill(installed, rng):
    """After `kill -9` in the middle of the work every accepted message arrives, after a restart."""
    accepted = 0
    async with installed.daemon() as daemon, aiohttp.ClientSession() as session:
        for _ in range(15):
            await _write(installed, saying("buses", rng), session)
            accepted += 1
        await daemon.end(signal.SIGKILL)
    assert (await installed.ask("classify", str(_text(installed, rng))))["department"] == "buses"
    async with installed.daemon():
        await installed.arrived("buses", accepted)
        async with asyncio.timeout(PATIENCE_S):
            while (await installed.ask("status"))["deliveries"]["waiting"]:
                pass
    assert len(await installed.arrived("buses")) == accepted


def _text(installed, rng):
    path = installed.folder / "text"
    path.write_text(saying("buses", rng))
    return path


async def test_a_second_daemon_is_refused(installed):
    """Two daemons never share an SQLite file: the second one says so and ends with 1."""
    async with installed.daemon():
        status, _out, err = await installed.run("run")
    assert status == 1
    assert "is in use by another Signpost process" in err
    assert "Traceback" not in err


async def test_a_port_that_is_taken_is_a_sentence(installed):
    """A daemon that can't listen says which address and what to do."""
    with socket.create_server(("127.0.0.1", installed.port)):
        status, _out, err = await installed.run("run")
    assert status == 1
    assert f"('127.0.0.1', {installed.port}): address already in use" in err
    assert "another program uses that port" in err
    assert "Traceback" not in err


async def test_a_wrong_configuration_keeps_the_daemon_from_starting(bare):
    """Status 78 and the place in the file; nothing is opened."""
    path = bare.folder / "district.yaml"
    path.write_text(path.read_text().replace("via: out, to: it", "via: outt, to: it"))
    status, out, err = await bare.run("run")
    assert (status, out) == (78, "")
    assert err.startswith(f"{path}:4: operations.alerts[0].via: ")
    assert not (bare.folder / "var").exists()


async def test_texts_and_rows_come_through_a_pipe(installed, rng):
    """Without FILE, standard input is read: one text, or rows."""
    status, out, _err = await installed.run("classify", "--json", given=saying("buses", rng).encode())
    assert status == 0
    assert json.loads(out)["department"] == "buses"
    rows = b"".join(json.dumps({"id": n, "body": saying("meals", rng)}).encode() + b"\n" for n in range(3))
    status, out, _err = await installed.run("classify", "--jsonl", given=rows)
    assert [json.loads(line)["id"] for line in out.splitlines()] == [0, 1, 2]


async def test_a_reader_that_goes_away_ends_a_command_quietly(bare):
    """`signpost … | head` prints no complaint."""
    command = f"{COMMAND} channels --json | head -n 1"
    process = await asyncio.create_subprocess_shell(
        command, env=bare.env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert (out, err) == (b"{\n", b"")


async def test_the_demo_says_where_to_look(bare, cache):
    """It trains the bundled model if there is none, names its pages, and Ctrl-C stops it with status 0."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        smtp_port = probe.getsockname()[1]
    ports = ["--port", str(bare.port), "--smtp-port", str(smtp_port)]
    with training_alone(cache):
        has_model = is_cached(CLASSIFIER, CLASSIFIER.settings(), cache_dir=cache)
        async with bare.daemon("demo", "--feed", *ports, ready="Ctrl-C stops the demo") as demo:
            assert any("Training the bundled model" in line for line in demo.lines) is not has_model
            page = f"http://127.0.0.1:{bare.port}/demo"
            assert any(line.endswith(page) for line in demo.lines)
            await bare.arrived("*", within="var/demo/departments")
            async with aiohttp.ClientSession() as session, session.get(page) as answer:
                assert "/demo/messages/" in await answer.text()
            assert await demo.end(signal.SIGINT) == 0
    assert "The demo has stopped" in demo.lines[-1]


async def test_the_demo_has_its_own_configuration(bare):
    """Another configuration named on the command line is wrong usage; one named by the environment doesn't matter."""
    status, _out, err = await bare.run("demo", "--config", "district.yaml")
    assert status == 2
    assert "signpost run --config" in err


@pytest.mark.parametrize("option", ["--port", "--smtp-port"])
async def test_the_demo_says_which_port_is_taken(option, bare):
    """Before anything is set up, the demo names the port and how to choose another."""
    with socket.create_server(("127.0.0.1", bare.port)):
        status, _out, err = await bare.run("demo", option, str(bare.port))
    assert status == 1
    assert f"127.0.0.1:{bare.port} is in use" in err
    assert option in err
