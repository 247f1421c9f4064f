"""The daemon trains by itself: a new model comes of confirmed corrections, and routing never waits for it."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, ALERTS, district, steer
from tests.acceptance.reloading import streams
from tests.acceptance.senders import by_form, form_message
from tests.acceptance.test_models import registered, versions  # noqa: F401  a fixture is found by its name here

PEOPLE = "dana@maple.example"
WORDS = {
    "transportation": "bus driver route stop late seat yellow street corner ride morning pickup wheel delay ticket",
    "food-services": "lunch menu meal milk vegetarian cafeteria tray food pizza breakfast snack kitchen fruit soup",
    "technology": "password laptop screen login account wifi printer tablet charger keyboard update browser app code",
    "enrollment": "register transfer kindergarten form address birth certificate proof records transcript new move",
}


def write_rows(path, count):
    """Write labelled messages, so many of each department, and return the path."""
    rng = random.Random(5)
    rows = [
        {"subject": "", "body": f"hello about the {' '.join(rng.choices(text.split(), k=8))}", "department": label}
        for _ in range(count)
        for label, text in WORDS.items()
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
async def learning(daemons, tmp_path, relay, versions):  # noqa: F811  the fixture
    """A function that starts a daemon which learns from so many messages, and from every two corrections."""

    async def start(count):
        rows = write_rows(tmp_path / "rows.jsonl", count)
        settings = {"retrain_after": 2, "corpus": False, "data": [str(rows)], "shadow": 0, "silence": {"weight": 0.0}}
        configuration = district(tmp_path, relay.port, learning=settings)
        await registered(configuration["store"]["url"], versions, "one")
        made = daemons(tmp_path, configuration)
        await made.start()
        return made

    return start


async def send(daemon, ledger):
    """Hand in a message for the buses, which a rule sends there; return its reference."""
    token, fields = form_message(ledger, ADDRESSES["transportation"], steer("transportation"))
    reference = await by_form(daemon.url, fields, key=token)
    ledger.acked.add(token)
    return reference


async def correct(daemon, ledger, count):
    """Let people say of messages that they belong to the kitchen, and confirm that."""
    for _ in range(count):
        token, fields = form_message(ledger, ADDRESSES["food-services"], "lunch menu tray milk")
        reference = await by_form(daemon.url, fields, key=token)
        await until(lambda r=reference: decided(daemon, r), 60, "it is decided")
        await daemon.ask("misroute", reference, "--to", "technology", "--by", PEOPLE)
    for flag in await daemon.ask("corrections", "list", "--state", "proposed"):
        await daemon.ask("corrections", "confirm", flag["id"], "--by", PEOPLE)


def decided(daemon, reference):
    """Return what the daemon has logged of a decision."""
    return [event for event in daemon.events("message_decided") if event["message_id"] == reference]


def training(daemon):
    """Return the processes that train for a daemon."""
    pid = daemon._process.pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found if b"retrain_child" in Path(f"/proc/{each}/cmdline").read_bytes()]


async def test_confirmed_corrections_lead_to_a_new_model_by_themselves(learning, ledger):
    """Two are confirmed; the daemon trains, the gate judges, and what became of it is told and kept."""
    daemon = await learning(60)
    [first] = await daemon.ask("models", "list")
    await correct(daemon, ledger, 2)
    [ended] = await until(lambda: daemon.events("training_ended"), 120, daemon.output)
    shown = await daemon.ask("models", "show", ended["model"])
    assert (shown["parent"], shown["metrics"]["counts"]["correction"]) == (first["version"], 2)
    waits = "challenger" if shown["verdict"]["waits"] else "champion"
    assert shown["state"] == (waits if ended["passed"] else "refused")
    assert {"training", "registered" if ended["passed"] else "refused"} <= {each["what"] for each in shown["history"]}
    card = await daemon.command("models", "show", ended["model"], "--card")
    assert card.out.startswith(f"# Model {ended['model']}\n")
    assert "correction 1, correction 2" in card.out


async def test_a_training_that_is_killed_leaves_routing_and_the_model_alone(learning, collector, ledger):
    """Messages flow all the time; the model that served goes on; people are told; no process is left."""
    daemon = await learning(1500)
    [first] = await daemon.ask("models", "list")
    async with streams(lambda: send(daemon, ledger)) as more:
        await correct(daemon, ledger, 2)
        [pid] = await until(lambda: training(daemon), 60, daemon.output)
        await more()
        os.kill(pid, signal.SIGKILL)
        await more()
        [failed] = await until(lambda: daemon.events("training_failed"), 60, daemon.output)
    assert failed["why"] == "its process was ended by signal 9 before it was done"
    assert [row["version"] for row in await daemon.ask("models", "list")] == [first["version"]]
    flowed = {token for token, sent in ledger.sent.items() if sent.to == ADDRESSES["transportation"]}
    await until(lambda: flowed <= {each.token for each in collector.arrivals}, 60, "all have arrived")
    await until(lambda: any("couldn't be trained" in each["Subject"] for each in collector.at(ALERTS)), 60, "told")
    await daemon.stop()
    assert daemon.children_left() == []


async def test_a_daemon_that_is_killed_takes_its_training_along(learning, ledger):
    """No process goes on without its daemon, and none is begun twice."""
    daemon = await learning(1500)
    await correct(daemon, ledger, 2)
    await until(lambda: training(daemon), 60, daemon.output)
    await daemon.kill()
    await until(lambda: not daemon.children_left(), 60, "nothing is left")
