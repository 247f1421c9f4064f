"""Departments come, go, merge and get other names while the daemon runs: the model stays, and what people said too."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.daemon import until
from tests.acceptance.district import ADDRESSES, FALLBACK, district
from tests.acceptance.reloading import change
from tests.acceptance.senders import by_form, form_message
from tests.acceptance.test_models import LATE, registered, versions  # noqa: F401  a fixture is found by its name here
from tests.acceptance.test_retraining import write_rows

BUSES, MEALS = ADDRESSES["transportation"], ADDRESSES["food-services"]
LUNCH = "lunch menu cafeteria milk pizza tray breakfast balance"
PEOPLE = "dana@maple.example"


@pytest.fixture
async def running(daemons, tmp_path, relay, versions):  # noqa: F811  the fixture
    """A function that starts a daemon whose model knows buses and meals; some departments may be missing at first."""

    async def start(without=(), **sections):
        configuration = district(tmp_path, relay.port, rules=[], **sections)
        for name in without:
            del configuration["departments"][name]
        await registered(configuration["store"]["url"], versions, "one")
        made = daemons(tmp_path, configuration)
        await made.start()
        return made

    return start


@pytest.fixture
def send(collector, ledger):
    """Hand a message in, wait until it has arrived at an address, and return its reference and the department."""

    async def handed_in(daemon, words, to):
        token, fields = form_message(ledger, to, words)
        reference = await by_form(daemon.url, fields, key=token)
        [arrival] = await until(lambda: collector.at(to, token), 60, lambda: f"{words} at {to}\n{daemon.output()}")
        return reference, arrival["X-Signpost-Department"], arrival["X-Signpost-Reason"]

    return handed_in


def desk(covers, to):
    """Return the settings of a department."""
    return {"name": "Another Desk", "covers": covers, "deliver": [{"via": "relay", "to": to}]}


async def test_a_renamed_department_gets_what_the_old_one_got(running, send):
    """Transportation is called yellow-fleet now and covers its label; earlier messages can be passed on to it.

    Replayed beside the running daemon, past messages go to the new name.
    """
    daemon = await running()
    reference, department, _ = await send(daemon, LATE, BUSES)
    other, _, _ = await send(daemon, LUNCH, MEALS)
    assert department == "transportation"
    departments = daemon.configuration["departments"]
    del departments["transportation"]
    departments["yellow-fleet"] = desk(["transportation"], "yellow@maple.example")
    await change(daemon)
    assert (await send(daemon, LATE, "yellow@maple.example"))[1:] == ("yellow-fleet", "model")
    moved = await daemon.ask("misroute", other, "--to", "yellow-fleet", "--by", PEOPLE)
    assert moved["department"] == "yellow-fleet"
    changes = (await daemon.ask("replay"))["changes"]
    assert changes == [{"from": "transportation", "to": "yellow-fleet", "n": 1, "examples": [reference]}]


async def test_merged_departments_share_what_both_got(running, send, tmp_path):
    """One desk covers both labels, and what people said of the former desks is still learnt, for their labels."""
    rows = write_rows(tmp_path / "rows.jsonl", 40)
    daemon = await running(learning={"corpus": False, "data": [str(rows)], "silence": {"weight": 0.0}})
    reference, _, _ = await send(daemon, LUNCH, MEALS)
    await daemon.ask("misroute", reference, "--to", "transportation", "--by", PEOPLE)
    [flag] = await daemon.ask("corrections", "list", "--state", "proposed")
    await daemon.ask("corrections", "confirm", flag["id"], "--by", PEOPLE)
    departments = daemon.configuration["departments"]
    del departments["transportation"], departments["food-services"]
    departments["services"] = desk(["transportation", "food-services"], "services@maple.example")
    await change(daemon)
    for words in (LATE, LUNCH):
        assert (await send(daemon, words, "services@maple.example"))[1:] == ("services", "model")
    trained = await daemon.command("train", "--json")
    metrics = json.loads(trained.out)["metrics"]
    assert metrics["counts"]["correction"] == 1
    assert "the department is no longer in the configuration" not in metrics["left_out"]


async def test_what_a_removed_department_got_goes_to_the_fallback(running, send):
    """Nobody covers its label any more: a person decides, and everybody else's messages go on as before."""
    daemon = await running()
    await send(daemon, LATE, BUSES)
    del daemon.configuration["departments"]["transportation"]
    await change(daemon)
    assert (await send(daemon, LATE, FALLBACK))[1:] == ("front-office", "abstained")
    assert (await send(daemon, LUNCH, MEALS))[1:] == ("food-services", "model")


async def test_a_new_department_gets_what_the_model_knows_of_it(running, send):
    """The kitchen opens: until then a person had to decide about lunches."""
    daemon = await running(without=["food-services"])
    assert (await send(daemon, LUNCH, FALLBACK))[1:] == ("front-office", "abstained")
    daemon.configuration["departments"]["food-services"] = desk(["food-services"], MEALS)
    await change(daemon)
    assert (await send(daemon, LUNCH, MEALS))[1:] == ("food-services", "model")
    assert (await send(daemon, LATE, BUSES))[1:] == ("transportation", "model")
