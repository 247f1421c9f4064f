"""What a person has to judge: a model with a doubt, and the words with which one was refused."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from classifiers._artifact import Artifact
from router.cli import run
from router.learning import registry
from router.learning.train import trained
from router.learning.verdicts import FOR_A_PERSON, Check, Verdict
from router.store.engine import open_store
from tests.unit.router.commandline import routed, write_district

YES = Verdict(passed=True, sentence="It passes.")
DOUBT = Check(what="department meals", n=20, champion=1.0, challenger=0.8, outcome=FOR_A_PERSON)


@pytest.fixture
def ids(tmp_path, monkeypatch, rng, log):
    """The ids of two messages that the buses got."""
    monkeypatch.chdir(tmp_path)
    write_district(tmp_path)
    return asyncio.run(routed(log, rng, "buses want their lunch back", "buses are late again"))


@pytest.fixture
def say(capsys):
    """Run a command and return what it prints; or, with `json=True`, its answer."""

    def ran(*arguments, as_json=False):
        capsys.readouterr()
        assert run([*arguments, *(["--json"] if as_json else []), "--config", "district.yaml"]) == 0
        out = capsys.readouterr().out
        return json.loads(out) if as_json else out

    return ran


def register(*models):
    """Register models in the district's store; return their names."""

    async def work():
        store = open_store("sqlite:///var/signpost.db")
        await store.open()
        try:
            return [(await registry.register(store, model, promote=True)).version for model in models]
        finally:
            await store.close()

    return asyncio.run(work())


def model(remark, verdict=YES, parent=""):
    """Return a model that is nothing but its name."""
    return trained(Artifact("linear", {}, {"remark": remark, "fingerprint": remark}), verdict, parent)


def test_a_model_that_waits_for_a_person_is_named_in_the_status(ids, say):
    """Until somebody promotes it, or another champion serves."""
    [first] = register(model("one"))
    assert say("status", as_json=True)["models"] == {"waiting": []}
    [waiting] = register(model("two", replace(YES, checks=(DOUBT,)), first))
    assert say("models", "show", waiting, as_json=True)["state"] == "challenger"
    assert say("status", as_json=True)["models"] == {"waiting": [waiting]}
    assert f"{waiting} waits for a person: signpost models show {waiting}" in say("status")
    assert "not promoted" in say("models", "show", waiting, "--card")
    say("models", "promote", waiting)
    assert say("status", as_json=True)["models"] == {"waiting": []}


def test_the_words_that_a_model_was_refused_with_are_listed_with_it(ids, say):
    """As what speaks against them; one that is withdrawn isn't listed any more. People see whose words they are."""
    for number, message_id in enumerate(ids, 1):
        say("misroute", message_id, "--to", "meals-and-rooms", "--by", "mal@d.example")
        say("corrections", "confirm", str(number), "--by", "mal@d.example")
    [first] = register(model("one"))
    remark = "2 of the 3 words of people that are new to it come of mal@d.example."
    refused = Verdict(passed=False, sentence="No.", remark=remark, doubted=("correction 1", "correction 2"))
    [bad] = register(model("bad", refused, first))
    rows = say("corrections", "list", "--conflicts", as_json=True)
    assert {row["id"]: row["conflicts_with"] for row in rows} == {1: [f"model {bad}"], 2: [f"model {bad}"]}
    say("corrections", "withdraw", "1")
    assert [row["id"] for row in say("corrections", "list", "--conflicts", as_json=True)] == [2]
    assert remark in say("models", "show", bad)
    assert "mal@d.example" not in say("models", "show", bad, "--card")
